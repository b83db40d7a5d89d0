/** A thread of the search index: one call at a time, in the order in which they came. */
import { parentPort, workerData } from 'node:worker_threads';
import { createCallRunner } from './run-call.ts';
import {
  sendError,
  type IndexAnswer,
  type IndexRequest,
  type IndexStart,
  type SentDocument,
} from './thread-messages.ts';

const runner = createCallRunner(workerData as IndexStart);
/** Documents of puts whose last part has not come. */
const parts = new Map<number, SentDocument[]>();

/** Undefined as long as there is nothing to say. */
const answer = (request: Exclude<IndexRequest, { name: 'close' }>): IndexAnswer | undefined => {
  const { id, name, caseId } = request;
  try {
    if (name !== 'put') return { id, ok: true, value: runner.run(name, caseId, request.input) };
    const documents = parts.get(id) ?? [];
    for (const document of request.input.documents) documents.push(document);
    parts.set(id, documents);
    if (!request.input.isLast) return undefined;
    parts.delete(id);
    return { id, ok: true, value: runner.run('put', caseId, { documents, isLast: true }) };
  } catch (error) {
    return { id, ok: false, error: sendError(error) };
  }
};

parentPort?.on('message', (request: IndexRequest) => {
  if (request.name === 'close') {
    runner.close();
    parentPort?.close();
    return;
  }
  const reply = answer(request);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port of Node has no origin
  if (reply !== undefined) parentPort?.postMessage(reply);
});
