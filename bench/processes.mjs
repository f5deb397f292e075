/**
 * Runs subjects side by side: each is a process of its own, and passes alternate (ours, a peer,
 * ours, ...), so that a machine that gets slower or faster meanwhile does so for all of them.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { statistics } from './measure.mjs';
import { findTool } from './toolchain.mjs';

/** @import { Measurement, Plan, Statistics } from './measure.mjs' */

/**
 * @typedef {object} Subject
 * @property {string} name `skep`, `libbpf`, ...: what its column is called
 * @property {readonly string[]} command the program and its arguments in front of the plan
 * @property {readonly string[]} args its own arguments, behind the plan
 */

/**
 * @typedef {object} Outcome All passes of one subject.
 * @property {number[]} samplesNs
 * @property {number[]} firstNs one per pass
 * @property {number} iterations operations per sample in the last pass
 * @property {Record<string, unknown>} facts those of the last pass
 * @property {Statistics} warm of all samples
 * @property {Statistics} cold of the first operation of each process
 */

/** Output of a subject above this is a mistake of the subject. */
const MAX_OUTPUT_BYTES = 1 << 26;

/**
 * Puts a command on one processor, the last one, where interrupts and other work are least likely.
 * Without taskset it runs wherever it is put.
 * @param {readonly string[]} command
 * @returns {{ command: readonly string[], cpu: string | null }}
 */
export function pinned(command) {
  const taskset = findTool(['taskset']);
  const cpu = lastProcessor();
  return taskset === null || cpu === null
    ? { command, cpu: null }
    : { command: [taskset, '-c', cpu, ...command], cpu };
}

/** The number of the last processor that this process may use; null if that cannot be told. */
function lastProcessor() {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return /^Cpus_allowed_list:.*?(\d+)$/m.exec(status)?.[1] ?? null;
  } catch {
    return null;
  }
}

/**
 * Runs a subject once.
 * @param {Subject} subject
 * @param {Plan} plan
 * @returns {Measurement}
 */
export function runOnce(subject, plan) {
  const [program = '', ...args] = pinned([
    ...subject.command,
    String(plan.samples),
    String(plan.sampleMs),
    String(plan.warmUpMs),
    ...subject.args,
  ]).command;
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  if (status !== 0) {
    const why = error?.message ?? `${signal ?? `status ${status}`}: ${stderr.trim()}`;
    throw new Error(`${subject.name} (${[program, ...args].join(' ')}) failed: ${why}`);
  }
  return JSON.parse(stdout);
}

/**
 * Runs subjects in turn, `passes` times each.
 * @param {readonly Subject[]} subjects
 * @param {Plan} plan
 * @param {number} passes
 * @returns {Map<string, Outcome>} by the subject's name
 */
export function runPasses(subjects, plan, passes) {
  /** @type {Map<string, Measurement[]>} */
  const runs = new Map(subjects.map(({ name }) => [name, []]));
  for (let pass = 0; pass < passes; pass += 1) {
    for (const subject of subjects) {
      runs.get(subject.name)?.push(runOnce(subject, plan));
    }
  }
  return new Map([...runs].map(([name, measurements]) => [name, combine(measurements)]));
}

/**
 * @param {readonly Measurement[]} measurements
 * @returns {Outcome}
 */
function combine(measurements) {
  const last = measurements[measurements.length - 1];
  const samplesNs = measurements.flatMap((measurement) => measurement.samplesNs);
  const firstNs = measurements.map((measurement) => measurement.firstNs);
  return {
    samplesNs,
    firstNs,
    iterations: last?.iterations ?? 0,
    facts: last?.facts ?? {},
    warm: statistics(samplesNs),
    cold: statistics(firstNs),
  };
}
