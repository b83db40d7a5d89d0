/** Who may ask for an exchange in which text beneath redactions travels. */
import { CaseboundError, isPermitted, type Actor, type ExchangeRequest } from '@casebound/contract';

/** Text beneath a redaction travels when it is not burned in, or when the native goes along. */
export const refuseUnredacted = (
  actor: Actor,
  { annotations, nativesOfRedacted, includeNatives }: ExchangeRequest,
): void => {
  const unapplied = annotations.redactionsAs !== 'brand_in';
  const natives = includeNatives && nativesOfRedacted === 'include';
  if ((!unapplied && !natives) || isPermitted(actor, 'exchange.unredacted')) return;
  throw new CaseboundError(
    'exchange_unredacted_denied',
    unapplied
      ? `Redactions would travel as ${annotations.redactionsAs === 'layer' ? 'marks that hide nothing' : 'nothing'}, with the text beneath them.`
      : 'Natives of redacted exhibits would travel.',
  );
};
