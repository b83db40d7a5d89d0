/**
 * The way of every change of what lies on an exhibit.
 *
 * 1. What dead processes left is settled first, so that the engine says of each intent what came of it.
 * 2. The intent is written, then the engine is asked, then the change is stated and the intent goes. A crash in between leaves an intent
 *    that the next call settles; nothing changes without a trace.
 * 3. An engine that refuses for good has changed nothing, and the intent goes. Whatever else goes wrong leaves it: it may have been done.
 */
import { CaseboundError } from '@casebound/contract';
import { v7 } from 'uuid';
import type { AnnotationDependencies } from './dependencies.ts';
import { type ExhibitCall, openExhibit } from './exhibit-document.ts';
import type { Entry } from './intent.ts';
import { repairIntents } from './repair-intents.ts';
import { type Done, dropIntent, settleIntent } from './settle-changes.ts';
import { type AnnotatedExhibit, insertIntent } from './store.ts';

interface Ran<T> {
  readonly result: T;
  readonly done: readonly Done[];
  /** What follows from it, before it is stated. Its failure leaves the intent. */
  readonly finish?: () => Promise<void>;
  readonly keepsMark?: boolean;
}

export interface Plan<T> {
  /** What will change; none when everything is as it shall be. */
  readonly entries: readonly Entry[];
  /** Set when redactions come or go: whether one lies there now. */
  readonly redactions?: { readonly present: boolean };
  /** A comment that is changed, by one change at a time; with its new form where the change has several steps. */
  readonly comment?: { readonly id: string; readonly value?: unknown };
  /** Asks the engine. Says what came of the entries. */
  run(): Promise<Ran<T>>;
}

/** Settles what is left on the exhibit. Errors: those of `withCase` and of the engine. */
export const openToChange = async (parts: AnnotationDependencies, call: ExhibitCall): Promise<AnnotatedExhibit> => {
  const exhibit = await openExhibit(parts, call);
  if (exhibit.hasIntents) await repairIntents(parts, exhibit);
  return exhibit;
};

export const changeExhibit = async <T>(
  parts: AnnotationDependencies,
  call: ExhibitCall,
  plan: (exhibit: AnnotatedExhibit) => Promise<Plan<T>>,
): Promise<T> => {
  const { sessions, crashPoint } = parts;
  const { caseId, exhibitId, actor, signal } = call;
  const exhibit = await openToChange(parts, call);
  const planned = await plan(exhibit);
  if (planned.entries.length === 0) return (await planned.run()).result;
  const intent = {
    intentId: v7(),
    exhibitId,
    actor: actor.kind === 'account' ? actor.accountId : 'system',
    requestId: call.requestId ?? null,
    redactions: planned.redactions !== undefined,
    entries: planned.entries,
    commentId: planned.comment?.id,
    comment: planned.comment?.value,
  };
  await sessions.withCase(
    caseId,
    actor,
    async (tx) => insertIntent(tx, intent, planned.redactions?.present === true),
    signal === undefined ? {} : { signal },
  );
  crashPoint('annotations.intent.written');
  const outcome = await planned.run().catch(async (error: unknown) => {
    const isRefused = error instanceof CaseboundError && error.family === 'permanent' && signal?.aborted !== true;
    if (isRefused) await dropIntent(parts, exhibit, intent);
    throw error;
  });
  crashPoint('annotations.engine.changed');
  await outcome.finish?.();
  await settleIntent(parts, exhibit, intent, outcome.done, { keepsMark: outcome.keepsMark === true });
  return outcome.result;
};
