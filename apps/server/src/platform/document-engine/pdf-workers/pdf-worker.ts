/**
 * A worker thread: one engine, one task at a time. An engine that broke, or grew too large, is dropped; a broken one ends the worker, too,
 * so that nothing of a fault outlives it.
 */
import { createPdfEngine, type PdfEngine, type PdfEngineOptions } from '@casebound/pdf';
import { parentPort, workerData } from 'node:worker_threads';
import { runTask } from './run-task.ts';
import { buffersOf, sendError, type TaskAnswer, type TaskRequest, type WorkerStart } from './thread-messages.ts';

const start = workerData as WorkerStart;
let engine: PdfEngine | undefined;

const answer = async (request: TaskRequest): Promise<void> => {
  let reply: TaskAnswer;
  try {
    engine ??= await createPdfEngine({ wasm: start.module as PdfEngineOptions['wasm'], limits: start.limits });
    const value = await runTask(engine, request.name, request.input);
    reply = { id: request.id, ok: true, value, retire: engine.broken };
  } catch (error) {
    const sent = sendError(error);
    // An unexpected error may have left anything behind.
    reply = { id: request.id, ok: false, error: sent, retire: sent.code === 'pdf_engine_failed' };
  }
  if (engine !== undefined && engine.memoryBytes > start.keepEngineBytes) engine = undefined;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port of Node has no origin
  parentPort?.postMessage(reply, reply.ok ? buffersOf(reply.value) : []);
};

parentPort?.on('message', (request: TaskRequest) => void answer(request));
