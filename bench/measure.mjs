/**
 * Measuring inside one process: warm up, take samples, give them back as JSON. Every subject, in
 * whatever language it is written, follows this protocol; `peers/libbpf/measure.h` is the same in C.
 *
 * A subject is called with `SAMPLES SAMPLE_MS WARM_UP_MS` and then its own arguments, and prints one
 * JSON document, a {@link Measurement}. All times are nanoseconds for one operation.
 *
 * With `SKEP_BENCH_TURNS` in the environment it prints a line `ready` before each sample and waits for
 * a byte of input, so that the samples of several subjects alternate.
 */

import { readSync, writeSync } from 'node:fs';

/**
 * @typedef {object} Plan How long to measure.
 * @property {number} samples how many samples to take
 * @property {number} sampleMs the least time a sample covers; 0: each sample is one operation
 * @property {number} warmUpMs the operation is run unmeasured until it has not become faster for
 *   this long
 */

/**
 * @typedef {object} Measurement What a subject prints.
 * @property {number} firstNs the very first operation of the process, cold
 * @property {number} iterations operations per sample
 * @property {number[]} samplesNs one figure per sample
 * @property {Record<string, unknown>} facts what the operation found, to be compared between
 *   subjects: a measurement of two things that do not do the same is worth nothing
 */

/**
 * @typedef {object} Statistics
 * @property {number} median
 * @property {number} min
 * @property {number} max
 * @property {number} count
 */

/** Warming up goes by windows of time; it ends when this many in a row were not the fastest yet. */
const WARM_UP_WINDOWS = 5;
/** What counts as faster. */
const FASTER = 0.98;
/** The windows at most, for operations whose time only ever varies. */
const MAX_WINDOWS = 40;

/**
 * Splits the arguments of a subject into the plan and the rest.
 * @param {readonly string[]} args
 * @returns {{ plan: Plan, rest: string[] }}
 */
export function readPlan(args) {
  const [samples, sampleMs, warmUpMs] = args.slice(0, 3).map(Number);
  if (samples === undefined || sampleMs === undefined || warmUpMs === undefined) {
    throw new TypeError('expected SAMPLES SAMPLE_MS WARM_UP_MS');
  }
  return { plan: { samples, sampleMs, warmUpMs }, rest: args.slice(3) };
}

/**
 * Measures `operation`, which returns some number that depends on all of its work, so that no
 * compiler can leave any of it out.
 *
 * @param {() => number} operation
 * @param {Plan} plan
 * @param {() => void | Promise<void>} [between] runs before each sample, outside of the measured
 *   part: for releasing what the samples before it left behind, or making what they will use up
 * @param {() => number} [excludedNs] how much time so far, within operations, is not to count
 * @returns {Promise<Omit<Measurement, 'facts'>>}
 */
export async function measure(operation, plan, between, excludedNs = () => 0) {
  let sink = 0;
  /** @param {number} iterations */
  const time = (iterations) => {
    const excluded = excludedNs();
    const start = process.hrtime.bigint();
    for (let done = 0; done < iterations; done += 1) {
      sink += operation();
    }
    return Number(process.hrtime.bigint() - start) - (excludedNs() - excluded);
  };
  const measurement = await measureBy(time, plan, between);
  checkSink(sink);
  return measurement;
}

/**
 * Like {@link measure}, for what takes its time by waiting in between.
 *
 * @param {() => Promise<number>} operation
 * @param {Plan} plan
 * @param {() => void | Promise<void>} [between]
 * @returns {Promise<Omit<Measurement, 'facts'>>}
 */
export async function measureAwaited(operation, plan, between) {
  let sink = 0;
  /** @param {number} iterations */
  const time = async (iterations) => {
    const start = process.hrtime.bigint();
    for (let done = 0; done < iterations; done += 1) {
      sink += await operation();
    }
    return Number(process.hrtime.bigint() - start);
  };
  const measurement = await measureBy(time, plan, between);
  checkSink(sink);
  return measurement;
}

/**
 * The same per item, where one operation is many of what is to be compared.
 * @param {Omit<Measurement, 'facts'>} measurement
 * @param {number} items
 * @returns {Omit<Measurement, 'facts'>}
 */
