/**
 * The kernel never moves bytes outside of the memory that it was given: whatever a view says of itself,
 * and whatever happens to its memory. What is refused here would otherwise overwrite other objects.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { describeMaps } from './needs.ts';

/** Beyond what is copied on the way: the kernel gets the address of the caller's own memory. */
const LARGE = 4096;
const SMALL = 8;

let kernel: Kernel;
/** Arrays of one entry, the values of which have so many bytes. */
const maps = new Map<number, number>();
const KEY = new Uint8Array(4);

function createMap(valueSize: number, maxEntries = 1): number {
  return kernel.createMap({
    type: BPF_MAP_TYPE.ARRAY,
    keySize: 4,
    valueSize,
    maxEntries,
    flags: 0,
    name: 'bounds',
    numaNode: 0,
    mapExtra: 0n,
    innerMapFd: null,
    btf: null,
  });
}

/** Says that it is as long as anybody likes. */
class Boastful extends Uint8Array {
  override get length(): number {
    return LARGE;
  }
  override get byteLength(): number {
    return LARGE;
  }
}

/** Says that its memory is somewhere else. */
class Elsewhere extends Uint8Array {
  override get byteOffset(): number {
    return 1 << 20;
  }
  override get buffer(): ArrayBuffer {
    return new ArrayBuffer(0);
  }
}

