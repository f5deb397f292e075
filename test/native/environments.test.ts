/**
 * Node.js has one environment per thread. Each loads the shim for itself, they end in any order,
 * also in the middle of a call, and the process may end before all of them.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeShim } from './needs.ts';
import { Package } from './packaged.ts';

let pack: Package;
let directory: string;
let path: string;
beforeAll(() => {
  pack = new Package();
  directory = mkdtempSync(join(tmpdir(), 'skep-env-'));
  path = join(directory, 'mapped');
  writeFileSync(path, new Uint8Array(8192).fill(7));
});
afterAll(() => {
  pack.remove();
  rmSync(directory, { recursive: true });
});

/** Functions for scripts: workers that run a module, and waiting for what they do. */
const threads = () => `
  const path = ${JSON.stringify(path)};
  const start = (body) => {
    const source = ${JSON.stringify(pack.prelude)} + "import { parentPort } from 'node:worker_threads';"
      + 'const path = ' + JSON.stringify(path) + ';' + body;
    return new Worker(new URL('data:text/javascript,' + encodeURIComponent(source)));
  };
  const message = (worker) => new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  const end = (worker) => new Promise((resolve, reject) => {
    worker.once('exit', resolve).once('error', reject);
  });
  const gone = async () => { for (let i = 0; i < 200 && mappings(path) > 0; i++) await turn(); };
`;

const run = (script: string, ...flags: string[]) => pack.run(threads() + script, ...flags);

/** What a worker does until it is stopped: every function of the shim, some with garbage. */
const busy = `
  const native = loadNative();
  const file = fs.openSync(path, 'r+');
  const attributes = Uint32Array.of(2, 4, 4, 1, 0, 0, 0, 0);
  parentPort.postMessage('ready');
  for (let kept = []; ; ) {
    native.bpf(9999, native.address(attributes.buffer), 32);
    const fd = native.bpf(0, native.address(attributes.buffer), 32);
    if (fd >= 0) native.close(fd);
    const buffer = native.map(file, 0, 8192, 3, 1);
    new Uint8Array(buffer)[0]++;
    kept.push(buffer);
    if (kept.length > 8) native.unmap(kept.shift());
    if (kept.length > 6) kept.splice(0, 3);
    try { native.address(null); } catch {}
  }`;

describeShim('worker threads', () => {
  test('twenty are terminated in the middle of a call, and leave no mapping behind', () => {
    const outcome = run(`
      const workers = Array.from({ length: 20 }, () => start(${JSON.stringify(busy)}));
      const ready = await Promise.all(workers.map(message));
      const during = mappings(path);
      await Promise.all(workers.map(async (worker, index) => {
        await new Promise((resolve) => setTimeout(resolve, index * 3));
        await worker.terminate();
      }));
      await gone();
      console.log(JSON.stringify([ready.length, during > 0, mappings(path), loadNative().close(-1)]));`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [20, true, 0, -9] });
  });

  test('mappings that a worker keeps end with it', () => {
    const outcome = run(`
      const worker = start(\`
        const native = loadNative();
        const file = fs.openSync(path, 'r');
        globalThis.kept = Array.from({ length: 5 }, () => native.map(file, 0, 8192, 1, 1));
        parentPort.postMessage(mappings(path));
        parentPort.once('message', () => {});
      \`);
      const during = await message(worker);
      const exit = end(worker);
      worker.postMessage('end');
      await exit;
      await gone();
      console.log(JSON.stringify([during, mappings(path)]));`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [5, 0] });
  });

  test('a buffer that is sent to another thread arrives as a copy, or not at all', () => {
    const outcome = run(`
      const native = loadNative();
      const file = fs.openSync(path, 'r');
      const worker = start(\`
        parentPort.once('message', (buffer) => {
          parentPort.postMessage([loadNative().unmap(buffer), new Uint8Array(buffer)[8191]]);
        });
      \`);
      const buffer = native.map(file, 0, 8192, 1, 1);
      const reply = message(worker);
      worker.postMessage(buffer);
      const seen = [await reply, buffer.byteLength];
      try { structuredClone(buffer, { transfer: [buffer] }); } catch {}
      seen.push(native.unmap(buffer), mappings(path));
      console.log(JSON.stringify(seen));`);
    expect(outcome).toMatchObject({ status: 0, printed: [[-22, 7], 8192, 0, 0] });
  });
});

describeShim('the order in which environments end', () => {
  const once = `
    const native = loadNative();
    const file = fs.openSync(path, 'r');
    const buffer = native.map(file, 0, 8192, 1, 1);
    const { threadId } = await import('node:worker_threads');
    if (threadId % 2 === 0) native.unmap(buffer);
    parentPort.postMessage('ready');`;

  test('the last one that has the shim may end before the process, and others begin after', () => {
    const outcome = run(`
      for (let round = 0; round < 10; round++) {
        const worker = start(${JSON.stringify(once)});
        if (await end(worker) !== 0) throw new Error('worker failed');
      }
      await gone();
      console.log(JSON.stringify([mappings(path), loadNative().close(-1)]));`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [0, -9] });
  });

  test('first in, first out and first in, last out', () => {
    const waiting = `${once} parentPort.once('message', () => parentPort.close());`;
    const outcome = run(`
      for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]]) {
        const workers = [];
        for (let i = 0; i < 4; i++) {
          workers.push(start(${JSON.stringify(waiting)}));
          await message(workers[i]);
        }
        for (const index of order) {
          const exit = end(workers[index]);
          workers[index].postMessage('end');
          await exit;
        }
      }
      await gone();
      console.log(JSON.stringify([mappings(path), loadNative().close(-1)]));`);
    expect(outcome).toMatchObject({ status: 0, signal: null, printed: [0, -9] });
  });
});

describeShim('the end of the process', () => {
  const mapped = `
    const native = loadNative();
    const file = fs.openSync(path, 'r');
    globalThis.kept = Array.from({ length: 50 }, () => native.map(file, 0, 8192, 1, 1));
    globalThis.kept.slice(0, 10).forEach((buffer) => native.unmap(buffer));
    console.log(mappings(path));`;

  test('is clean with live mappings, when there is nothing left to do', () => {
    expect(run(mapped)).toMatchObject({ status: 0, signal: null, printed: 40, errors: '' });
  });

  test('is clean with live mappings, by process.exit()', () => {
    const outcome = run(`${mapped} process.exit(3);`);
    expect(outcome).toMatchObject({ status: 3, signal: null, printed: 40, errors: '' });
  });

  test('is clean while workers are in the middle of a call', () => {
    const outcome = run(`
      const workers = Array.from({ length: 4 }, () => start(${JSON.stringify(busy)}));
      await Promise.all(workers.map(message));
      ${mapped.replace('console.log(mappings(path))', 'console.log(40)')}
      process.exit(3);`);
    expect(outcome).toMatchObject({ status: 3, signal: null, printed: 40, errors: '' });
  });
});
