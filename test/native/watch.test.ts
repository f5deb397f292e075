/**
 * Watchers of the shim, on FIFOs: armed, woken, ended in every order, in threads that are stopped,
 * and at the end of the process.
 */

import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { NativeWatcher } from '../../src/kernel/native.ts';
import { describeShim, native } from './needs.ts';
import { Package } from './packaged.ts';

const READABLE = 1;
const WRITABLE = 2;

/** Names and scripts for child processes: a FIFO, how to open it, how many descriptors there are. */
const fifoScript = (path: string) => `
  const native = loadNative();
  const { O_RDWR, O_NONBLOCK } = fs.constants;
  const open = () => fs.openSync(${JSON.stringify(path)}, O_RDWR | O_NONBLOCK);
  const descriptors = () => fs.readdirSync('/proc/self/fd').length;
`;

let directory: string;
let path: string;
let fifo = -1;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-watch-'));
  path = join(directory, 'fifo');
  expect(spawnSync('mkfifo', [path]).status).toBe(0);
  fifo = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
});
afterEach(() => {
  closeSync(fifo);
  rmSync(directory, { recursive: true });
});

function watch(fd: number, events = READABLE): NativeWatcher {
  const watcher = native.watch(fd, events);
  if (typeof watcher === 'number') throw new Error(`watch: errno ${-watcher}`);
  return watcher;
}

const descriptors = () => readdirSync('/proc/self/fd').length;

/** Arms a watcher; resolves when it calls back. */
const woken = (watcher: NativeWatcher) =>
  new Promise<void>((resolve, reject) => {
    const result = native.arm(watcher, resolve);
    if (result < 0) reject(new Error(`arm: errno ${-result}`));
  });

describeShim('a watcher', () => {
  test('calls back once when there is something to read, and again when armed again', async () => {
    const watcher = watch(fifo);
    let calls = 0;
    const first = woken(watcher).then(() => calls++);
    await delay(5);
    expect(calls).toBe(0);
    writeSync(fifo, 'x');
    await first;
    await delay(5);
    expect(calls).toBe(1);
    // What is still there counts: level triggered.
    await woken(watcher);
    readSync(fifo, Buffer.alloc(1));
    const second = woken(watcher).then(() => calls++);
    await delay(5);
    expect(calls).toBe(1);
    writeSync(fifo, 'y');
    await second;
    expect(native.unwatch(watcher)).toBe(0);
  });

  test('calls back when there is room to write', async () => {
    const watcher = watch(fifo, WRITABLE);
    await woken(watcher);
    const page = Buffer.alloc(4096);
    try {
      for (;;) writeSync(fifo, page);
    } catch (error) {
      expect(error).toMatchObject({ code: 'EAGAIN' });
    }
    let room = false;
    const wait = woken(watcher).then(() => {
      room = true;
    });
    await delay(5);
    expect(room).toBe(false);
    for (let page = 0; page < 16; page++) readSync(fifo, Buffer.alloc(4096));
    await wait;
    native.unwatch(watcher);
  });

  test('is armed for one callback at a time, and disarmed by request', async () => {
    const watcher = watch(fifo);
    expect(native.disarm(watcher)).toBe(0);
    expect(native.arm(watcher, () => expect.unreachable())).toBe(0);
    expect(native.arm(watcher, () => {})).toBe(-16);
    expect(native.disarm(watcher)).toBe(0);
    writeSync(fifo, 'x');
    await delay(5);
    await woken(watcher);
    native.unwatch(watcher);
  });

  test('has a descriptor of its own, and closes it at once when it ends', async () => {
    const before = descriptors();
    const copy = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const watcher = watch(copy);
    const wait = woken(watcher);
    closeSync(copy);
    expect(descriptors()).toBe(before + 1);
    writeSync(fifo, 'x');
    await wait;
    expect(native.unwatch(watcher)).toBe(0);
    expect(descriptors()).toBe(before);
  });

  test('cannot be used after its end', () => {
    const watcher = watch(fifo);
    native.arm(watcher, () => expect.unreachable());
    expect(native.unwatch(watcher)).toBe(0);
    expect([
      native.unwatch(watcher),
      native.disarm(watcher),
      native.arm(watcher, () => {}),
    ]).toEqual([-22, -22, -22]);
  });

  test('may be ended, and another one made, in its own callback', async () => {
    writeSync(fifo, 'x');
    for (let round = 0; round < 20; round += 1) {
      const watcher = watch(fifo);
      await new Promise<void>((resolve) => {
        native.arm(watcher, () => {
          expect(native.arm(watcher, () => expect.unreachable())).toBe(0);
          expect(native.unwatch(watcher)).toBe(0);
          resolve();
        });
      });
    }
  });

  test('lets many others watch the same file', async () => {
    const before = descriptors();
    const watchers = Array.from({ length: 50 }, () => watch(fifo));
    const all = Promise.all(watchers.map(woken));
    writeSync(fifo, 'x');
    await all;
    for (const watcher of watchers) native.unwatch(watcher);
    expect(descriptors()).toBe(before);
  });

  test('is not called any more if the callback of another one ends it in the same turn', async () => {
    const other = join(directory, 'other');
    spawnSync('mkfifo', [other]);
    const second = openSync(other, constants.O_RDWR | constants.O_NONBLOCK);
    for (let round = 0; round < 20; round += 1) {
      const watchers = [watch(fifo), watch(second)];
      const calls: number[] = [];
      watchers.forEach((watcher, index) => {
        native.arm(watcher, () => {
          calls.push(index);
          // The descriptors get new owners at once.
          for (const each of watchers.splice(0)) native.unwatch(each);
          const heir = watch(fifo);
          native.unwatch(heir);
        });
      });
      writeSync(fifo, 'x');
      writeSync(second, 'x');
      while (calls.length === 0) await delay(1);
      await delay(2);
      expect(calls).toHaveLength(1);
    }
    closeSync(second);
  });

  test('runs what its callback queued before anything else', async () => {
    const watcher = watch(fifo);
    const order: string[] = [];
    writeSync(fifo, 'x');
    await new Promise<void>((resolve) => {
      native.arm(watcher, () => {
        process.nextTick(() => order.push('tick'));
        Promise.resolve().then(() => order.push('microtask'));
        setImmediate(() => {
          order.push('immediate');
          resolve();
        });
        order.push('callback');
      });
    });
    expect(order).toEqual(['callback', 'tick', 'microtask', 'immediate']);
    native.unwatch(watcher);
  });

  test('passes on what cannot be watched, and leaves nothing behind', () => {
    const before = descriptors();
    const file = openSync('/proc/self/maps', 'r');
    const regular = openSync(process.execPath, 'r');
    closeSync(file);
    expect(native.watch(regular, READABLE)).toBe(-1);
    expect(native.watch(file === regular ? -1 : file, READABLE)).toBe(-9);
    closeSync(regular);
    expect(descriptors()).toBe(before);
  });

  test.each([0, 3, 4, -1])('is not for events %i', (events) => {
    expect(() => native.watch(fifo, events)).toThrow(
      expect.objectContaining({ name: 'RangeError', code: 'ERR_SKEP_ARGUMENT' }),
    );
  });
});

