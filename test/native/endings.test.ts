/**
 * Threads and processes that end while handles are in use: in the middle of a wait, with mapped memory,
 * armed watchers and open loops. Each in a process of its own, that must end as it was told to.
 */

import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { ROOT } from '../cli/skep.ts';
import { runChild } from '../support/child.ts';
import { describeMaps } from './needs.ts';

/** Functions and handles for scripts, in the main thread and in workers. */
const PRELUDE = `
  import fs from 'node:fs';
  import { Worker, isMainThread, parentPort } from 'node:worker_threads';
  import { setTimeout as delay } from 'node:timers/promises';
  const { RingBuffer, MappedArray, HashMap, u32, u64, linuxKernel } =
    await import(${JSON.stringify(pathToFileURL(`${ROOT}/dist/index.js`).href)});
  const use = () => {
    const ring = RingBuffer.create({ sizeBytes: 16384, value: u64 });
    const numbers = MappedArray.create({ value: u64, maxEntries: 512 });
    const map = HashMap.create({ key: u32, value: u64, maxEntries: 8 });
    const loop = (async () => { for await (const _ of ring); })();
    loop.catch(() => {});
    numbers.set(3, 3n);
    return { ring, numbers, map, loop };
  };
  const mappings = () => fs.readFileSync('/proc/self/maps', 'latin1').match(/bpf-map/g)?.length ?? 0;
  const watchers = () => fs.readdirSync('/proc/self/fd').filter((fd) => {
    try { return /bpf-map/.test(fs.readlinkSync('/proc/self/fd/' + fd)); } catch { return false; }
  }).length;
  const print = (value) => console.log(JSON.stringify(value));
`;

const start = (body: string) => `
  const source = ${JSON.stringify(PRELUDE)} + ${JSON.stringify(body)};
  const start = () => new Worker(new URL('data:text/javascript,' + encodeURIComponent(source)));
  const said = (worker) => new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  const over = (worker) => new Promise((resolve) => worker.once('exit', resolve));`;

const run = async (script: string, ...flags: string[]) => {
  const { status, signal, stdout, stderr } = await runChild(PRELUDE + script, ...flags);
  return { status, signal, printed: stdout === '' ? null : JSON.parse(stdout), stderr };
};

describeMaps('the end of a process in the middle of a wait', () => {
  test.each([
    ['process.exit()', 'use(); process.exit(3);', 3],
    ['process.exit() in a later turn', 'use(); setTimeout(() => process.exit(3), 20);', 3],
    [
      'process.exit() in a listener of that',
      "use(); process.on('exit', () => process.exit(4)); process.exit(3);",
      4,
    ],
    [
      'a signal that is caught',
      "use(); process.once('SIGTERM', () => process.exit(5)); process.kill(process.pid, 'SIGTERM'); await delay(5000);",
      5,
    ],
    [
      'an error that nobody catches',
      "use(); setTimeout(() => { throw new Error('deliberate'); }, 20);",
      1,
    ],
    ['a promise that nobody catches', "use(); Promise.reject(new Error('deliberate'));", 1],
    [
      'use of what was closed in the listener',
      "const { ring, map } = use(); process.on('exit', () => { ring.close(); map.close(); try { map.get(1); } catch (error) { if (error.code === 'ERR_SKEP_CLOSED') process.exitCode = 6; } }); process.exit(3);",
      6,
    ],
  ])('by %s is clean', { timeout: 60_000 }, async (_what, script, status) => {
    const outcome = await run(script);
    expect(outcome).toMatchObject({ status, signal: null });
    expect(outcome.stderr.replace(/^.*deliberate.*$/m, '')).not.toMatch(/FATAL|Assertion|skep:/);
  });

  test('by a signal is that signal', { timeout: 60_000 }, async () => {
    const outcome = await run("use(); process.kill(process.pid, 'SIGTERM'); await delay(5000);");
    expect(outcome).toMatchObject({ status: null, signal: 'SIGTERM' });
  });

  test('does not come as long as a loop waits, and comes when it is closed', async () => {
    const outcome = await run(`
      const { ring } = use();
      const begin = Date.now();
      setTimeout(() => ring.close(), 300).unref();
      process.on('exit', () => print(Date.now() - begin >= 290));`);
    // Nothing but the loop keeps the process.
    expect(outcome).toMatchObject({ status: 0, printed: true });
  });
});

