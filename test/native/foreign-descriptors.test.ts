/** Descriptors of other things than maps, closed behind a handle's back, or with a number given out anew. */

import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { u32, u64 } from '../../src/codec/numbers.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { loadInstructions } from '../support/instructions.ts';
import { describeMaps, native } from './needs.ts';

let kernel: Kernel;
let directory: string;
let server: Server;
let map: HashMap<number, bigint>;
/** Closed after each test. */
const opened: number[] = [];
/** By what they are of. */
const descriptors = new Map<string, () => number>();

/** `r0 = 0; exit`. */
const program = () => loadInstructions([{ code: 0xb7, value: 0 }, { code: 0x95 }]).fd;

const kinds = [
  'a file',
  'a directory',
  'a pipe',
  'a socket',
  'an epoll set',
  'a program',
  'nothing',
  'nothing, and less than that',
] as const;

function fdOf(kind: string): number {
  const fd = descriptors.get(kind)!();
  if (fd > 2 && kind !== 'a socket' && kind !== 'nothing') opened.push(fd);
  return fd;
}

const refused = expect.objectContaining({ code: 'ERR_SKEP_SYSCALL' });

describeMaps('what is no map', () => {
  beforeAll(async () => {
    kernel = linuxKernel();
    directory = mkdtempSync(join(tmpdir(), 'skep-foreign-'));
    spawnSync('mkfifo', [join(directory, 'fifo')]);
    server = createServer().listen(0);
    map = HashMap.create({ key: u32, value: u64, maxEntries: 4 });
    descriptors
      .set('a file', () => openSync(process.execPath, 'r'))
      .set('a directory', () => openSync(directory, 'r'))
      .set('a pipe', () => openSync(join(directory, 'fifo'), 'r+'))
      .set('a socket', () => Reflect.get(Reflect.get(server, '_handle'), 'fd'))
      .set('an epoll set', () => native.epollCreate())
      .set('a program', program)
      .set('nothing', () => 1_000_000)
      .set('nothing, and less than that', () => -1);
  });
  afterAll(() => {
    server.close();
    map.close();
    rmSync(directory, { recursive: true });
  });

  afterEach(() => {
    for (const fd of opened.splice(0)) closeSync(fd);
  });

  test.each(kinds)('is refused by every call, and nothing else happens to %s', (kind) => {
    const fd = fdOf(kind);
    const [key, value] = [new Uint8Array(4), new Uint8Array(4096)];
    const cursor = () => ({ position: new Uint8Array(8), started: false, done: false });
    const calls: readonly (readonly [string, () => unknown])[] = [
      ['mapInfo', () => kernel.mapInfo(fd)],
      ['valueBytes', () => kernel.valueBytes(fd)],
      ['lookup', () => kernel.lookup(fd, key, value, 0)],
      ['update', () => kernel.update(fd, key, value, 0)],
      ['delete', () => kernel.delete(fd, key)],
      ['nextKey', () => kernel.nextKey(fd, null, key)],
      ['lookupBatch', () => kernel.lookupBatch(fd, cursor(), key, value, 1)],
      ['updateBatch', () => kernel.updateBatch(fd, key, value, 1, 0)],
      ['freeze', () => kernel.freeze(fd)],
      ['linkStructOps', () => kernel.linkStructOps(fd)],
    ];
    for (const [name, call] of calls) {
      expect(call, name).toThrow(refused);
    }
    if (kind !== 'a program') {
      for (const call of [() => kernel.programInfo(fd), () => kernel.programCode(fd)]) {
        expect(call).toThrow(refused);
      }
    }
    // Sockets can be mapped too (tcp(7), receiving without copies).
    if (kind !== 'a file' && kind !== 'a socket') {
      expect(() => kernel.mapMemory(fd, 0, 4096, false)).toThrow(refused);
    }
    // The map beside it is as it was.
    expect(map.set(1, 1n).get(1)).toBe(1n);
  });

  test.each(['a file', 'a directory', 'nothing'])('cannot be waited for: %s', (kind) => {
    const fd = fdOf(kind);
    expect(() => kernel.watch([fd], 'readable')).toThrow(refused);
    expect(() => kernel.watch([fd, fd], 'readable')).toThrow(refused);
  });

  test('an epoll set is not put into itself', () => {
    const set = fdOf('an epoll set');
    expect(native.epollAdd(set, set, 1)).toBe(-22);
  });
});

describeMaps('a handle whose descriptor somebody else has closed', () => {
  test('is told that it is gone by every call, and closes', () => {
    const lost = HashMap.create({ key: u32, value: u64, maxEntries: 4 });
    const gone = expect.objectContaining({ errnoName: 'EBADF' });
    closeSync(lost.fd);
    for (const call of [
      () => lost.get(1),
      () => lost.set(1, 1n),
      () => lost.delete(1),
      () => lost.count(),
      () => lost.clear(),
      () => lost.freeze(),
    ]) {
      expect(call).toThrow(gone);
    }
    lost.close();
    expect(lost.closed).toBe(true);
  });

  test('does not write beyond its values if its number goes to a map with larger ones', () => {
    const lost = ArrayMap.create({ value: u32, maxEntries: 1 });
    const { fd } = lost;
    closeSync(fd);
    using other = ArrayMap.create({ value: bytes(4096), maxEntries: 1 });
    expect(other.fd).toBe(fd);
    expect(() => lost.get(0)).toThrow(RangeError);
    expect(() => lost.set(0, 1)).toThrow(RangeError);
    expect(() => lost.snapshot()).toThrow(RangeError);
  });

  test('gets an error from what has its number, if that is a file', () => {
    const lost = HashMap.create({ key: u32, value: u64, maxEntries: 4 });
    const { fd } = lost;
    closeSync(fd);
    const file = openSync(process.execPath, 'r');
    expect(file).toBe(fd);
    expect(() => lost.get(1)).toThrow(refused);
    // As with any descriptor, closing it closes the file: nobody else may close what a handle owns.
    lost.close();
    expect(() => closeSync(file)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});

describeMaps('descriptors of skep', () => {
  test('are not inherited by other programs', () => {
    using held = HashMap.create({ key: u32, value: u64, maxEntries: 4 });
    const { fd } = loadInstructions([{ code: 0xb7, value: 0 }, { code: 0x95 }]);
    const set = native.epollCreate();
    expect(held.fd).toBeGreaterThan(2);
    const { stdout } = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
    expect(stdout).toContain('/proc/');
    expect(stdout).not.toContain('anon_inode');
    native.close(fd);
    native.close(set);
  });
});
