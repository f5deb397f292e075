/** Starting up: `skep inspect` of a tiny object against Node.js doing nothing. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fixture } from '../inputs.mjs';
import { statistics } from '../measure.mjs';
import { pinned } from '../processes.mjs';
import { digits } from '../report.mjs';
import { ROOT } from '../toolchain.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'inspect';

const COMMAND = join(ROOT, 'dist/cli/main.js');
const WARM_UP_RUNS = 3;

/**
 * @param {Context} context
 * @returns {Report}
 */
export function run(context) {
  if (!existsSync(COMMAND)) {
    return {
      tables: [],
      verdicts: [],
      notes: ['inspect is not measured: dist/cli/main.js does not exist'],
      data: null,
    };
  }
  context.progress('inspect: start-up');
  const commands = new Map([
    ['node -e 0', [process.execPath, '-e', '0']],
    ['skep inspect', [process.execPath, COMMAND, 'inspect', fixture('plain/tiny.bpf.o').path]],
  ]);
  /** @type {Map<string, number[]>} */
  const samples = new Map([...commands.keys()].map((key) => [key, []]));
  const count = context.plan.samples * context.passes;
  // A run is a process by itself, so the two take turns run by run.
  for (let run = -WARM_UP_RUNS; run < count; run += 1) {
    for (const [key, command] of commands) {
      const wall = wallNs(command);
      if (run >= 0) {
        samples.get(key)?.push(wall);
      }
    }
  }
  const all = [...samples].map(([key, values]) => ({ key, ...statistics(values) }));
  const idle = all[0]?.median ?? 0;
  const rows = all.map(({ key, median, min, max }) => [
    key,
    `${millis(median)} (${millis(min)} - ${millis(max)})`,
    key === 'node -e 0' ? '' : `+${millis(median - idle)}`,
  ]);
  return {
    tables: [{ title: 'inspect', columns: ['ms', 'wall time', 'above node -e 0'], rows }],
    verdicts: [],
    notes: [],
    data: Object.fromEntries(samples),
  };
}

/** @param {readonly string[]} command */
function wallNs(command) {
  const [program = '', ...args] = pinned(command).command;
  const start = process.hrtime.bigint();
  const { status, stderr } = spawnSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const wall = Number(process.hrtime.bigint() - start);
  if (status !== 0) {
    throw new Error(`${command.join(' ')} failed: ${stderr}`);
  }
  return wall;
}

/** @param {number} ns */
function millis(ns) {
  return digits(ns / 1e6);
}
