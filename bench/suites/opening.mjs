/** What the suites that open objects share: the subjects, and that they see the same. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { peersOf } from '../peers/subjects.mjs';
import { runPasses } from '../processes.mjs';
import { compare } from '../report.mjs';
import { ROOT } from '../toolchain.mjs';

/** @import { Input } from '../inputs.mjs' */
/** @import { Peer } from '../peers/subjects.mjs' */
/** @import { Outcome, Subject } from '../processes.mjs' */
/** @import { Comparison, Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

/**
 * How one object is to be opened.
 * @typedef {object} Opening
 * @property {Input} input
 * @property {number | null} atMost the target as a multiple of libbpf's time
 * @property {readonly Peer[]} [without] peers that would take too long
 * @property {Readonly<Partial<Record<Peer, string>>>} [reasons] why skep may take longer than a peer
 * @property {readonly string[]} [node] options of Node.js for a further subject
 * @property {number} [samples] instead of the usual number
 */

/** The subject that targets are judged by: it reads all that libbpf computes. */
export const JUDGED = 'skep read';

/**
 * Why a peer may be faster where an object is mostly names.
 * @param {Context['floor']} floor
 */
export function reasonsFor(floor) {
  const text = `names become text (floors: 128 bytes of them, ${floor('text')}) and keys of Maps (floors: one cut out and put there, ${floor('key')}), and fields are read through a DataView (floors: ${floor('view')} to make one)`;
  const names = `${text}; V8 collects garbage for 4 to 9 % of the time (node --cpu-prof)`;
  return { names, unchecked: `${names}; libbpf 1.1 does not check the references of BTF` };
}

/** @type {readonly Peer[]} */
export const PEERS = ['libbpf', 'cilium', 'aya'];

/** Of the time of cilium/ebpf, and of aya's parse. */
const AT_MOST_OF_OTHERS = 1;

/**
 * The commands that open an object.
 * @param {string[]} notes gets the version of each peer, or why it cannot take part
 * @returns {(opening: Opening) => Subject[]}
 */
export function openSubjects(notes) {
  const script = join(ROOT, 'bench/skep/open.mjs');
  const peer = peersOf('open', notes);
  return ({ input, without = [], node }) => [
    ...['parse', 'read', 'relocations'].map((mode) => ({
      name: mode === 'relocations' ? '+ relocations' : `skep ${mode}`,
      command: [process.execPath, script],
      args: [input.path, mode],
    })),
    ...(node === undefined
      ? []
      : [
          {
            name: withOptions(node),
            command: [process.execPath, ...node, script],
            args: [input.path, 'read'],
          },
        ]),
    ...PEERS.filter((name) => !without.includes(name)).flatMap((name) => peer(name, [input.path])),
  ];
}

/**
 * What the subject {@link JUDGED} is called when Node.js has other options.
 * @param {readonly string[]} node
 */
export function withOptions(node) {
  return `${JUDGED}, ${node.join(' ')}`;
}

/**
 * Measures objects and compares.
 * @param {string} title
 * @param {readonly Opening[]} openings
 * @param {(opening: Opening) => Subject[]} subjects
 * @param {Context} context
 * @param {readonly string[]} notes
 * @returns {Promise<Report & { outcomes: Map<string, ReadonlyMap<string, Outcome>> }>}
 */
export async function compareOpening(title, openings, subjects, context, notes) {
  /** @type {Comparison[]} */
  const comparisons = [];
  /** @type {Map<string, ReadonlyMap<string, Outcome>>} */
  const outcomes = new Map();
  for (const opening of openings) {
    const { input, atMost, without = [], reasons = {}, samples } = opening;
    const plan = { ...context.plan, samples: samples ?? context.plan.samples };
    context.progress(`${title}: ${input.name}`);
    const measured = await runPasses(subjects(opening), plan, context.passes);
    checkSameFacts(input.name, measured);
    outcomes.set(input.name, measured);
    const targets = PEERS.filter((peer) => !without.includes(peer)).map((against) => ({
      against,
      atMost: against === 'libbpf' ? atMost : AT_MOST_OF_OTHERS,
      ...(reasons[against] === undefined ? {} : { reason: reasons[against] }),
    }));
    const [first = { against: 'libbpf', atMost: null }, ...others] = targets;
    const name = describe(input, measured);
    comparisons.push({ name, outcomes: measured, ours: JUDGED, ...first, others });
  }
  const { table, verdicts, rows } = compare(title, comparisons);
  const data = Object.fromEntries(
    [...outcomes].map(([name, measured]) => [name, Object.fromEntries(measured)]),
  );
  return { tables: [table], verdicts, notes: [...notes], rows, data, outcomes };
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
