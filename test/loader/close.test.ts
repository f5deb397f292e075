/** Closing a loaded object, in the in-process kernel. */

import { expect, it, vi } from 'vitest';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { fixturePath } from '../support/fixtures.ts';

it('closes everything, though some of it fails, and throws the first error', () => {
  const kernel = new MemoryKernel();
  const app = load(ObjectFile.open(fixturePath('run/ring.bpf.o')), { kernel });
  const rings = [0, 1, 2].map(() => app.map('events', RingBuffer));
  const failing = [rings[0]!, app.maps.get('events')!].map((map, index) => {
    const close = map.close.bind(map);
    return vi.spyOn(map, 'close').mockImplementation(() => {
      close();
      throw new Error(`number ${index}`);
    });
  });
  expect(() => app.close()).toThrow('number 0');
  expect(rings.map(({ closed }) => closed)).toEqual([true, true, true]);
  expect(kernel.openDescriptors()).toEqual([]);
  for (const spy of failing) spy.mockRestore();
  app.close();
});