function detached(): Uint8Array {
  const view = new Uint8Array(LARGE);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

/** A view that follows the length of its buffer, which was cut. ES2024. */
function cut(): Uint8Array {
  const options = { maxByteLength: LARGE };
  const buffer = Reflect.construct(ArrayBuffer, [LARGE, options]) as ArrayBuffer & {
    resize(length: number): void;
  };
  const view = new Uint8Array(buffer);
  buffer.resize(16);
  return view;
}

/** The memory of a module that has grown since: the old buffer is detached. */
function outgrown(): Uint8Array {
  const { Memory } = Reflect.get(globalThis, 'WebAssembly');
  const memory = new Memory({ initial: 1, maximum: 2 });
  const view = new Uint8Array(memory.buffer);
  memory.grow(1);
  return view;
}

const tooShort: readonly (readonly [string, () => Uint8Array])[] = [
  ['empty', () => new Uint8Array()],
  ['a byte short', () => new Uint8Array(LARGE - 1)],
  ['a part of something longer', () => new Uint8Array(2 * LARGE).subarray(1, LARGE)],
  ['one that overrides its length', () => new Boastful(16)],
  ['one with a length of its own', () => withOwn(new Uint8Array(16), 'length', LARGE)],
  ['detached', detached],
  ['detached, with a length of its own', () => withOwn(detached(), 'length', LARGE)],
  ['of a buffer that was cut', cut],
  ['of memory that has grown', outgrown],
];

function withOwn(view: Uint8Array, name: string, value: unknown): Uint8Array {
  return Object.defineProperty(view, name, { value });
}

const noViews: readonly (readonly [string, () => unknown])[] = [
  ['an ArrayBuffer', () => new ArrayBuffer(LARGE)],
  ['a DataView', () => new DataView(new ArrayBuffer(LARGE))],
  ['a view of larger elements', () => new Uint16Array(LARGE)],
  ['an array', () => new Array(LARGE).fill(0)],
  ['what has a prototype of bytes', () => Object.create(Uint8Array.prototype)],
  ['a proxy of bytes', () => new Proxy(new Uint8Array(LARGE), {})],
  ['bytes of shared memory', () => new Uint8Array(new SharedArrayBuffer(LARGE))],
  ['text', () => 'x'.repeat(LARGE)],
  ['undefined', () => undefined],
];

describeMaps('memory for the kernel', () => {
  beforeAll(() => {
    kernel = linuxKernel();
    for (const bytes of [SMALL, LARGE]) maps.set(bytes, createMap(bytes));
  });
  afterAll(() => {
    for (const fd of maps.values()) kernel.close(fd);
  });

  /** Every call that moves a value, with that value's memory. */
  const calls: readonly (readonly [string, (fd: number, value: Uint8Array) => unknown])[] = [
    ['lookup', (fd, value) => kernel.lookup(fd, KEY, value, 0)],
    ['update', (fd, value) => kernel.update(fd, KEY, value, 0)],
    [
      'lookupBatch',
      (fd, value) => {
        const cursor = { position: new Uint8Array(4), started: false, done: false };
        return kernel.lookupBatch(fd, cursor, new Uint8Array(4), value, 1);
      },
    ],
    ['updateBatch', (fd, value) => kernel.updateBatch(fd, KEY, value, 1, 0)],
  ];

  for (const [name, call] of calls) {
    test.each(tooShort)(`${name}: a value that is too short is refused: %s`, (_what, make) => {
      expect(() => call(maps.get(LARGE)!, make())).toThrow(RangeError);
    });

    test.each(noViews)(`${name}: what is no view of bytes is refused: %s`, (_what, make) => {
      expect(() => call(maps.get(LARGE)!, make() as Uint8Array)).toThrow(TypeError);
    });

    test(`${name}: where a view says that its memory is does not count`, () => {
      expect(() => call(maps.get(LARGE)!, new Elsewhere(LARGE))).not.toThrow();
    });
  }

  test('no value at all is a null pointer, which the kernel refuses', () => {
    expect(() => kernel.lookup(maps.get(LARGE)!, KEY, null as never, 0)).toThrow(
      expect.objectContaining({ errnoName: 'EFAULT' }),
    );
  });

  test('a small value is copied, so that a view that boasts gets what it has room for', () => {
    const fd = maps.get(SMALL)!;
    kernel.update(fd, KEY, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 0);
    const around = new Uint8Array(32).fill(9);
    const boast = new Boastful(around.buffer, 8, 4);
    expect(kernel.lookup(fd, KEY, boast, 0)).toBe(true);
    expect([...around.subarray(8, 16)]).toEqual([1, 2, 3, 4, 9, 9, 9, 9]);
  });

  test('what lies beside a view stays as it is', () => {
    const fd = maps.get(LARGE)!;
    kernel.update(fd, KEY, new Uint8Array(LARGE).fill(7), 0);
    const around = new Uint8Array(LARGE + 200).fill(9);
    kernel.lookup(fd, KEY, around.subarray(100, 100 + LARGE), 0);
    expect(around.indexOf(7)).toBe(100);
    expect(around.lastIndexOf(7)).toBe(100 + LARGE - 1);
    expect([...around.subarray(0, 100), ...around.subarray(100 + LARGE)]).toEqual(
      new Array(200).fill(9),
    );
  });

  test('parts of a buffer of Node.js, which lies in one that many share, are found', () => {
    const fd = maps.get(LARGE)!;
    const [one, two] = [Buffer.allocUnsafe(LARGE), Buffer.allocUnsafe(LARGE)];
    kernel.update(fd, KEY, one.fill(3), 0);
    two.fill(0);
    kernel.lookup(fd, KEY, two, 0);
    expect(two.equals(one)).toBe(true);
  });

  test('a buffer that grows and shrinks between calls is used as it is then', () => {
    const fd = maps.get(LARGE)!;
    const buffer = Reflect.construct(ArrayBuffer, [LARGE, { maxByteLength: 4 * LARGE }]);
    const view = new Uint8Array(buffer);
    for (const bytes of [LARGE, 3 * LARGE, LARGE - 1, 0, LARGE, 4 * LARGE]) {
      buffer.resize(bytes);
      const call = () => kernel.lookup(fd, KEY, view, 0);
      if (bytes < LARGE) expect(call).toThrow(RangeError);
      else expect(call()).toBe(true);
    }
  });

  test.each([
    ['a file descriptor', (spy: number, value: Uint8Array) => kernel.lookup(spy, KEY, value, 0)],
    [
      'a file descriptor of a batch',
      (spy: number, value: Uint8Array) => kernel.updateBatch(spy, KEY, value, 1, 0),
    ],
  ])('%s is a number, and nothing that becomes one', (_what, call) => {
    const spy = {
      [Symbol.toPrimitive]: (hint: string) => maps.get(hint === 'number' ? LARGE : SMALL),
    };
    expect(() => call(spy as never, new Uint8Array(SMALL))).toThrow(TypeError);
  });

  test('flags whose conversion takes the memory away do not let the kernel write there', () => {
    const value = new Uint8Array(LARGE);
    const flags = {
      valueOf: () => {
        structuredClone(value.buffer, { transfer: [value.buffer] });
        return 0;
      },
    };
    const fd = maps.get(LARGE)!;
    expect(() => kernel.lookup(fd, KEY, value, flags as never)).toThrow(RangeError);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 32, '1', null, { valueOf: () => 1 }])(
    'a batch of %s entries is refused before the kernel counts them',
    (count) => {
      const fd = maps.get(LARGE)!;
      const call = () => kernel.updateBatch(fd, KEY, new Uint8Array(LARGE), count as number, 0);
      expect(call).toThrow(TypeError);
    },
  );

  test('a batch has room for all of its entries, or none is moved', () => {
    const fd = createMap(LARGE, 4);
    const cursor = () => ({ position: new Uint8Array(4), started: false, done: false });
    try {
      const [keys, values] = [new Uint8Array(16), new Uint8Array(4 * LARGE)];
      expect(kernel.lookupBatch(fd, cursor(), keys, values, 4)).toBe(4);
      for (const [some, others] of [
        [keys.subarray(1), values],
        [keys, values.subarray(1)],
      ] as const) {
        expect(() => kernel.lookupBatch(fd, cursor(), some, others, 4)).toThrow(RangeError);
      }
      const small = { position: new Uint8Array(3), started: false, done: false };
      expect(() => kernel.lookupBatch(fd, small, keys, values, 4)).toThrow(RangeError);
    } finally {
      kernel.close(fd);
    }
  });
});
