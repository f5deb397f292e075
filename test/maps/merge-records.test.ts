/** One loop over several maps, in the in-process kernel. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { mergeRecords } from '../../src/maps/merge-records.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';

describe('one loop over several ring buffers', () => {
  let kernel: MemoryKernel;
  beforeEach(() => {
    kernel = new MemoryKernel();
  });
  afterEach(() => {
    expect(kernel.openDescriptors()).toEqual([]);
  });

  const ringWith = (signal?: AbortSignal) =>
    RingBuffer.create({ kernel, sizeBytes: 4096, ...(signal === undefined ? {} : { signal }) });

  it.each([0, 1])('ends by the signal that map %i was made with', async (which) => {
    const controllers = [new AbortController(), new AbortController()];
    using first = ringWith(controllers[0]!.signal);
    using second = ringWith(controllers[1]!.signal);
    const reason = new Error('enough');
    setTimeout(() => controllers[which]!.abort(reason), 5);
    await expect(mergeRecords([first, second]).next()).rejects.toBe(reason);
    // At once, if that is aborted before.
    await expect(mergeRecords([second, first]).next()).rejects.toBe(reason);
    await expect(
      mergeRecords([first], { signal: AbortSignal.abort(new Error('own')) }).next(),
    ).rejects.toThrow('own');
  });

  it('takes a signal shared by all maps, heard while the body runs', async () => {
    const controller = new AbortController();
    using first = ringWith(controller.signal);
    using second = ringWith(controller.signal);
    kernel.produce(second.fd, Uint8Array.of(7));
    const seen: number[] = [];
    const loop = async () => {
      for await (const [, bytes] of mergeRecords([first, second])) {
        seen.push(bytes[0]!);
        controller.abort(new Error('enough'));
      }
    };
    await expect(loop()).rejects.toThrow('enough');
    expect(seen).toEqual([7]);
  });

  it('goes by its own signal if it has one', async () => {
    const controller = new AbortController();
    controller.abort(new Error('of the map'));
    using ring = ringWith(controller.signal);
    kernel.produce(ring.fd, Uint8Array.of(7));
    const { signal } = new AbortController();
    const loop = mergeRecords([ring], { signal });
    expect(await loop.next()).toMatchObject({ done: false, value: [ring, Uint8Array.of(7)] });
    await loop.return?.();
  });
});
