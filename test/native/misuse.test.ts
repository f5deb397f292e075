import { closeSync, openSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import type { Native, NativeWatcher } from '../../src/kernel/native.ts';
import { describeShim, native } from './needs.ts';

function detached(): ArrayBuffer {
  const buffer = new ArrayBuffer(8);
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}

/** Calls without the compiler's help, as JavaScript may. */
const call = (name: keyof Native, ...parameters: readonly unknown[]): unknown =>
  Reflect.apply(native[name], undefined, parameters);

const mappable = openSync(process.execPath, 'r');
const set = native.epollCreate();
/** Of an empty set, which is never ready. */
const watcher = native.watch(set, 1) as NativeWatcher;
const ended = native.watch(set, 1) as NativeWatcher;
native.unwatch(ended);
native.close(set);
afterAll(() => {
  closeSync(mappable);
  native.unwatch(watcher);
});

/** Things that are no number at all, some of which JavaScript would convert to one. */
const noNumbers: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['a string', '1'],
  ['a bigint', 1n],
  ['a boolean', true],
  ['an array', [1]],
  ['a symbol', Symbol('1')],
  ['a function', () => 1],
  ['an object with valueOf', { valueOf: () => 1 }],
  ['a Number object', Object(1)],
  ['an ArrayBuffer', new ArrayBuffer(8)],
  ['a proxy', new Proxy({}, {})],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['a fraction', 0.5],
];

const wrong = {
  int32: [...noNumbers, ['2^31', 2 ** 31], ['-2^31-1', -(2 ** 31) - 1], ['2^32', 2 ** 32]],
  uint32: [...noNumbers, ['-1', -1], ['2^32', 2 ** 32], ['2^53', 2 ** 53]],
  size: [...noNumbers, ['-1', -1], ['2^53+2', 2 ** 53 + 2], ['2^64', 2 ** 64]],
  buffer: [
    ...noNumbers.filter(([what]) => what !== 'an ArrayBuffer'),
    ['a number', 1],
    ['a SharedArrayBuffer', new SharedArrayBuffer(8)],
    ['a Uint8Array', new Uint8Array(8)],
    ['a Buffer', Buffer.alloc(8)],
    ['a DataView', new DataView(new ArrayBuffer(8))],
    ['a proxy of an ArrayBuffer', new Proxy(new ArrayBuffer(8), {})],
    ['a fake ArrayBuffer', Object.create(ArrayBuffer.prototype)],
  ],
  watcher: [
    ...noNumbers,
    ['an object', {}],
    ['a mapping', native.map(mappable, 0, 4096, 1, 2)],
    ['a proxy of a watcher', new Proxy(watcher, {})],
    ['an object with a watcher for its prototype', Object.create(watcher)],
    ['a copy of a watcher', { ...watcher }],
  ],
  function: [
    ...noNumbers.filter(([what]) => what !== 'a function'),
    ['an object that is called', { call: () => {}, apply: () => {} }],
  ],
} as const;

/** Each function with parameters that it takes without doing anything, and what it then returns. */
const functions: readonly {
  readonly name: keyof Native;
  readonly kinds: readonly (keyof typeof wrong)[];
  readonly harmless: readonly unknown[];
  readonly result: unknown;
}[] = [
  { name: 'bpf', kinds: ['int32', 'size', 'uint32'], harmless: [9999, 0, 0], result: -22 },
  {
    name: 'prepare',
    kinds: ['buffer'],
    harmless: [new ArrayBuffer(8)],
    result: expect.any(Function),
  },
  { name: 'close', kinds: ['int32'], harmless: [-1], result: -9 },
  { name: 'duplicate', kinds: ['int32'], harmless: [-1], result: -9 },
  {
    name: 'map',
    kinds: ['int32', 'size', 'size', 'int32', 'int32'],
    harmless: [-1, 0, 4096, 1, 1],
    result: -9,
  },
  { name: 'mapAt', kinds: ['int32', 'size', 'size'], harmless: [-1, 0, 4096], result: -9 },
  { name: 'unmap', kinds: ['buffer'], harmless: [new ArrayBuffer(8)], result: -22 },
  {
    name: 'address',
    kinds: ['buffer'],
    harmless: [new ArrayBuffer(8)],
    result: expect.any(Number),
  },
  {
    name: 'perfEventOpen',
    kinds: ['size', 'int32', 'int32', 'int32', 'uint32'],
    harmless: [0, -1, 0, -1, 0],
    result: -14,
  },
  { name: 'ioctl', kinds: ['int32', 'uint32', 'size'], harmless: [-1, 0, 0], result: -9 },
  { name: 'epollAdd', kinds: ['int32', 'int32', 'uint32'], harmless: [-1, -1, 0], result: -9 },
  { name: 'watch', kinds: ['int32', 'int32'], harmless: [-1, 1], result: -9 },
  { name: 'arm', kinds: ['watcher', 'function'], harmless: [ended, () => {}], result: -22 },
  { name: 'disarm', kinds: ['watcher'], harmless: [watcher], result: 0 },
  { name: 'unwatch', kinds: ['watcher'], harmless: [ended], result: -22 },
];

