/**
 * What both kernels refuse, and how, at the edges of what a call takes. The numbers are those of Linux
 * 6.18; older kernels differ in some.
 */

import { expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import type { Kernel, MapAttributes } from '../../src/kernel/kernel.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import { BPF_F } from '../../src/uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernels } from '../support/kernels.ts';
import { programOf } from './subject-parts.ts';

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
const TRIE = { type: BPF_MAP_TYPE.LPM_TRIE, keySize: 8, flags: BPF_F.NO_PREALLOC, maxEntries: 1 };
const BLOOM = { type: BPF_MAP_TYPE.BLOOM_FILTER, keySize: 0, maxEntries: 1 };
const MIB = 2 ** 20;
const TYPED = openFixture('maps/special-fields');

/** What a call comes to: what it returns, the name of its errno, or the name of the error. */
function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error instanceof SyscallError ? error.errnoName : (error as Error).name;
  }
}

function created(kernel: Kernel, attributes: Partial<MapAttributes>): unknown {
  return outcome(() => {
    const fd = kernel.createMap({ ...HASH, ...attributes });
    const { name, maxEntries } = kernel.mapInfo(fd);
    kernel.close(fd);
    return attributes.name === undefined ? maxEntries : name;
  });
}

describeKernels('limits of maps', (place) => {
  it.each([
    ['a Bloom filter with the longest value', { ...BLOOM, valueSize: 4 * MIB }, 1],
    ['a Bloom filter with a longer one', { ...BLOOM, valueSize: 4 * MIB + 1 }, 'E2BIG'],
  ])('%s', (_, attributes, wanted) => {
    expect(created(place.kernel, attributes)).toBe(wanted);
  });

  it('a trie takes values for which its nodes have room', () => {
    // `struct lpm_trie_node` had an `rcu_head` before.
    const nodeBytes = place.isLinux('6.13') ? 24 : 40;
    const longest = 4 * MIB - 256 - nodeBytes;
    expect(created(place.kernel, { ...TRIE, valueSize: longest })).toBe(1);
    expect(created(place.kernel, { ...TRIE, valueSize: longest + 1 })).toBe('EINVAL');
  });

  it('an LRU map with a list for each CPU has as many entries for each', () => {
    const { kernel } = place;
    const cpus = kernel.possibleCpus();
    for (const type of [BPF_MAP_TYPE.LRU_HASH, BPF_MAP_TYPE.LRU_PERCPU_HASH]) {
      for (const maxEntries of [1, cpus, cpus + 1, 1000]) {
        const wanted = Math.ceil(maxEntries / cpus) * cpus;
        expect(created(kernel, { type, maxEntries, flags: BPF_F.NO_COMMON_LRU })).toBe(wanted);
      }
    }
  });

  it.each([
    ['type', -1],
    ['keySize', -1],
    ['valueSize', 2 ** 32],
    ['maxEntries', 1.5],
    ['maxEntries', Number.NaN],
    ['flags', 2 ** 32],
    ['mapExtra', -1n],
  ])('a call has no room for %s %s', (field, value) => {
    expect(created(place.kernel, { [field]: value })).toBe('TypeError');
  });

  it('flags may come as signed numbers', () => {
    expect(created(place.kernel, { flags: 0x8000_0000 | 0 })).toBe('EINVAL');
  });

  it.each([
    ['no more than fits', 'much_longer_than_sixteen', 'much_longer_tha'],
    ['no half of a character', 'fourteen_chars\u00fc', 'fourteen_chars'],
    ['a NUL', 'a\0b', 'TypeError'],
    ['a NUL behind what fits', `${'a'.repeat(20)}\0`, 'TypeError'],
    ['other characters than the kernel has', '\u00fcmlaut', 'EINVAL'],
  ])('names: %s', (_, name, wanted) => {
    expect(created(place.kernel, { name })).toBe(wanted);
  });
});

describeKernels('numbers of descriptors, ids and entries', (place) => {
  const bytes = () => new Uint8Array(64);
  const cursor = () => ({ position: bytes(), started: false, done: false });

  it('a number that is no descriptor', () => {
    const { kernel, directory } = place;
    for (const fd of [0x7fff_ffff, 100_000]) {
      expect(outcome(() => kernel.mapInfo(fd))).toBe('EBADFD');
      expect(outcome(() => kernel.lookup(fd, bytes(), bytes(), 0))).toBe('EBADFD');
      expect(outcome(() => kernel.duplicate(fd))).toBe('EBADF');
      expect(outcome(() => kernel.freeze(fd))).toBe('EBADF');
      expect(outcome(() => kernel.pin(fd, `${directory}/x`))).toBe('EINVAL');
      expect(outcome(() => kernel.watch([fd], 'readable'))).toBe('EBADF');
      expect(kernel.mapUsage(fd)).toEqual({ memoryBytes: null, frozen: null });
    }
  });

  it('a standard stream, which is no map', () => {
    const { kernel, directory } = place;
    expect(outcome(() => kernel.mapInfo(0))).toBe('EINVAL');
    expect(outcome(() => kernel.freeze(0))).toBe('EINVAL');
    expect(outcome(() => kernel.pin(0, `${directory}/x`))).toBe('EINVAL');
    expect(created(kernel, { type: BPF_MAP_TYPE.HASH_OF_MAPS, innerMapFd: 0 })).toBe('EINVAL');
    const btf = { fd: 0, keyTypeId: 1, valueTypeId: 1 };
    expect(created(kernel, { btf })).toBe('EINVAL');
    expect(created(kernel, { btf: { ...btf, fd: 0x7fff_ffff } })).toBe('EBADF');
  });

  it('the last id', () => {
    for (const id of [0x7fff_ffff, 0xffff_ffff, -1]) {
      expect(outcome(() => place.kernel.nextMapId(id))).toBe('EINVAL');
    }
    expect(outcome(() => place.kernel.nextMapId(0x7fff_fffe))).toBeNull();
  });

  it.each([-1, 1.5, 2 ** 32, Number.NaN])(
    '%s entries, of which the kernel would read or write more than there are',
    (count) => {
      const { kernel } = place;
      for (const type of [BPF_MAP_TYPE.HASH, BPF_MAP_TYPE.ARRAY]) {
        const fd = kernel.createMap({ ...HASH, type });
        expect([
          outcome(() => kernel.lookupBatch(fd, cursor(), bytes(), bytes(), count)),
          outcome(() => kernel.lookupAndDeleteBatch(fd, cursor(), bytes(), bytes(), count)),
          outcome(() => kernel.updateBatch(fd, bytes(), bytes(), count, 0)),
        ]).toEqual(['TypeError', 'TypeError', 'TypeError']);
        kernel.close(fd);
      }
    },
  );

  it('a cursor without room for a position', () => {
    const { kernel } = place;
    const fd = kernel.createMap(HASH);
    const short = { ...cursor(), position: new Uint8Array(3) };
    expect(outcome(() => kernel.lookupBatch(fd, short, bytes(), bytes(), 4))).toBe('RangeError');
    kernel.close(fd);
  });
});

