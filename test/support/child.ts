/** Other processes that use skep as users do: its build in dist/, and programs that tests pinned. */

import { type ChildProcess, spawn } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../cli/skep.ts';

/** How a child process ended. */
export interface ChildEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The first lines of each script: `skep`, and `runProgram(pin, context, packet)`, which gives the result. */
const PRELUDE = `
  import * as skep from ${JSON.stringify(pathToFileURL(`${ROOT}/dist/index.js`).href)};
  import { AttributeBlock } from ${JSON.stringify(
    pathToFileURL(`${ROOT}/dist/kernel/linux-memory.js`).href,
  )};
  import { loadNative } from ${JSON.stringify(pathToFileURL(`${ROOT}/dist/kernel/native.js`).href)};
  const runProgram = (pin, context, packet = new Uint8Array()) => {
    const block = new AttributeBlock(loadNative(), true);
    const path = new TextEncoder().encode(pin + '\\0');
    block.clear(80);
    block.setPointer(0, path, path.length, 'the path');
    const fd = block.call(7, 16);
    if (fd < 0) throw new Error('BPF_OBJ_GET: ' + fd);
    block.clear(80);
    block.setU32(0, fd);
    block.setU32(8, packet.length);
    block.setPointer(16, packet, packet.length, 'the packet');
    block.setU32(40, context.length);
    block.setPointer(48, context, context.length, 'the context');
    const result = block.call(10, 80);
    const sent = block.u32(4);
    loadNative().close(fd);
    if (result < 0) throw new Error('BPF_PROG_TEST_RUN: ' + result);
    return sent;
  };
`;

/** Starts a module in a process of its own, and kills it after two minutes: emulated CPUs are slow. */
export function startChild(script: string, ...flags: readonly string[]): ChildProcess {
  return spawn(
    process.execPath,
    [...flags, '--input-type=module', '--eval', `${PRELUDE}\n${script}`],
    { cwd: ROOT, timeout: 120_000, stdio: ['pipe', 'pipe', 'pipe'] },
  );
}

/** Waits for the end of a process, and collects what it says until then. */
export function ended(child: ChildProcess): Promise<ChildEnd> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

/** Runs a module in a process of its own. */
export function runChild(script: string, ...flags: readonly string[]): Promise<ChildEnd> {
  return ended(startChild(script, ...flags));
}
