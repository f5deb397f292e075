import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  bpf,
  createArray,
  element,
} from './attributes.ts';
import { describeMaps, describeShim, native, testWithMaps } from './needs.ts';
import { Package } from './packaged.ts';

let pack: Package;
beforeAll(() => {
  pack = new Package();
});
afterAll(() => pack.remove());

/** What the kernel says about a file descriptor of this process. */
function describeFd(fd: number): Record<string, string> {
  const lines = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2)));
}

describeShim('address()', () => {
  test('is where the bytes of the buffer are, as /proc/self/mem shows them', () => {
    const buffer = Uint8Array.from([5, 4, 3, 2, 1, 0, 255, 254]).buffer;
    const memory = openSync('/proc/self/mem', 'r');
    try {
      const seen = new Uint8Array(8);
      expect(readSync(memory, seen, { position: BigInt(native.address(buffer)) })).toBe(8);
      expect(seen).toEqual(new Uint8Array(buffer));
    } finally {
      closeSync(memory);
    }
  });

  test('stays the same for as long as the buffer is kept', () => {
    const buffer = new ArrayBuffer(64);
    const before = native.address(buffer);
    const garbage = Array.from({ length: 2000 }, () => new Uint8Array(10_000));
    expect(native.address(buffer)).toBe(before);
    expect(new Set(garbage.map((bytes) => native.address(bytes.buffer))).size).toBe(2000);
  });
});

describeMaps('bpf()', () => {
  let fd = -1;
  beforeEach(() => {
    fd = createArray(4, 8, 3);
  });
  afterEach(() => {
    native.close(fd);
  });

  test('creates a map, which the kernel describes as it was asked for', () => {
    expect(describeFd(fd)).toMatchObject({
      map_type: `${BPF_MAP_TYPE_ARRAY}`,
      key_size: '4',
      value_size: '8',
      max_entries: '3',
    });
  });

  test('writes a value and reads it back through pointers in the attributes', () => {
    const key = Uint32Array.of(2);
    const value = BigUint64Array.of(0x0123_4567_89ab_cdefn);
    const read = new BigUint64Array(1);
    expect(element(BPF_MAP_UPDATE_ELEM, fd, key.buffer, value.buffer)).toBe(0);
    expect(element(BPF_MAP_LOOKUP_ELEM, fd, key.buffer, read.buffer)).toBe(0);
    expect(read).toEqual(value);
    expect(element(BPF_MAP_LOOKUP_ELEM, fd, Uint32Array.of(1).buffer, read.buffer)).toBe(0);
    expect(read).toEqual(BigUint64Array.of(0n));
  });

  test('a key that is not there is -ENOENT', () => {
    const value = new ArrayBuffer(8);
    expect(element(BPF_MAP_LOOKUP_ELEM, fd, Uint32Array.of(3).buffer, value)).toBe(-2);
  });

  test('a closed map is -EBADF', () => {
    expect(native.close(fd)).toBe(0);
    const value = new ArrayBuffer(8);
    expect(element(BPF_MAP_LOOKUP_ELEM, fd, Uint32Array.of(0).buffer, value)).toBe(-9);
  });

  test('a command that does not exist is -EINVAL', () => {
    expect(bpf(9999, 0, 0)).toBe(-22);
    expect(bpf(-1, 0, 0)).toBe(-22);
  });

  test.each([0, 8, 2 ** 47, 2 ** 53])('attributes at %i, where nothing is, are -EFAULT', (at) => {
    expect(native.bpf(0, at, 72)).toBe(-14);
  });

  test('a pointer in the attributes to where nothing is is -EFAULT', () => {
    expect(bpf(BPF_MAP_LOOKUP_ELEM, fd, 0, 8, 0, 8, 0, 0, 0)).toBe(-14);
  });
});

describeMaps('prepare()', () => {
  const NO_COMMAND = 9999;

  test('makes calls with what the buffer holds at the time', () => {
    const fd = createArray(4, 8, 3);
    const [key, value] = [Uint32Array.of(2), BigUint64Array.of(77n)];
    const call = new DataView(new ArrayBuffer(40));
    const go = native.prepare(call.buffer);
    try {
      call.setUint32(4, 32, true);
      call.setUint32(8, fd, true);
      call.setBigUint64(16, BigInt(native.address(key.buffer)), true);
      call.setBigUint64(24, BigInt(native.address(value.buffer)), true);
      for (const command of [BPF_MAP_UPDATE_ELEM, BPF_MAP_LOOKUP_ELEM]) {
        call.setInt32(0, command, true);
        expect(go()).toBe(0);
        value[0] = 0n;
      }
      expect(go()).toBe(0);
      expect(value).toEqual(BigUint64Array.of(77n));
      key[0] = 3;
      expect(go()).toBe(-2);
      call.setInt32(0, NO_COMMAND, true);
      expect(go()).toBe(-22);
    } finally {
      native.close(fd);
    }
  });

  test('refuses what has no room for command and size', () => {
    for (const bytes of [0, 7]) {
      expect(() => native.prepare(new ArrayBuffer(bytes))).toThrow(/too short/);
    }
    const gone = new ArrayBuffer(8);
    structuredClone(gone, { transfer: [gone] });
    expect(() => native.prepare(gone)).toThrow(/detached/);
  });
});

describeShim('close()', () => {
  testWithMaps('closes, and says -EBADF when there is nothing to close', () => {
    const fd = createArray(4, 4, 1);
    expect(native.close(fd)).toBe(0);
    expect(() => describeFd(fd)).toThrow(/ENOENT/);
    expect(native.close(fd)).toBe(-9);
    expect(native.close(-1)).toBe(-9);
  });
});

describeShim('duplicate()', () => {
  testWithMaps('gives a second descriptor of the same map, which outlives the first', () => {
    const first = createArray(4, 4, 1);
    const second = native.duplicate(first);
    const id = describeFd(first).map_id;
    expect(second).not.toBe(first);
    expect(native.close(first)).toBe(0);
    expect(describeFd(second).map_id).toBe(id);
    expect(native.close(second)).toBe(0);
  });

  test('is none of the standard descriptors, even if those are free', () => {
    const { printed } = pack.run(`
      const native = loadNative();
      console.log(JSON.stringify([native.close(0), native.duplicate(1) >= 3]));`);
    expect(printed).toEqual([0, true]);
  });

  test('is not inherited by other programs', () => {
    const fd = native.duplicate(0);
    // O_CLOEXEC, in octal, as in <fcntl.h>.
    expect(Number.parseInt(describeFd(fd).flags ?? '', 8) & 0o2000000).toBe(0o2000000);
    expect(native.close(fd)).toBe(0);
  });

  test('of nothing is -EBADF', () => {
    expect(native.duplicate(-1)).toBe(-9);
  });
});

describeShim('raiseMemlock()', () => {
  test('lifts both limits, or is -EPERM and changes nothing', () => {
    const { printed } = pack.run(`
      const limits = () => fs.readFileSync('/proc/self/limits', 'utf8').match(/Max locked memory +(\\w+) +(\\w+)/).slice(1);
      const before = limits();
      console.log(JSON.stringify({ before, result: loadNative().raiseMemlock(), after: limits() }));`);
    const { before, result, after } = printed as {
      before: string[];
      result: number;
      after: string[];
    };
    expect([0, -1]).toContain(result);
    expect(after).toEqual(result === 0 ? ['unlimited', 'unlimited'] : before);
  });
});
