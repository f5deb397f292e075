/** Threads that load skep for themselves, use it, and end: by themselves, or in the middle of a wait. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

const index = new URL('../../dist/index.js', import.meta.url).href;

/** What a thread does. One that is stopped leaves what is mapped and watched to its environment. */
const SCRIPT = `
  import { parentPort, workerData } from 'node:worker_threads';
  const { HashMap, MappedArray, RingBuffer, linuxKernel, u32, u64 } = await import(${JSON.stringify(index)});
  const map = HashMap.create({ key: u32, value: u64, maxEntries: 8 });
  map.set(1, 1n);
  const ring = RingBuffer.create({ sizeBytes: 16384, value: u64 });
  const waiting = ring.wait().catch(() => {});
  if (workerData.stopped) {
    // Descriptors belong to the process, so they are closed; the rest is left as it is.
    const kernel = linuxKernel();
    const fd = kernel.createMap({ type: 2, keySize: 4, valueSize: 8, maxEntries: 512, flags: 1 << 10,
      name: 'soaked', numaNode: 0, mapExtra: 0n, innerMapFd: null, btf: null });
    globalThis.memory = kernel.mapMemory(fd, 0, 4096, true);
    const watch = kernel.watch([ring.fd], 'readable');
    watch.arm(() => {});
    globalThis.kept = [watch, kernel];
    kernel.close(fd);
  }
  map.close();
  ring.close();
  await waiting;
  parentPort.postMessage('done');
  if (workerData.stopped) for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
`;

/**
 * Starts a thread and waits for its end.
 *
 * @param {boolean} stopped whether it is stopped while it works
 */
export async function runWorker(stopped) {
  const source = new URL(`data:text/javascript,${encodeURIComponent(SCRIPT)}`);
  const worker = new Worker(source, { workerData: { stopped } });
  const exit = once(worker, 'exit');
  await once(worker, 'message');
  if (stopped) {
    await worker.terminate();
  }
  await exit;
}
