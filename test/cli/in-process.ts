/** Runs the `skep` command in the process of the test: in a tenth of the time of one of its own. */

import { expect, vi } from 'vitest';
import { run } from '../../src/cli/run.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import type { Ended } from './skep.ts';

/**
 * Runs the command here. Descriptors that it leaves open stay open, where tests on the kernel notice
 * them. Two at a time would print into each other.
 *
 * @param kernel another kernel than the one that `args` name
 */
export async function runHere(args: readonly string[], kernel?: Kernel): Promise<Ended> {
  const printed = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      printed[name] += String(text);
      return true;
    }),
  );
  try {
    return { status: await run(args, kernel), ...printed };
  } finally {
    for (const spy of spies) {
      spy.mockRestore();
    }
  }
}

/** The output of a command that must succeed without a word on stderr. */
export async function printed(args: readonly string[], kernel?: Kernel): Promise<string> {
  const { status, stdout, stderr } = await runHere(args, kernel);
  expect({ status, stderr }, args.join(' ')).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** A command that must end with this status and one line on stderr that has the words. */
export async function failsOn(
  kernel: Kernel,
  status: number,
  words: string | RegExp,
  args: readonly string[],
): Promise<void> {
  const ended = await runHere(args, kernel);
  const { stdout, stderr } = ended;
  expect({ status: ended.status, stdout }, stderr).toEqual({ status, stdout: '' });
  expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^skep: [^\n]*\n$/);
}