describeShim('an epoll descriptor', () => {
  test('is readable while one of its own is', async () => {
    const other = join(directory, 'other');
    spawnSync('mkfifo', [other]);
    const second = openSync(other, constants.O_RDWR | constants.O_NONBLOCK);
    const set = native.epollCreate();
    expect([native.epollAdd(set, fifo, 1), native.epollAdd(set, second, 1)]).toEqual([0, 0]);
    expect(native.epollAdd(set, second, 1)).toBe(-17);
    const watcher = watch(set);
    for (const fd of [second, fifo, second]) {
      const wait = woken(watcher);
      await delay(2);
      writeSync(fd, 'x');
      await wait;
      readSync(fd, Buffer.alloc(1));
    }
    native.unwatch(watcher);
    native.close(set);
    closeSync(second);
  });
});

describeShim('in a process of its own, a watcher', () => {
  let pack: Package;
  beforeAll(() => {
    pack = new Package();
  });
  afterAll(() => pack.remove());
  const run = (script: string, ...flags: string[]) => pack.run(fifoScript(path) + script, ...flags);

  test('keeps the process only while it is armed', () => {
    const outcome = run(`
      const watcher = native.watch(open(), 1);
      native.arm(watcher, () => {});
      native.disarm(watcher);
      globalThis.another = native.watch(open(), 1);
      const third = native.watch(open(), 1);
      const fd = open();
      native.arm(third, () => console.log('1'));
      setTimeout(() => fs.writeSync(fd, 'x'), 50);`);
    expect(outcome).toEqual({ status: 0, signal: null, printed: 1, errors: '' });
  });

  test('makes what its callback throws an uncaught exception, and goes on working', () => {
    const outcome = run(`
      const seen = [];
      process.on('uncaughtException', (error) => seen.push(error.message));
      const fd = open();
      fs.writeSync(fd, 'x');
      const watcher = native.watch(fd, 1);
      const after = (count, then) => {
        if (seen.length < count) setTimeout(after, 5, count, then);
        else then();
      };
      native.arm(watcher, () => { throw new Error('one'); });
      after(1, () => {
        native.arm(watcher, () => { throw new Error('two'); });
        after(2, () => {
          seen.push(native.close(-1), native.unwatch(watcher));
          console.log(JSON.stringify(seen));
        });
      });`);
    expect(outcome).toMatchObject({ status: 0, printed: ['one', 'two', -9, 0], errors: '' });
  });

  test('ends the process by what its callback throws, if nobody catches it', () => {
    const outcome = run(`
      const fd = open();
      fs.writeSync(fd, 'x');
      native.arm(native.watch(fd, 1), () => { throw new Error('nobody catches this'); });`);
    expect(outcome.status).toBe(1);
    expect(outcome.errors).toContain('nobody catches this');
  });

  test('ends when it is collected; not while it is armed', () => {
    const outcome = run(
      `
      const fd = open();
      const collect = async () => { for (let i = 0; i < 10; i++) { gc(); await turn(); } };
      const before = descriptors();
      for (let i = 0; i < 20; i++) native.watch(fd, 1);
      const counts = [descriptors() - before];
      await collect();
      counts.push(descriptors() - before);
      let called = 0;
      const arm = () => {
        const watcher = native.watch(fd, 1);
        native.arm(watcher, () => { called += native.unwatch(watcher) === 0; });
      };
      for (let i = 0; i < 5; i++) arm();
      await collect();
      counts.push(descriptors() - before);
      fs.writeSync(fd, 'x');
      await collect();
      counts.push(descriptors() - before, called);
      console.log(JSON.stringify(counts));`,
      '--expose-gc',
    );
    expect(outcome).toMatchObject({ status: 0, printed: [20, 0, 5, 0, 5] });
  });

  test.each([
    ['armed, by process.exit()', 'native.arm(watcher, () => {}); process.exit(3);', 3],
    [
      'armed, in a callback',
      'native.arm(watcher, () => process.exit(3)); fs.writeSync(fd, "x");',
      3,
    ],
    ['ended, by process.exit()', 'native.unwatch(watcher); process.exit(3);', 3],
    ['idle, when there is nothing left to do', '', 0],
    ['ended, when there is nothing left to do', 'native.unwatch(watcher);', 0],
  ])('survives the end of the process while %s', (_what, code, status) => {
    const outcome = run(`
      const fd = open();
      globalThis.kept = Array.from({ length: 10 }, () => native.watch(fd, 1));
      const watcher = native.watch(fd, 1);
      ${code}`);
    expect(outcome).toEqual({ status, signal: null, printed: undefined, errors: '' });
  });
});

