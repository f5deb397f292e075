/** What keeps an object in both kernels: descriptors, files behind them, watches, other objects. */

import { expect, it, vi } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import type { Kernel, MapAttributes } from '../../src/kernel/kernel.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import { BPF_F } from '../../src/uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernels } from '../support/kernels.ts';

const HASH: MapAttributes = {
  type: BPF_MAP_TYPE.HASH,
  keySize: 4,
  valueSize: 4,
  maxEntries: 4,
  flags: 0,
  name: 'map',
  numaNode: 0,
  mapExtra: 0n,
  innerMapFd: null,
  btf: null,
};
const EVENTS = { ...HASH, type: BPF_MAP_TYPE.PERF_EVENT_ARRAY };
const RING = { ...HASH, type: BPF_MAP_TYPE.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 };

const number = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

/** Another file of the same map. */
const reopened = (kernel: Kernel, fd: number) => kernel.openMapById(kernel.mapInfo(fd).id);

/** Waits until an object is gone; Linux takes its time with that. */
async function expectGone(open: () => unknown): Promise<void> {
  await vi.waitFor(() => {
    expect(() => open()).toThrow(expect.objectContaining({ errnoName: 'ENOENT' }));
  });
}

function isMapThere(kernel: Kernel, id: number): boolean {
  try {
    kernel.close(kernel.openMapById(id));
    return true;
  } catch (error) {
    if (error instanceof SyscallError && error.errnoName === 'ENOENT') {
      return false;
    }
    throw error;
  }
}

describeKernels('events in a perf event array', (place) => {
  /** An event of the first CPU, put into the first slot by this descriptor. */
  const put = (kernel: Kernel, map: number, index = 0): number => {
    const event = kernel.openOutputEvent(kernel.onlineCpus()[0]!, 1);
    kernel.update(map, number(index), number(event), 0);
    return event;
  };

  it('stay when their own descriptor is closed', () => {
    const { kernel } = place;
    const map = kernel.createMap(EVENTS);
    kernel.close(put(kernel, map));
    expect(kernel.delete(map, number(0))).toBe(true);
    kernel.close(map);
  });

  it('go with the file of the map by which they came, and no others', () => {
    const { kernel } = place;
    const map = kernel.createMap(EVENTS);
    const other = reopened(kernel, map);
    const events = [put(kernel, map, 0), put(kernel, other, 1)];
    kernel.close(map);
    expect(kernel.delete(other, number(0))).toBe(false);
    expect(kernel.delete(other, number(1))).toBe(true);
    for (const fd of [other, ...events]) {
      kernel.close(fd);
    }
  });

  it('stay while a duplicate of the descriptor is open, which is the same file', () => {
    const { kernel } = place;
    const map = kernel.createMap(EVENTS);
    const same = kernel.duplicate(map);
    const event = put(kernel, map);
    kernel.close(map);
    expect(kernel.delete(same, number(0))).toBe(true);
    kernel.close(same);
    kernel.close(event);
  });

  it('stay with BPF_F_PRESERVE_ELEMS', () => {
    const { kernel } = place;
    const map = kernel.createMap({ ...EVENTS, flags: BPF_F.PRESERVE_ELEMS });
    const other = reopened(kernel, map);
    const event = put(kernel, map);
    kernel.close(map);
    expect(kernel.delete(other, number(0))).toBe(true);
    kernel.close(other);
    kernel.close(event);
  });
});

describeKernels('a watch', (place) => {
  it('of one ring keeps that, whatever becomes of the descriptor', async () => {
    const { kernel } = place;
    const ring = kernel.createMap(RING);
    const { id } = kernel.mapInfo(ring);
    const watch = kernel.watch([ring], 'readable');
    kernel.close(ring);
    expect(isMapThere(kernel, id)).toBe(true);
    watch.close();
    watch.close();
    await expectGone(() => kernel.openMapById(id));
  });
});

describeKernels('types', (place) => {
  const object = openFixture('maps/special-fields');
  const types = encodeForKernel(object, object.btf!);
  const struct = object.btf!.idsOfKind('int')[0]!;

  it('stay for as long as a map has them, or was made after a template that had them', async () => {
    const { kernel } = place;
    const btf = kernel.loadBtf(types);
    const typed = { fd: btf, keyTypeId: struct, valueTypeId: struct };
    const template = kernel.createMap({ ...HASH, btf: typed });
    const { btfId } = kernel.mapInfo(template);
    const outer = kernel.createMap({
      ...HASH,
      type: BPF_MAP_TYPE.HASH_OF_MAPS,
      innerMapFd: template,
    });
    kernel.close(btf);
    expect(kernel.readBtf(btfId).length).toBe(types.length);
    kernel.close(template);
    expect(kernel.readBtf(btfId).length).toBe(types.length);
    kernel.close(outer);
    await expectGone(() => kernel.readBtf(btfId));
  });
});