describeMaps('the end of a thread in the middle of a wait', () => {
  const TIMEOUT = { timeout: 60_000 };

  test(
    'by terminate() takes its memory and watchers along; the main thread goes on',
    TIMEOUT,
    async () => {
      const outcome = await run(`
      ${start("const kept = use(); parentPort.postMessage('ready'); await kept.loop;")}
      const workers = Array.from({ length: 6 }, start);
      await Promise.all(workers.map(said));
      const during = mappings() > 0;
      await Promise.all(workers.map((worker, index) => delay(index * 3).then(() => worker.terminate())));
      for (let turn = 0; turn < 200 && mappings() > 0; turn += 1) await delay(10);
      const { map } = use();
      print([during, mappings() > 0, map.set(1, 2n).get(1) === 2n]);
      process.exit(0);`);
      // Those that are left are the main thread's own.
      expect(outcome).toMatchObject({ status: 0, signal: null, printed: [true, true, true] });
    },
  );

  test('by process.exit() inside of it ends only the thread', TIMEOUT, async () => {
    const outcome = await run(`
      ${start('use(); setTimeout(() => process.exit(7), 10);')}
      const codes = await Promise.all([start(), start()].map(over));
      for (let turn = 0; turn < 200 && mappings() > 0; turn += 1) await delay(10);
      print([codes, mappings()]);`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [[7, 7], 0] });
  });

  test('by an error inside of it is told to the main thread', TIMEOUT, async () => {
    const outcome = await run(`
      ${start("use(); setTimeout(() => { throw new Error('deliberate'); }, 10);")}
      const message = await said(start()).catch((error) => error.message);
      for (let turn = 0; turn < 200 && mappings() > 0; turn += 1) await delay(10);
      print([message, mappings()]);`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: ['deliberate', 0] });
  });

  test('while the process ends does not keep it', TIMEOUT, async () => {
    const outcome = await run(`
      ${start("use(); parentPort.postMessage('ready'); for (;;) linuxKernel().nextMapId(0);")}
      await Promise.all(Array.from({ length: 4 }, start).map(said));
      use();
      process.exit(3);`);
    expect(outcome).toMatchObject({ status: 3, signal: null });
  });
});

describeMaps('what is sent to another thread', () => {
  const TIMEOUT = { timeout: 60_000 };
  const echo = start(
    "parentPort.once('message', (got) => parentPort.postMessage(Object.keys(got)));",
  );

  test(
    'is no handle there: a posted one has no methods, and cannot close the descriptor',
    TIMEOUT,
    async () => {
      const outcome = await run(`
      ${start("parentPort.once('message', (got) => parentPort.postMessage([typeof got.close, typeof got.get]));")}
      const { map } = use();
      const worker = start();
      const reply = said(worker);
      let arrived;
      try { worker.postMessage(map); arrived = await reply; } catch (error) { arrived = error.name; }
      print([arrived, map.set(1, 5n).get(1) === 5n]);
      process.exit(0);`);
      expect(outcome).toMatchObject({ status: 0, signal: null });
      const [arrived, works] = outcome.printed;
      expect([['undefined', 'undefined'], 'DataCloneError']).toContainEqual(arrived);
      expect(works).toBe(true);
    },
  );

  test('is a copy of memory that is mapped; it cannot be moved away', TIMEOUT, async () => {
    const outcome = await run(`
      ${echo}
      const { numbers } = use();
      const worker = start();
      const reply = said(worker);
      const view = numbers.numbers;
      let moved = 'moved';
      try { worker.postMessage(view, [view.buffer]); } catch (error) { moved = error.name; }
      if (moved !== 'moved') worker.postMessage(view);
      await reply;
      const kept = view.length > 0;
      numbers.close();
      await delay(20);
      print([kept || moved === 'moved', view.length]);
      process.exit(0);`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [true, 0] });
  });
});

describeMaps('what happens inside of a callback', () => {
  test('closing all handles, and the collector, crash nothing', { timeout: 60_000 }, async () => {
    const outcome = await run(
      `
      const kernel = linuxKernel();
      let calls = 0;
      for (let round = 0; round < 50; round += 1) {
        const ring = RingBuffer.create({ sizeBytes: 4096, value: u64 });
        // A hash cannot be polled: its watcher calls back at once.
        const map = HashMap.create({ key: u32, value: u64, maxEntries: 1 });
        await new Promise((resolve) => {
          const watches = [kernel.watch([map.fd], 'readable'), kernel.watch([map.fd], 'readable')];
          const called = () => {
            calls += 1;
            for (const watch of watches.splice(0)) watch.close();
            map.close();
            ring.close();
            gc();
            setImmediate(resolve);
          };
          for (const watch of watches) watch.arm(called);
        });
      }
      await delay(20);
      print([calls, mappings(), watchers()]);`,
      '--expose-gc',
    );
    // The first of two that are ready ends the other one, which is then not called.
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [50, 0, 0] });
  });
});
