/** Getters that use the map they are on their way to: the kinds of map that only Linux has. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { struct } from '../../src/codec/by-hand.ts';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { SkStorage } from '../../src/maps/sk-storage.ts';
import { SockHash } from '../../src/maps/sock-hash.ts';
import { TaskStorage } from '../../src/maps/task-storage.ts';
import { describeKernel } from '../support/kernel.ts';

const PAIR = struct({ a: u64, b: u32 });
const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });

describeKernel('a getter that uses its map', () => {
  const sockets: Socket[] = [];

  beforeAll(async () => {
    for (let count = 0; count < 2; count += 1) {
      const socket = createSocket('udp4');
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      sockets.push(socket);
    }
  });

  afterAll(() => {
    for (const socket of sockets) socket.close();
  });

  it('leaves the value of another socket where it is', () => {
    const [one, two] = sockets as [Socket, Socket];
    using storage = SkStorage.create({ value: PAIR });
    storage.set(two, { a: 2n, b: 2 });
    storage.set(one, {
      a: 1n,
      get b() {
        storage.set(two, { a: 22n, b: 22 });
        return storage.get(two)!.b - 21;
      },
    });
    expect([storage.get(one), storage.get(two)]).toEqual([
      { a: 1n, b: 1 },
      { a: 22n, b: 22 },
    ]);
  });

  it('leaves the key of a socket as it is', () => {
    const [one, two] = sockets as [Socket, Socket];
    using map = SockHash.create({ key: PAIR, maxEntries: 2 });
    map.set({ a: 2n, b: 2 }, two);
    const key = {
      a: 1n,
      get b() {
        return map.has({ a: 2n, b: 2 }) ? 1 : 0;
      },
    };
    map.set(key, one);
    expect(map.has({ a: 1n, b: 1 })).toBe(true);
    expect(map.delete(key)).toBe(true);
    expect([...map.keys()]).toEqual([{ a: 2n, b: 2 }]);
  });

  it('is told that the map is closed, where it closes it', () => {
    const map = SockHash.create({ key: struct({ a: u32 }), maxEntries: 1 });
    const key = {
      get a() {
        map.close();
        return 1;
      },
    };
    expect(() => map.delete(key)).toThrow(CLOSED);
    const tasks = TaskStorage.create({ value: u32 });
    const task = {
      get fd() {
        tasks.close();
        return 0;
      },
    };
    expect(() => tasks.set(task, 1)).toThrow(CLOSED);
  });
});
