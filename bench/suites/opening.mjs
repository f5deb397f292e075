/** What the suites that open objects share: the subjects, and that they see the same. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildLibbpf } from '../peers/libbpf.mjs';
import { runPasses } from '../processes.mjs';
import { compare } from '../report.mjs';
import { ROOT } from '../toolchain.mjs';

/** @import { Input } from '../inputs.mjs' */
/** @import { Outcome, Subject } from '../processes.mjs' */
/** @import { Comparison, Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

/**
 * How one object is to be opened.
 * @typedef {object} Opening
 * @property {Input} input
 * @property {number | null} atMost the target as a multiple of libbpf's time
 * @property {boolean} [alone] leave the peers out, which would take too long
 */

/** The subject that targets are judged by: it reads all that libbpf computes. */
export const JUDGED = 'skep read';

/**
 * The commands that take an object's path as the last but one argument.
 * @param {string[]} notes gets the version of each peer, or why it cannot take part
 * @returns {(input: Input, alone: boolean) => Subject[]}
 */
export function openSubjects(notes) {
  const script = join(ROOT, 'bench/skep/open.mjs');
  const libbpf = buildLibbpf('open');
  notes.push('missing' in libbpf ? libbpf.missing : `libbpf is ${libbpf.version}`);
  return (input, alone) => {
    /** @type {Subject[]} */
    const subjects = ['parse', 'read', 'relocations'].map((mode) => ({
      name: mode === 'relocations' ? '+ relocations' : `skep ${mode}`,
      command: [process.execPath, script],
      args: [input.path, mode],
    }));
    if ('path' in libbpf && !alone) {
      subjects.push({ name: 'libbpf', command: [libbpf.path], args: [input.path] });
    }
    return subjects;
  };
}

/**
 * Measures objects and compares.
 * @param {string} title
 * @param {readonly Opening[]} openings
 * @param {(input: Input, alone: boolean) => Subject[]} subjects
 * @param {Context} context
 * @param {readonly string[]} notes
 * @returns {Promise<Report & { outcomes: Map<string, ReadonlyMap<string, Outcome>> }>}
 */
export async function compareOpening(title, openings, subjects, context, notes) {
  /** @type {Comparison[]} */
  const comparisons = [];
  /** @type {Map<string, ReadonlyMap<string, Outcome>>} */
  const outcomes = new Map();
  for (const { input, atMost, alone = false } of openings) {
    context.progress(`${title}: ${input.name}`);
    const measured = await runPasses(subjects(input, alone), context.plan, context.passes);
    checkSameFacts(input.name, measured);
    outcomes.set(input.name, measured);
    comparisons.push({
      name: describe(input, measured),
      outcomes: measured,
      ours: JUDGED,
      against: 'libbpf',
      atMost,
    });
  }
  const { table, verdicts } = compare(title, comparisons);
  const data = Object.fromEntries(
    [...outcomes].map(([name, measured]) => [name, Object.fromEntries(measured)]),
  );
  return { tables: [table], verdicts, notes: [...notes], data, outcomes };
}

/**
 * @param {Input} input
 * @param {ReadonlyMap<string, Outcome>} measured
 */
function describe(input, measured) {
  const { maps, programs } = measured.get(JUDGED)?.facts ?? {};
  const kilobytes = (readFileSync(input.path).length / 1e3).toFixed(1);
  return `${input.name} (${maps} maps, ${programs} programs, ${kilobytes} kB)`;
}

/**
 * Subjects must have found the same in the object, else they did not do the same work.
 * @param {string} input
 * @param {ReadonlyMap<string, Outcome>} measured
 */
function checkSameFacts(input, measured) {
  const facts = [...measured].map(([name, outcome]) => {
    const { maps, programs, instructions, valueBytes } = outcome.facts;
    return { name, text: JSON.stringify({ maps, programs, instructions, valueBytes }) };
  });
  const [first] = facts;
  const other = facts.find(({ text }) => text !== first?.text);
  if (other !== undefined) {
    throw new Error(
      `${input}: ${first?.name} found ${first?.text}, but ${other.name} found ${other.text}`,
    );
  }
}