export function perItem({ firstNs, iterations, samplesNs }, items) {
  return {
    firstNs: firstNs / items,
    iterations: iterations * items,
    samplesNs: samplesNs.map((ns) => ns / items),
  };
}

/** @param {number} sink */
function checkSink(sink) {
  if (Number.isNaN(sink)) {
    throw new Error('the operation returned something that is no number');
  }
}

/**
 * @param {(iterations: number) => number | Promise<number>} time
 * @param {Plan} plan
 * @param {(() => void | Promise<void>) | undefined} between
 * @returns {Promise<Omit<Measurement, 'facts'>>}
 */
async function measureBy(time, plan, between) {
  await between?.();
  const firstNs = await time(1);
  let fastest = Number.POSITIVE_INFINITY;
  let idle = 0;
  for (let window = 0; idle < WARM_UP_WINDOWS && window < MAX_WINDOWS; window += 1) {
    const mean = await meanOfWindow(time, plan.warmUpMs / WARM_UP_WINDOWS, between);
    idle = mean < fastest * FASTER ? 0 : idle + 1;
    fastest = Math.min(fastest, mean);
  }
  const iterations = Math.max(1, Math.round((plan.sampleMs * 1e6) / Math.max(fastest, 1)));
  const samplesNs = [];
  for (let sample = 0; sample < plan.samples; sample += 1) {
    awaitTurn();
    await between?.();
    samplesNs.push((await time(iterations)) / iterations);
  }
  return { firstNs, iterations, samplesNs };
}

/** Lets other subjects measure until it is this one's turn. */
function awaitTurn() {
  if (process.env.SKEP_BENCH_TURNS !== undefined) {
    writeSync(1, 'ready\n');
    readSync(0, new Uint8Array(1));
  }
}

/**
 * @param {(iterations: number) => number | Promise<number>} time
 * @param {number} windowMs
 * @param {(() => void | Promise<void>) | undefined} between
 */
async function meanOfWindow(time, windowMs, between) {
  let total = 0;
  let count = 0;
  while (total < windowMs * 1e6) {
    await between?.();
    total += await time(1);
    count += 1;
  }
  return total / count;
}

/**
 * @param {readonly number[]} samples at least one
 * @returns {Statistics}
 */
export function statistics(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)];
  const lower = sorted[Math.ceil(middle) - 1];
  if (upper === undefined || lower === undefined) {
    throw new RangeError('no samples');
  }
  return {
    median: (lower + upper) / 2,
    min: sorted[0] ?? lower,
    max: sorted[sorted.length - 1] ?? upper,
    count: sorted.length,
  };
}

/** @typedef {{ median: number, low: number, high: number }} Spread A median and its quartiles. */

/**
 * How many times the time of `theirs` `ours` takes: the median over pairs of samples that were taken
 * one after the other, which a machine that changes its speed does not distort, and the quartiles.
 * @param {readonly number[]} ours
 * @param {readonly number[]} theirs as many
 * @returns {Spread}
 */
export function pairedRatios(ours, theirs) {
  const ratios = ours.map((ns, index) => ns / (theirs[index] ?? Number.NaN)).sort((a, b) => a - b);
  const last = ratios.length - 1;
  const at = (/** @type {number} */ part) => ratios[Math.round(last * part)] ?? Number.NaN;
  return { median: statistics(ratios).median, low: at(0.25), high: at(0.75) };
}

/**
 * The exponent e of `time = c * size ** e` that fits the points best (least squares over the
 * logarithms): 1 is linear, 2 quadratic.
 * @param {readonly { size: number, time: number }[]} points at least two of different sizes
 */
export function fittedExponent(points) {
  const x = points.map(({ size }) => Math.log(size));
  const y = points.map(({ time }) => Math.log(time));
  /** @param {readonly number[]} values */
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  let above = 0;
  let below = 0;
  for (const [index, value] of x.entries()) {
    above += (value - meanX) * ((y[index] ?? 0) - meanY);
    below += (value - meanX) ** 2;
  }
  return above / below;
}
