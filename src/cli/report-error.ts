/** Errors as people see them: one line on stderr, and with `--verbose` all that is known. */

import { inspect } from 'node:util';
import { SkepError } from '../errors.ts';
import { printable, printError } from './terminal.ts';
import { CommandError, UsageError } from './usage.ts';

/**
 * Prints an error as `skep: message [CODE]`.
 *
 * @param verbose print the stack and the causes too
 * @returns whether the command was used wrongly, rather than failed
 */
export function reportError(error: unknown, verbose: boolean): boolean {
  warn(describeError(error));
  if (verbose) {
    const details = inspect(error, { depth: 8 }).split('\n').map(printable).join('\n');
    printError(`${details}\n`);
  }
  return error instanceof UsageError;
}

/** Prints one line on stderr that is not part of the output. */
export function warn(message: string): void {
  printError(`skep: ${oneLine(message)}\n`);
}

/** An error's message; of those that nobody foresaw, also what to do about them. */
function describeError(error: unknown): string {
  if (error instanceof SkepError) {
    return `${error.message} [${error.code}]`;
  }
  if (error instanceof UsageError || error instanceof CommandError) {
    return error.message;
  }
  if (error instanceof Error && 'syscall' in error) {
    // The system's, such as a full disk behind standard output.
    return error.message;
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return `this is a defect of skep, please report it with the output of --verbose: ${message}`;
}

/** Scripts read stderr by lines: one error, one line. */
function oneLine(message: string): string {
  return printable(message.trim().replace(/\s*\n\s*/g, ' '));
}
