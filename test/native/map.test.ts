import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { needsLinux, skipBecause } from '../support/kernel.ts';
import {
  BPF_F_MMAPABLE,
  BPF_MAP_FREEZE,
  BPF_MAP_LOOKUP_ELEM,
  bpf,
  createArray,
  element,
} from './attributes.ts';
import { describeShim, native, testWithMaps } from './needs.ts';
import { Package } from './packaged.ts';

// <sys/mman.h>
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;

/** The mappings of this process in which `name` occurs, as lines of /proc/self/maps. */
const mappings = (name: string): string[] =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(name));

/** The mapping that contains `address`, if any. */
const mappingAt = (address: number): string | undefined =>
  mappings('').find((line) => {
    const [start, end] = line.split(/[- ]/, 2).map((hex) => Number.parseInt(hex, 16));
    return start !== undefined && end !== undefined && start <= address && address < end;
  });

/** Maps or fails the test with the errno. */
function map(...parameters: Parameters<typeof native.map>): ArrayBuffer {
  const buffer = native.map(...parameters);
  if (typeof buffer === 'number') throw new Error(`map: errno ${-buffer}`);
  return buffer;
}

/** Lets finalizers run: they are queued for a later turn of the event loop. */
async function settle(isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !isDone(); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

let directory: string;
let path: string;
let fd = -1;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-map-'));
  path = join(directory, 'three-pages');
  const pages = new Uint8Array(3 * 4096);
  pages.fill(1, 0, 4096);
  pages.fill(2, 4096, 8192);
  pages.fill(3, 8192);
  writeFileSync(path, pages);
  fd = openSync(path, 'r+');
});
afterEach(() => {
  closeSync(fd);
  rmSync(directory, { recursive: true });
});

