/** The kernel's own BTF: how soon it can answer, and how fast it answers. */

import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildLibbpf } from '../peers/libbpf.mjs';
import { runOnce, runPasses } from '../processes.mjs';
import { compare, digits } from '../report.mjs';
import { library } from '../skep/library.mjs';
import { BUILD, ROOT } from '../toolchain.mjs';

/** @import { Outcome, Subject } from '../processes.mjs' */
/** @import { Comparison, Report, Table } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'kernel-btf';

const KERNEL_BTF = '/sys/kernel/btf/vmlinux';
const KINDS = /** @type {const} */ (['struct', 'func', 'typedef', 'enum']);
const NAMES = 100;

/** The subject that leaves releasing mappings to V8, within what is measured. */
const LEAVING = 'skep, V8 collects';

const OPERATIONS = [
  { mode: 'open', name: 'ready to answer', atMost: 0.3 },
  { mode: 'find', name: `${NAMES} look-ups by name, index included`, atMost: 0.25 },
];

/**
 * @param {Context} context
 * @returns {Promise<Report>}
 */
export async function run(context) {
  if (!existsSync(KERNEL_BTF)) {
    return { tables: [], verdicts: [], notes: [`${KERNEL_BTF} does not exist`], data: null };
  }
  const names = await writeNames();
  const notes = [
    'each sample of kernel-btf is one operation; libbpf frees within it, skep between samples (and where "V8 collects", within them at times)',
  ];
  const subjects = subjectsOf(names, notes);
  /** @type {Comparison[]} */
  const comparisons = [];
  // One operation takes long enough to be a sample by itself.
  const plan = { ...context.plan, samples: context.plan.samples * 2, sampleMs: 0 };
  for (const operation of OPERATIONS) {
    context.progress(`kernel-btf: ${operation.name}`);
    const outcomes = await runPasses(subjects(operation.mode), plan, context.passes);
    checkSameIds(outcomes);
    comparisons.push({
      name: operation.name,
      outcomes,
      ours: 'skep',
      against: 'libbpf',
      atMost: operation.atMost,
    });
  }
  const { table, verdicts } = compare('kernel-btf', comparisons);
  const held = await heldBy(
    subjects('held').filter((subject) => subject.name !== LEAVING),
    context,
  );
  const data = Object.fromEntries(
    comparisons.map(({ name: of, outcomes }) => [of, Object.fromEntries(outcomes)]),
  );
  return {
    tables: [table, held.table],
    verdicts,
    notes: [...notes, ...held.notes],
    data: { ...data, held: held.facts },
  };
}

/**
 * Names spread evenly over all named types of the kinds that programs ask for.
 * @returns {Promise<string>} the path of a file with a kind and a name in each line
 */
async function writeNames() {
  const { openKernelBtf } = await library();
  const btf = openKernelBtf();
  const named = KINDS.flatMap((kind) => btf.idsOfKind(kind).map((id) => ({ id, kind })))
    .filter(({ id }) => btf.nameOf(id) !== '')
    .sort((a, b) => a.id - b.id);
  const lines = Array.from({ length: NAMES }, (_, index) => {
    const chosen = named[Math.floor(((index + 0.5) * named.length) / NAMES)];
    return chosen === undefined ? '' : `${chosen.kind} ${btf.nameOf(chosen.id)}`;
  });
  const path = join(BUILD, 'kernel-btf-names.txt');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

/**
 * @param {string} names path of the file with the names
 * @param {string[]} notes gets the version of each peer, or why it cannot take part
 * @returns {(mode: string) => Subject[]}
 */
function subjectsOf(names, notes) {
  const script = join(ROOT, 'bench/skep/kernel-btf.mjs');
  const libbpf = buildLibbpf('kernel-btf');
  notes.push('missing' in libbpf ? libbpf.missing : `libbpf is ${libbpf.version}`);
  return (mode) => {
    /** @type {Subject[]} */
    const subjects = ['collect', 'leave'].map((collection) => ({
      name: collection === 'leave' ? LEAVING : 'skep',
      command: [process.execPath, '--expose-gc', script],
      args: [mode, names, collection],
    }));
    if ('path' in libbpf) {
      subjects.push({ name: 'libbpf', command: [libbpf.path], args: [mode, names] });
    }
    return subjects;
  };
}

/**
 * Fast and wrong is no use: all subjects must give the same ids.
 * @param {ReadonlyMap<string, Outcome>} outcomes
 */
function checkSameIds(outcomes) {
  const answers = [...outcomes].map(([subject, { facts }]) => ({
    subject,
    text: JSON.stringify([facts.types, facts.ids]),
    ids: Array.isArray(facts.ids) ? facts.ids : [],
  }));
  const [first] = answers;
  const other = answers.find(({ text }) => text !== first?.text);
  if (other !== undefined) {
    throw new Error(`${first?.subject} and ${other.subject} disagree about the kernel's BTF`);
  }
  if (first === undefined || first.ids.length !== NAMES || first.ids.some((id) => !(id > 0))) {
    throw new Error('not all names were found in the kernel BTF');
  }
}

/**
 * @param {readonly Subject[]} subjects
 * @param {Context} context
 * @returns {Promise<{ table: Table, notes: string[], facts: unknown }>}
 */
async function heldBy(subjects, context) {
  const measured = await runOnce(subjects, { ...context.plan, samples: 0 });
  const facts = subjects.map(({ name: subject }, index) => ({
    name: subject,
    ...measured[index]?.facts,
  }));
  /** @param {unknown} bytes */
  const kib = (bytes) => (typeof bytes === 'number' ? digits(bytes / 1024) : '-');
  const rows = facts.flatMap((/** @type {Record<string, unknown>} */ fact) => [
    [`${fact.name}, opened`, kib(fact.openedHeapBytes), kib(fact.openedExternalBytes)],
    [`${fact.name}, names found`, kib(fact.foundHeapBytes), kib(fact.foundExternalBytes)],
  ]);
  return {
    table: { title: 'memory held', columns: ['KiB', 'heap', 'outside of it'], rows },
    notes: [
      `outside of the JavaScript heap are typed arrays and the mapping of ${kib(statSync(KERNEL_BTF).size)} KiB, whose pages are the kernel's own; what libbpf maps (since 1.7) is not in its heap either`,
    ],
    facts,
  };
}
