/**
 * The thread that fuzzes. It writes each input into memory that the main thread sees before it runs it,
 * so that an input that hangs, or takes all memory, is known although nobody here can tell of it.
 */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { Order } from './order.ts';

if (!isMainThread && workerData !== null) {
  const order = workerData as Order;
  // Before anything that counts is loaded.
  (globalThis as { skepCounts?: Uint32Array }).skepCounts = new Uint32Array(order.blocks);
  const { fuzz } = await import('./fuzz.ts');
  fuzz(order, parentPort!);
}
