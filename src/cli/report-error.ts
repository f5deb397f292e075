/**
 * Errors as people see them: one line on stderr, and with `--verbose` all that is known. Only what the
 * verifier says comes with lines of its own, which are indented.
 */

import { inspect } from 'node:util';
import { SkepError, VerifierError } from '../errors.ts';
import { printable, printError } from './terminal.ts';
import { CommandError, UsageError } from './usage.ts';

/**
 * Prints an error as `skep: message [CODE]`.
 *
 * @param verbose print the stack and the causes too
 * @returns whether the command was used wrongly, rather than failed
 */
export function reportError(error: unknown, verbose: boolean): boolean {
  warn(withCode(error));
  if (error instanceof VerifierError) {
    printError(logLines(error, verbose));
  }
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

/** So many lines of a log are printed unasked. */
const LAST_LINES = 12;
/** States of all registers make long lines, of which the start says enough. */
const LINE_LENGTH = 160;

/** The end of the verifier's log, or all of it. */
function logLines({ log }: VerifierError, whole: boolean): string {
  const lines = log.text.trimEnd().split('\n');
  const shown = whole
    ? lines
    : lines
        .slice(-LAST_LINES)
        .map((line) => (line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH)} ...` : line));
  const left = lines.length - shown.length;
  const head = left === 0 ? '' : `  (${left} lines of the log before; --verbose prints them all)\n`;
  return head + shown.map((line) => `  ${printable(line)}\n`).join('');
}

function withCode(error: unknown): string {
  return error instanceof SkepError
    ? `${describeError(error)} [${error.code}]`
    : describeError(error);
}

/** An error's message; of those that nobody foresaw, also what to do about them. */
export function describeError(error: unknown): string {
  if (error instanceof VerifierError) {
    // What the library says of its property is of no use to who reads this.
    return error.message.replace(/; the error's "text" has the whole log \([^)]*\)$/, '');
  }
  if (error instanceof SkepError) {
    return error.message;
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
