/** The arguments of `npm run test:vm`: read and checked before anything is fetched or built. */

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/**
 * @typedef {object} Arguments
 * @property {boolean} help
 * @property {string[]} versions of Linux, from the oldest to the newest, each once
 * @property {string | undefined} cache directory of kernels
 * @property {string | undefined} output directory for reports
 * @property {any} hostReport of vitest on this host; null if there is none to compare with
 * @property {number} memoryMiB
 * @property {number} cpus
 * @property {number} timeoutSeconds
 * @property {boolean} verbose
 * @property {string[]} forVitest what follows `--`
 */

/** A mistake of the caller, in words for them. */
export class UsageError extends Error {}

/** The least and the most of each number; less memory does not hold the initramfs while it is unpacked. */
const LIMITS = { memory: [512, 65_536], cpus: [1, 64], timeout: [1, 86_400] };

/**
 * Reads the arguments of the command.
 *
 * @param {string[]} args those after the script's name
 * @returns {Arguments}
 * @throws {UsageError} one of them is none, or not of its kind
 */
export function readArguments(args) {
  const dashes = args.indexOf('--');
  const { values, positionals } = parsed(args.slice(0, dashes === -1 ? undefined : dashes));
  const wrong = positionals.find((version) => !/^\d+\.\d+$/.test(version));
  if (wrong !== undefined) {
    throw new UsageError(`"${wrong}" is no version of Linux: two numbers such as 6.1 are expected`);
  }
  if (positionals.length === 0 && !values.help) {
    throw new UsageError('which kernels? two numbers each are expected, such as 6.1');
  }
  return {
    ...{ help: values.help, cache: values.cache, output: values.output, verbose: values.verbose },
    versions: [...new Set(positionals)].sort(byAge),
    hostReport: values['host-report'] === undefined ? null : readReport(values['host-report']),
    memoryMiB: numberOf('memory', values.memory),
    cpus: numberOf('cpus', values.cpus),
    timeoutSeconds: numberOf('timeout', values.timeout),
    forVitest: dashes === -1 ? [] : args.slice(dashes + 1),
  };
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        cache: { type: 'string' },
        output: { type: 'string' },
        'host-report': { type: 'string' },
        memory: { type: 'string', default: '1400' },
        cpus: { type: 'string', default: '2' },
        timeout: { type: 'string', default: '1800' },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * @param {keyof typeof LIMITS} option
 * @param {string} text
 */
function numberOf(option, text) {
  const [least = 0, most = 0] = LIMITS[option];
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < least || number > most) {
    throw new UsageError(`--${option} is a whole number from ${least} to ${most}, not "${text}"`);
  }
  return number;
}

/**
 * The report of a file. It is read first: a run of half an hour should not end with a mistake in its name.
 *
 * @param {string} file
 */
function readReport(file) {
  let report = null;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`--host-report: ${error instanceof Error ? error.message : error}`);
  }
  if (!Array.isArray(report?.testResults) || typeof report.startTime !== 'number') {
    throw new UsageError(`--host-report: ${file} is no report of vitest's JSON reporter`);
  }
  return report;
}

/**
 * Sorts versions, and releases, from the oldest to the newest.
 *
 * @param {string} one
 * @param {string} other
 */
export function byAge(one, other) {
  return one.localeCompare(other, 'en', { numeric: true });
}
