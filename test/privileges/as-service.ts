/**
 * Child processes with chosen capabilities and no others, as a service manager would start them: an
 * ordinary user (65534) that has them by inheritance, and nothing to get more by.
 */

import { spawnSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { Capability } from '../../src/kernel/capabilities.ts';
import { ROOT } from '../cli/skep.ts';
import { kernelProblem } from '../support/kernel.ts';
import { hasProgram } from '../support/programs.ts';

const USER = 65534;

/** Why no such process can be started; null if it can. */
export const serviceProblem: string | null =
  kernelProblem ?? (hasProgram('setpriv') ? null : 'there is no setpriv (util-linux)');

/** Whether that user may read the build; in a checkout below /root it may not, and root is taken. */
const isReadable =
  serviceProblem === null &&
  spawnSync('setpriv', [
    ...['--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups'],
    ...[process.execPath, '--eval', `fs.readFileSync(${JSON.stringify(`${ROOT}/dist/index.js`)})`],
  ]).status === 0;

if (serviceProblem !== null) {
  console.warn(`TESTS WITH CHOSEN CAPABILITIES ARE SKIPPED: ${serviceProblem}`);
} else if (!isReadable) {
  console.warn(`Services run as root without its capabilities: user ${USER} may not read ${ROOT}`);
}

/** How a process ended. */
export interface ServiceEnd {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The first lines of each script. `told` is a message or what `call` gave, `print` writes JSON. */
const PRELUDE = `
  import * as fs from 'node:fs';
  import * as skep from '${at('index')}';
  import { linuxKernel } from '${at('kernel/linux')}';
  const told = (call) => {
    try { return call(); } catch (error) { return error.message; }
  };
  const print = (value) => console.log(JSON.stringify(value, (_, part) =>
    typeof part === 'bigint' ? Number(part) : part));`;

/** Where scripts import a module of the build from. */
export function at(module: string): string {
  return pathToFileURL(`${ROOT}/dist/${module}.js`).href;
}

/** Runs Node.js with no capability but these. */
function runAs(capabilities: readonly Capability[], args: readonly string[]): ServiceEnd {
  const names = capabilities.map((name) => `,+${name.slice('CAP_'.length).toLowerCase()}`).join('');
  const user = isReadable ? ['--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups'] : [];
  const held = ['--bounding-set', '--inh-caps', '--ambient-caps'].map(
    (set) => `${set}=-all${names}`,
  );
  return spawnSync('setpriv', [...user, ...held, '--no-new-privs', process.execPath, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });
}

/** What a script prints as JSON. It must write nothing to standard error. */
export function askService(capabilities: readonly Capability[], script: string): unknown {
  const args = ['--input-type=module', '--eval', `${PRELUDE}\n${script}`];
  const { status, stdout, stderr } = runAs(capabilities, args);
  if (status !== 0 || stderr !== '') {
    throw new Error(`a service with ${capabilities.join() || 'nothing'} failed: ${stderr}`);
  }
  return JSON.parse(stdout);
}

/** The `skep` command. */
export function skepAs(
  capabilities: readonly Capability[],
  ...args: readonly string[]
): ServiceEnd {
  return runAs(capabilities, [`${ROOT}/dist/cli/main.js`, ...args]);
}

/** Gives files to the user of these processes. */
export function giveToService(...paths: readonly string[]): void {
  for (const path of isReadable ? paths : []) {
    chownSync(path, USER, USER);
  }
}