describeKernels('descriptors of other objects', (place) => {
  const KEY = new Uint8Array(4);
  /** A map, a program, BTF and a perf event. */
  const open = (kernel: Kernel) => ({
    map: kernel.createMap(HASH),
    program: kernel.loadProgram(programOf(1, 'program', null), null),
    btf: kernel.loadBtf(encodeForKernel(TYPED, TYPED.btf!)),
    event: kernel.openOutputEvent(kernel.onlineCpus()[0]!, 1),
  });
  const each = (call: (kernel: Kernel, fd: number) => unknown) => {
    const { kernel } = place;
    const told = Object.entries(open(kernel)).map(([name, fd]) => {
      const came = outcome(() => call(kernel, fd));
      kernel.close(fd);
      return [name, came];
    });
    return Object.fromEntries(told);
  };
  const NO_MAP = { map: 'done', program: 'EINVAL', btf: 'EINVAL', event: 'EINVAL' };
  const done = (call: (kernel: Kernel, fd: number) => unknown) => (kernel: Kernel, fd: number) => {
    call(kernel, fd);
    return 'done';
  };

  it('are no maps', () => {
    expect(each(done((kernel, fd) => kernel.mapInfo(fd)))).toEqual(NO_MAP);
    expect(each(done((kernel, fd) => kernel.lookup(fd, KEY, new Uint8Array(4), 0)))).toEqual(
      NO_MAP,
    );
    expect(each(done((kernel, fd) => kernel.nextKey(fd, null, KEY)))).toEqual(NO_MAP);
    expect(each(done((kernel, fd) => kernel.freeze(fd)))).toEqual(NO_MAP);
  });

  it('have no memory, but for perf events', () => {
    const first = (kernel: Kernel, fd: number) => {
      const memory = kernel.mapMemory(fd, 0, 2 * kernel.pageSize, false);
      kernel.unmapMemory(memory);
    };
    expect(each(done(first))).toEqual({
      map: 'ENOTSUPP',
      program: 'ENODEV',
      btf: 'ENODEV',
      event: 'done',
    });
  });

  it('are waited for if they are maps or events; other maps than rings are ready at once', async () => {
    const wait = (kernel: Kernel, fd: number) => kernel.watch([fd], 'readable').close();
    const nothing = 'EPERM';
    expect(each(done(wait))).toEqual({
      map: 'done',
      program: nothing,
      btf: nothing,
      event: 'done',
    });
    const { kernel } = place;
    const map = kernel.createMap(HASH);
    const watch = kernel.watch([map], 'readable');
    await new Promise<void>((resolve) => watch.arm(resolve));
    watch.close();
    kernel.close(map);
  });
});

describeKernels('BTF', (place) => {
  /** `int` of 32 bits. */
  const table = (edit: (view: DataView) => void, littleEndian: boolean): Uint8Array => {
    const bytes = new Uint8Array(45);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0xeb9f, littleEndian);
    bytes[2] = 1;
    [24, 0, 16, 16, 5, 1, 1 << 24, 4, 32].forEach((word, index) => {
      view.setUint32(4 + index * 4, word, littleEndian);
    });
    bytes.set([0x69, 0x6e, 0x74], 41);
    edit(view);
    return bytes;
  };
  it.each([
    ['as it should be', table(() => {}, true), 'loaded'],
    ['of another byte order', table(() => {}, false), 'EINVAL'],
    ['of a version to come', table((view) => view.setUint8(2, 2), true), 'ENOTSUPP'],
    ['with flags', table((view) => view.setUint8(3, 1), true), 'ENOTSUPP'],
    ['with another magic number', table((view) => view.setUint8(0, 7), true), 'EINVAL'],
    ['cut off', table(() => {}, true).slice(0, 20), 'EINVAL'],
  ])('%s', (_, bytes, wanted) => {
    const { kernel } = place;
    const loaded = outcome(() => {
      kernel.close(kernel.loadBtf(bytes));
      return 'loaded';
    });
    expect(loaded).toBe(wanted);
  });
});
