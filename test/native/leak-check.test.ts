/** The check for leaks that every test file has (test/support/leak-check.ts) sees what a test can leave. */

import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import type { NativeWatcher } from '../../src/kernel/native.ts';
import { compareResources, findLeaks, openResources } from '../support/open-resources.ts';
import { BPF_F_MMAPABLE, createArray } from './attributes.ts';
import { describeMaps, describeShim, native, testWithMaps } from './needs.ts';

/** What is found of something that is open, and once it is closed. */
async function around<T>(
  open: () => T,
  close: (opened: T) => unknown,
): Promise<[readonly string[], readonly string[]]> {
  const before = openResources();
  const opened = open();
  const leaks = await findLeaks(before, 0);
  close(opened);
  return [leaks, await findLeaks(before)];
}

describeShim('what is left open is found', () => {
  test('a file', async () => {
    const [open, closed] = await around(() => openSync('/proc/self/status', 'r'), closeSync);
    expect(open).toEqual([expect.stringMatching(/^file descriptor \d+: \/proc\/\d+\/status$/)]);
    expect(closed).toEqual([]);
  });

  test('a mapping of a file, also one whose descriptor is closed', async () => {
    const map = () => {
      const fd = openSync(process.execPath, 'r');
      const buffer = native.map(fd, 0, 4096, 1, 1);
      closeSync(fd);
      return buffer as ArrayBuffer;
    };
    const [open, closed] = await around(map, (buffer) => native.unmap(buffer));
    expect(open).toEqual([expect.stringMatching(/^mapping at [0-9a-f]+-[0-9a-f]+: \/.*node/)]);
    expect(closed).toEqual([]);
  });

  test('a watcher, by its descriptor', async () => {
    const watch = () => {
      const set = native.epollCreate();
      const watcher = native.watch(set, 1) as NativeWatcher;
      native.close(set);
      return watcher;
    };
    const [open, closed] = await around(watch, (watcher) => native.unwatch(watcher));
    expect(open).toEqual([expect.stringContaining('anon_inode:[eventpoll]')]);
    expect(closed).toEqual([]);
  });

  test('a socket, which closes some time later', async () => {
    const listen = () => createServer().listen(0);
    const [open, closed] = await around(listen, (server) => setTimeout(() => server.close(), 50));
    expect(open).toEqual([expect.stringMatching(/^file descriptor \d+: socket:/)]);
    expect(closed).toEqual([]);
  });

  test('and becomes an error that lists it', () => {
    expect(() => compareResources([], 'this test')).not.toThrow();
    expect(() => compareResources(['file descriptor 9: x', 'mapping at y'], 'this test')).toThrow(
      'this test left open:\n  file descriptor 9: x\n  mapping at y',
    );
  });
});

describeMaps('of the kernel, what is left open is found', () => {
  testWithMaps('a map, and its memory', async () => {
    const create = () => {
      const fd = createArray(4, 8, 512, BPF_F_MMAPABLE);
      return { fd, buffer: native.map(fd, 0, 4096, 3, 1) as ArrayBuffer };
    };
    const [open, closed] = await around(create, ({ fd, buffer }) => {
      native.unmap(buffer);
      native.close(fd);
    });
    expect(open).toEqual([
      expect.stringMatching(/^file descriptor \d+: anon_inode:\[?bpf-map\]?$/),
      expect.stringMatching(/^mapping at .*: anon_inode:\[?bpf-map\]?$/),
    ]);
    expect(closed).toEqual([]);
  });
});