describeShim('in worker threads, watchers', () => {
  let pack: Package;
  beforeAll(() => {
    pack = new Package();
  });
  afterAll(() => pack.remove());

  /** What a worker does until it is stopped. */
  const busy = `
    let turns = 0;
    const make = () => {
      const fd = open();
      const watcher = native.watch(fd, 1);
      const again = () => {
        turns += 1;
        if (turns % 11 === 0) {
          native.unwatch(watcher);
          fs.closeSync(fd);
          make();
        } else {
          native.arm(watcher, again);
        }
      };
      native.arm(watcher, again);
      return fd;
    };
    fs.writeSync(make(), 'x');
    for (let i = 0; i < 5; i++) make();
    globalThis.idle = Array.from({ length: 5 }, () => native.watch(open(), 1));
    parentPort.postMessage('ready');`;

  const start = (body: string) => `
    const source = ${JSON.stringify(pack.prelude + fifoScript(path))}
      + "import { parentPort } from 'node:worker_threads';" + ${JSON.stringify(body)};
    const start = () => new Worker(new URL('data:text/javascript,' + encodeURIComponent(source)));
    const message = (worker) => new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject);
    });`;

  test('end with a worker that is terminated, whatever they were doing', () => {
    const outcome = pack.run(`
      ${fifoScript(path)} ${start(busy)}
      // The first worker makes Node.js open something for good.
      await start().terminate();
      const before = descriptors();
      const counts = [];
      for (let round = 0; round < 3; round++) {
        const workers = Array.from({ length: 8 }, start);
        await Promise.all(workers.map(message));
        await Promise.all(workers.map(async (worker, index) => {
          await new Promise((resolve) => setTimeout(resolve, index * 4));
          await worker.terminate();
        }));
        for (let i = 0; i < 100 && descriptors() > before; i++) await turn();
        counts.push(descriptors() - before);
      }
      console.log(JSON.stringify([counts, native.close(-1)]));`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [[0, 0, 0], -9] });
  });

  test('end with a worker that has nothing left to do', () => {
    const body = `
      globalThis.idle = Array.from({ length: 5 }, () => native.watch(open(), 1));
      native.arm(globalThis.idle[0], () => {});
      native.disarm(globalThis.idle[0]);
      native.unwatch(globalThis.idle[1]);
      parentPort.postMessage('ready');`;
    const outcome = pack.run(`
      ${fifoScript(path)} ${start(body)}
      const codes = [];
      for (let round = 0; round < 5; round++) {
        const worker = start();
        codes.push(await new Promise((resolve, reject) => {
          worker.once('exit', resolve).once('error', reject);
        }));
      }
      console.log(JSON.stringify(codes));`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [0, 0, 0, 0, 0] });
  });

  test('do not keep the process from ending in the middle of it', () => {
    const outcome = pack.run(`
      ${fifoScript(path)} ${start(busy)}
      await Promise.all(Array.from({ length: 4 }, start).map(message));
      process.exit(3);`);
    expect(outcome).toMatchObject({ status: 3, signal: null, errors: '' });
  });
});
