/** `skep map watch` with records that are not of the type it was told, in the in-process kernel. */

import { expect, it } from 'vitest';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { runHere } from './in-process.ts';

it('prints what it has taken before it says that a record does not fit', async () => {
  const kernel = new MemoryKernel();
  const path = '/sys/fs/bpf/events';
  using ring = RingBuffer.create({ kernel, sizeBytes: 4096 });
  ring.pin(path);
  const other = kernel.process();
  const fd = other.openPinnedMap(path, 'read-write');
  for (const number of [1, 2]) other.produce(fd, Uint8Array.of(number, 0, 0, 0));
  other.produce(fd, Uint8Array.of(3));
  other.produce(fd, Uint8Array.of(4, 0, 0, 0));
  const watch = (count: number) =>
    runHere(['map', 'watch', path, '--value-type', 'u32', '--count', String(count)], kernel);
  const ended = await watch(4);
  expect(ended.stdout).toBe('1\n2\n');
  expect(ended.stderr).toContain('a record of 1 bytes has no u32');
  expect(ended.status).not.toBe(0);
  // The next one goes on behind it.
  expect(await watch(1)).toMatchObject({ status: 0, stdout: '4\n' });
  other.close(fd);
});
