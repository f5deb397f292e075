/** Programs that tests compare with: there or not, and required in CI. */

import { spawnSync } from 'node:child_process';

/** Whether a program can be run here. CI sets SKEP_REQUIRE_KERNEL and must have them all. */
export function hasProgram(name: string): boolean {
  const found = spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
  if (!found && process.env.SKEP_REQUIRE_KERNEL === '1') {
    throw new Error(`${name} is required, but not installed`);
  }
  return found;
}

/** Runs a program; its standard output. Throws if it fails. */
export function output(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) {
    throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  }
  return stdout;
}

/** What bpftool prints as JSON. The type is what the caller knows of it. */
export function bpftool<T>(...args: string[]): T {
  return JSON.parse(output('bpftool', '-j', ...args)) as T;
}