const misuse = (message: string) =>
  expect.objectContaining({
    name: 'TypeError',
    code: 'ERR_SKEP_ARGUMENT',
    message: expect.stringContaining(message),
  });

describeShim('misuse of the native shim is an exception, not a crash', () => {
  for (const { name, kinds, harmless, result } of functions) {
    test(`${name}() takes harmless parameters, and ignores what comes after them`, () => {
      expect(call(name, ...harmless)).toEqual(result);
      expect(call(name, ...harmless, 'more', Symbol('more'))).toEqual(result);
    });

    kinds.forEach((kind, index) => {
      test(`${name}() refuses every wrong parameter ${index + 1} (${kind})`, () => {
        for (const [what, value] of wrong[kind]) {
          const parameters = harmless.map((good, at) => (at === index ? value : good));
          const attempt = () => call(name, ...parameters);
          expect(attempt, what).toThrow(misuse(`${name}: `));
        }
      });

      test(`${name}() refuses a missing parameter ${index + 1}`, () => {
        expect(() => call(name, ...harmless.slice(0, index))).toThrow(misuse(`${name}: `));
      });
    });
  }

  test.each(functions)(
    '$name() does not care what it is called on, or how',
    ({ name, harmless, result }) => {
      const method = native[name] as (...parameters: readonly unknown[]) => unknown;
      for (const receiver of [
        undefined,
        null,
        7,
        'text',
        {},
        watcher,
        new ArrayBuffer(8),
        native,
      ]) {
        expect(Reflect.apply(method, receiver, harmless)).toEqual(result);
      }
      expect(method.bind(watcher)(...harmless)).toEqual(result);
      expect(new Proxy(method, {})(...harmless)).toEqual(result);
      // As a constructor it returns an object, as JavaScript has it, and does no more than that.
      expect(Reflect.construct(method, harmless)).toBeInstanceOf(Object);
      expect(() => Reflect.construct(method, [])).toThrow(misuse(`${name}: `));
    },
  );

  test('no parameter is read by calling into JavaScript', () => {
    const spy = {
      valueOf: () => expect.unreachable(),
      toString: () => expect.unreachable(),
      [Symbol.toPrimitive]: () => expect.unreachable(),
    };
    expect(() => call('close', spy)).toThrow(misuse('close: '));
  });

  test('address() refuses a detached buffer', () => {
    expect(() => native.address(detached())).toThrow(misuse('address: buffer is detached'));
  });

  test('unmap() leaves a detached buffer of someone else alone', () => {
    expect(native.unmap(detached())).toBe(-22);
  });

  test('address() takes an empty buffer that is not detached', () => {
    expect(native.address(new ArrayBuffer(0))).toEqual(expect.any(Number));
  });

  test('the limits of each range are inside it', () => {
    expect(native.close(-(2 ** 31))).toBe(-9);
    expect(native.close(2 ** 31 - 1)).toBe(-9);
    expect(native.bpf(9999, 2 ** 53, 8)).toBeLessThan(0);
    expect(native.bpf(9999, 0, 2 ** 32 - 1)).toBeLessThan(0);
  });

  test.each([0, 2, 4, 5, 7, -1, 0x1000001])('map() refuses protection %i', (protection) => {
    expect(() => native.map(-1, 0, 4096, protection, 1)).toThrow(
      expect.objectContaining({ name: 'RangeError', code: 'ERR_SKEP_ARGUMENT' }),
    );
  });

  test.each([0, 3, 0x11, 0x12, 0x21, 0x22, -1])('map() refuses flags %i', (flags) => {
    expect(() => native.map(-1, 0, 4096, 1, flags)).toThrow(
      expect.objectContaining({ name: 'RangeError', code: 'ERR_SKEP_ARGUMENT' }),
    );
  });
});
