/** Every place at which messaging asks whether its process is to die. The types of the parts hold calls to this list, a test holds the list to the calls. */
export const crashPointNames = [
  'consumer.before-receive',
  'consumer.after-receive',
  'consumer.before-handle',
  'consumer.after-handle',
  'consumer.before-acknowledge',
  'consumer.after-acknowledge',
  'relay.before-deliver',
  'relay.after-deliver',
  'workflow.before-step',
  'workflow.after-step',
  'workflow.before-compensation',
  'workflow.after-compensation',
] as const;

export type CrashPointName = (typeof crashPointNames)[number];

/** Called by messaging between its steps; a chaos test makes it end the process there. */
export type MessagingCrashPoint = (name: CrashPointName) => void | Promise<void>;
