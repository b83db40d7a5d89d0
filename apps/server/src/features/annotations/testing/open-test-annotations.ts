/** What the annotation API works with, in an installation of exchanges. */
import { AccountId, type Actor } from '@casebound/contract';
import type { CrashPoint } from '../../../platform/crash-points/Port.ts';
import type { JoinedExchange } from '../../exchange/testing/open-test-exchange.ts';
import type { AnnotationDependencies } from '../dependencies.ts';

export const reviewer: Actor = {
  kind: 'account',
  accountId: AccountId.parse('01890a5d-ac96-774b-bcce-b302099a8057'),
  name: 'Ann',
  permissions: ['case.read', 'case.write'],
};

export const annotationParts = (
  { parts, messaging }: JoinedExchange,
  crashPoint: CrashPoint = () => undefined,
): AnnotationDependencies => ({
  sessions: parts.sessions,
  records: parts.records,
  objects: parts.objects,
  engine: parts.engine,
  pdf: parts.pdf,
  index: parts.index,
  fields: parts.fields,
  publish: async (tx, events) => messaging.outbox.publish(tx, messaging.topic, events),
  onAudited: () => undefined,
  crashPoint,
});
