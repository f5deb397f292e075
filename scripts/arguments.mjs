/**
 * Arguments of scripts: usage for `--help`, and a sentence with exit status 2 for what is wrong, so that
 * status 1 says that something was found.
 */

import { parseArgs } from 'node:util';

/**
 * Ends for wrong usage, with status 2.
 *
 * @param {string} problem
 * @param {string} usage
 * @returns {never}
 */
export function misused(problem, usage) {
  console.error(`${problem}\n${usage}`);
  process.exit(2);
}

/**
 * Reads the arguments of this process, or those given.
 *
 * @template {import('node:util').ParseArgsConfig} T
 * @param {T} config
 * @param {string} usage
 */
export function readArguments(config, usage) {
  const args = config.args ?? process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    return misused(error instanceof Error ? error.message : String(error), usage);
  }
}

/**
 * Reads a number that was given for an option.
 *
 * @param {string} name of the option
 * @param {string} text
 * @param {object} wanted
 * @param {number} wanted.least
 * @param {boolean} [wanted.isWhole]
 * @param {boolean} [wanted.isAbove] whether it must be more than `least`
 * @param {string} usage
 */
export function readNumber(name, text, { least, isWhole = false, isAbove = false }, usage) {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  const isFine = isWhole ? Number.isSafeInteger(number) : Number.isFinite(number);
  if (isFine && (isAbove ? number > least : number >= least)) {
    return number;
  }
  const range = isAbove ? `more than ${least}` : `${least} or more`;
  return misused(`--${name} is a ${isWhole ? 'whole ' : ''}number, ${range}, not "${text}"`, usage);
}
