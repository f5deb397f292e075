/** Starting up: commands of skep, and importing the library, against Node.js doing nothing. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fixture } from '../inputs.mjs';
import { statistics } from '../measure.mjs';
import { pinned } from '../processes.mjs';
import { digits } from '../report.mjs';
import { ROOT } from '../toolchain.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'start';

const BUNDLE = join(ROOT, 'dist/bundle');
const COMMAND = join(BUNDLE, 'command.js');
const WARM_UP_RUNS = 3;
/** As many runs as a median needs at least that differences of a few milliseconds are to be seen in. */
const FEWEST_RUNS = 30;

const IDLE = 'node -e 0';
const JUDGED = 'skep inspect tiny.bpf.o';
const JUDGED_MS = 40;

/** Command lines by what they are called. */
function commands() {
  const node = process.execPath;
  const tiny = fixture('plain/tiny.bpf.o').path;
  const demo = fixture('demo.bpf.o').path;
  /** @param {string} file */
  const importing = (file) => {
    const url = pathToFileURL(join(BUNDLE, file)).href;
    return [node, '--input-type=module', '--eval', `import ${JSON.stringify(url)}`];
  };
  return new Map([
    [IDLE, [node, '--eval', '0']],
    ["import 'skep/obj'", importing('obj.js')],
    ["import 'skep'", importing('index.js')],
    ["import 'skep/testing'", importing('testing.js')],
    ['skep --version', [node, COMMAND, '--version']],
    ['skep --help', [node, COMMAND, '--help']],
    [JUDGED, [node, COMMAND, 'inspect', tiny]],
    ['skep inspect --json tiny.bpf.o', [node, COMMAND, 'inspect', '--json', tiny]],
    ['skep program dump demo.bpf.o', [node, COMMAND, 'program', 'dump', demo]],
    [
      'skep load demo.bpf.o --kernel memory',
      [node, COMMAND, 'load', demo, '--kernel', 'memory', '--maps-only'],
    ],
    ['skep map list --kernel memory', [node, COMMAND, 'map', 'list', '--kernel', 'memory']],
  ]);
}

/**
 * @param {Context} context
 * @returns {Report}
 */
export function run(context) {
  if (!existsSync(COMMAND)) {
    const note = 'start is not measured: dist/bundle/ does not exist; run "npm run build"';
    return { tables: [], verdicts: [], notes: [note], data: null };
  }
  context.progress('start: commands and imports');
  const samples = takeSamples(Math.max(context.plan.samples * context.passes, FEWEST_RUNS));
  const idle = samples.get(IDLE) ?? [];
  const above = new Map(
    [...samples].map(([key, values]) => [
      key,
      statistics(values.map((value, run) => value - (idle[run] ?? 0))),
    ]),
  );
  const rows = [...samples].map(([key, values]) => {
    const { median, min, max } = statistics(values);
    return [
      key,
      `${millis(median)} (${millis(min)} - ${millis(max)})`,
      key === IDLE ? '' : `+${millis(above.get(key)?.median ?? Number.NaN)}`,
    ];
  });
  return {
    tables: [{ title: 'start', columns: ['ms', 'wall time', `above ${IDLE}`], rows }],
    verdicts: [
      {
        name: `start: ${JUDGED}`,
        value: (above.get(JUDGED)?.median ?? Number.NaN) / 1e6,
        atMost: JUDGED_MS,
        of: `ms above ${IDLE}`,
      },
    ],
    notes: ['start: "above" is the median of the differences of runs that follow each other'],
    data: Object.fromEntries(samples),
  };
}

/**
 * Runs all in turns: a run is a process by itself, so they alternate run by run.
 * @param {number} count
 * @returns {Map<string, number[]>} nanoseconds
 */
function takeSamples(count) {
  const all = commands();
  /** @type {Map<string, number[]>} */
  const samples = new Map([...all.keys()].map((key) => [key, []]));
  for (let run = -WARM_UP_RUNS; run < count; run += 1) {
    for (const [key, command] of all) {
      const wall = wallNs(command);
      if (run >= 0) {
        samples.get(key)?.push(wall);
      }
    }
  }
  return samples;
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