describeShim('map()', () => {
  test('shows the BTF of the kernel: its magic, and as many bytes as sysfs says', (context) => {
    const btf = '/sys/kernel/btf/vmlinux';
    const { size } = statSync(btf);
    const file = openSync(btf, 'r');
    const result = native.map(file, 0, size, PROT_READ, MAP_PRIVATE);
    closeSync(file);
    // ENODEV
    if (result === -19) needsLinux(context, '6.16', 'a kernel that lets its BTF be mapped');
    const buffer = result as ArrayBuffer;
    expect(buffer).toBeInstanceOf(ArrayBuffer);
    expect(buffer.byteLength).toBe(size);
    expect(new DataView(buffer).getUint16(0, true)).toBe(0xeb9f);
    expect(Buffer.from(buffer).equals(readFileSync(btf))).toBe(true);
    expect(native.unmap(buffer)).toBe(0);
  });

  test('starts at the offset and has the length asked for', () => {
    const buffer = map(fd, 4096, 5000, PROT_READ, MAP_SHARED);
    expect(buffer.byteLength).toBe(5000);
    expect([new Uint8Array(buffer)[0], new Uint8Array(buffer)[4999]]).toEqual([2, 3]);
    expect(native.unmap(buffer)).toBe(0);
  });

  test('shared and writable: what is written reaches the file', () => {
    const buffer = map(fd, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED);
    new Uint8Array(buffer)[7] = 99;
    expect(readFileSync(path)[7]).toBe(99);
    expect(native.unmap(buffer)).toBe(0);
  });

  test('private and writable: what is written does not', () => {
    const buffer = map(fd, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    new Uint8Array(buffer)[7] = 99;
    expect(readFileSync(path)[7]).toBe(1);
    expect(native.unmap(buffer)).toBe(0);
  });

  test('outlives the file descriptor', () => {
    const file = openSync(path, 'r');
    const buffer = map(file, 0, 4096, PROT_READ, MAP_PRIVATE);
    closeSync(file);
    expect(new Uint8Array(buffer)[4095]).toBe(1);
    expect(native.unmap(buffer)).toBe(0);
  });

  test('passes on what the kernel refuses', () => {
    const readOnly = openSync(path, 'r');
    expect(native.map(readOnly, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED)).toBe(-13);
    closeSync(readOnly);
    expect(native.map(readOnly, 0, 4096, PROT_READ, MAP_SHARED)).toBe(-9);
    expect(native.map(fd, 1, 4096, PROT_READ, MAP_SHARED)).toBe(-22);
    expect(native.map(fd, 0, 0, PROT_READ, MAP_SHARED)).toBe(-22);
  });

  test('is -EOPNOTSUPP beyond the 4 GiB that any Node.js shows, and leaves nothing behind', () => {
    expect(native.map(fd, 0, 2 ** 32 + 1, PROT_READ, MAP_SHARED)).toBe(-95);
    expect(native.map(fd, 0, 2 ** 53, PROT_READ, MAP_SHARED)).toBe(-95);
    expect(mappings(path)).toEqual([]);
    const buffer = map(fd, 0, 2 ** 32, PROT_READ, MAP_SHARED);
    expect(buffer.byteLength).toBe(2 ** 32);
    expect(native.unmap(buffer)).toBe(0);
  });

  testWithMaps('a BPF array: writing to the memory is writing to the map', () => {
    const array = createArray(4, 8, 4, BPF_F_MMAPABLE);
    const buffer = map(array, 0, 4 * 8, PROT_READ | PROT_WRITE, MAP_SHARED);
    new BigUint64Array(buffer)[3] = 0xfeed_beefn;
    const value = new BigUint64Array(1);
    expect(element(BPF_MAP_LOOKUP_ELEM, array, Uint32Array.of(3).buffer, value.buffer)).toBe(0);
    expect(value[0]).toBe(0xfeed_beefn);
    expect(native.unmap(buffer)).toBe(0);
    expect(native.close(array)).toBe(0);
  });
});

describeShim('unmap()', () => {
  test('detaches the buffer and empties every view of it', () => {
    const buffer = map(fd, 0, 4096, PROT_READ, MAP_SHARED);
    const view = new Uint8Array(buffer, 8, 16);
    expect(native.unmap(buffer)).toBe(0);
    expect(buffer.byteLength).toBe(0);
    expect(view.byteLength).toBe(0);
    expect(view[0]).toBeUndefined();
    expect(() => native.address(buffer)).toThrow(TypeError);
  });

  test('lets go of the file before it returns', () => {
    const buffer = map(fd, 0, 4096, PROT_READ, MAP_SHARED);
    expect(mappings(path)).toHaveLength(1);
    expect(native.unmap(buffer)).toBe(0);
    expect(mappings(path)).toEqual([]);
  });

  testWithMaps(
    'lets go of a BPF map: it can be frozen only when no writable mapping is left',
    () => {
      const array = createArray(4, 8, 4, BPF_F_MMAPABLE);
      const buffer = map(array, 0, 32, PROT_READ | PROT_WRITE, MAP_SHARED);
      expect(bpf(BPF_MAP_FREEZE, array)).toBe(-16);
      expect(native.unmap(buffer)).toBe(0);
      expect(bpf(BPF_MAP_FREEZE, array)).toBe(0);
      expect(native.close(array)).toBe(0);
    },
  );

  test('a second time is -EINVAL, and does not touch what is mapped since', async () => {
    const first = map(fd, 0, 4096, PROT_READ, MAP_SHARED);
    const at = native.address(first);
    expect(native.unmap(first)).toBe(0);
    expect(native.unmap(first)).toBe(-22);
    await settle(() => mappingAt(at) === undefined);
    const second = map(fd, 4096, 4096, PROT_READ, MAP_SHARED);
    expect(native.unmap(first)).toBe(-22);
    expect(new Uint8Array(second)[0]).toBe(2);
    expect(native.unmap(second)).toBe(0);
  });

  test('a buffer that map() did not make is -EINVAL and stays as it is', () => {
    const foreign = Uint8Array.of(1, 2, 3).buffer;
    expect(native.unmap(foreign)).toBe(-22);
    expect(new Uint8Array(foreign)).toEqual(Uint8Array.of(1, 2, 3));
  });

  test('nor does a copy of a mapped buffer count as one', () => {
    const buffer = map(fd, 0, 4096, PROT_READ, MAP_SHARED);
    for (const copy of [buffer.slice(0), structuredClone(buffer)]) {
      expect(native.unmap(copy)).toBe(-22);
      expect(copy.byteLength).toBe(4096);
    }
    expect(native.unmap(buffer)).toBe(0);
  });

  // ES2024, in Node.js from version 22 on.
  const transfer: unknown = Reflect.get(ArrayBuffer.prototype, 'transfer');

  test('a buffer that was moved by transfer() is -EINVAL, and so is where it went', (context) => {
    if (typeof transfer !== 'function') skipBecause(context, 'needs Node.js 22: transfer()');
    const buffer = map(fd, 0, 4096, PROT_READ, MAP_SHARED);
    const moved: ArrayBuffer = Reflect.apply(transfer as () => ArrayBuffer, buffer, []);
    expect(native.unmap(buffer)).toBe(-22);
    expect(native.unmap(moved)).toBe(-22);
    expect(new Uint8Array(moved)[0]).toBe(1);
  });

  test('frees the addresses in a later turn, and until then lets no one have them', async () => {
    const addresses = new Set<number>();
    for (let round = 0; round < 1000; round++) {
      const buffer = map(fd, 0, 8192, PROT_READ, MAP_SHARED);
      addresses.add(native.address(buffer));
      expect(native.unmap(buffer)).toBe(0);
    }
    // Had one been given out twice, the finalizer of the first would unmap the second.
    expect(addresses.size).toBe(1000);
    const [first] = addresses;
    expect(mappingAt(first ?? 0)).toMatch(/ ---p 00000000 00:00 0/);
    const reserved = () => [...addresses].filter((at) => mappingAt(at)?.includes('---p'));
    await settle(() => mappingAt(first ?? 0) === undefined);
    expect(reserved()).toEqual([]);
  });
});

describeShim('a mapped buffer that is forgotten', () => {
  let pack: Package;
  beforeAll(() => {
    pack = new Package();
  });
  afterAll(() => pack.remove());

  test('is unmapped when it is collected, and not while a view of it is in use', () => {
    const { status, printed } = pack.run(
      `
      const native = loadNative();
      const file = fs.openSync('${path}', 'r');
      const collect = async () => { for (let i = 0; i < 5; i++) { gc(); await turn(); } };
      let view = new Uint8Array(native.map(file, 0, 4096, 1, 1));
      for (let i = 0; i < 9; i++) native.map(file, 0, 4096, 1, 1);
      const counts = [mappings('${path}')];
      await collect();
      counts.push(mappings('${path}'), view[0]);
      view = undefined;
      await collect();
      counts.push(mappings('${path}'));
      console.log(JSON.stringify(counts));`,
      '--expose-gc',
    );
    expect(status).toBe(0);
    expect(printed).toEqual([10, 1, 1, 0]);
  });
});
