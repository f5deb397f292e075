/** Runs one command line and turns however it ends into an exit status. */

import type { Command } from 'commander';
import type { Kernel } from '../kernel/kernel.ts';

/** Everything went well, or help or the version was asked for. */
const EXIT_DONE = 0;
/** The object, the kernel or the system was in the way. */
const EXIT_FAILED = 1;
/** The command line makes no sense: unknown options, missing arguments, names that do not exist. */
const EXIT_USAGE = 2;

/**
 * Runs the command.
 *
 * @param args the arguments behind `skep`
 * @param kernel the kernel to work with, whatever `args` say; it outlives the command
 * @returns the exit status: 0 done, 1 failed, 2 used wrongly. Never rejects; what went wrong is on
 *   stderr
 */
export async function run(args: readonly string[], kernel?: Kernel): Promise<number> {
  let program: Command | undefined;
  try {
    const file = plainInspection(args);
    if (file !== undefined) {
      const { inspectCommand } = await import('./inspect-command.ts');
      await inspectCommand(file, {});
      return EXIT_DONE;
    }
    const { createProgram } = await import('./program.ts');
    program = createProgram(kernel);
    await program.parseAsync(args, { from: 'user' });
    return EXIT_DONE;
  } catch (error) {
    const { CommanderError } = await import('commander');
    if (error instanceof CommanderError) {
      // Commander has printed it, or what was asked for.
      return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE;
    }
    const { reportError } = await import('./report-error.ts');
    const isUsage = reportError(error, program?.opts().verbose === true);
    return isUsage ? EXIT_USAGE : EXIT_FAILED;
  }
}

/**
 * The file of `skep inspect FILE`: with no option there is nothing to parse, and loading the parser
 * takes longer than inspecting an object. Everything else is commander's.
 */
function plainInspection(args: readonly string[]): string | undefined {
  const [command, file] = args;
  return command === 'inspect' && args.length === 2 && !file?.startsWith('-') ? file : undefined;
}
