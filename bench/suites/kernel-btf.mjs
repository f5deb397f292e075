/** The kernel's own BTF: how soon it can answer, and how fast it answers. */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { peersOf } from '../peers/subjects.mjs';
import { runPasses } from '../processes.mjs';
import { compare } from '../report.mjs';
import { library } from '../skep/library.mjs';
import { BUILD, ROOT } from '../toolchain.mjs';

/** @import { Outcome, Subject } from '../processes.mjs' */
/** @import { Comparison, Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'kernel-btf';

const KERNEL_BTF = '/sys/kernel/btf/vmlinux';
const KINDS = /** @type {const} */ (['struct', 'func', 'typedef', 'enum']);
const NAMES = 100;

/** The subject that leaves releasing mappings to V8, within what is measured. */
const LEAVING = 'skep, V8 collects';

/** Targets: of libbpf's time; the others are not to be faster. */
const OPERATIONS = [
  { mode: 'open', name: 'ready to answer', atMost: 0.3 },
  { mode: 'find', name: `${NAMES} look-ups by name, index included`, atMost: 0.25 },
];
const OTHERS = [
  { against: 'cilium', atMost: 1 },
  { against: 'aya', atMost: 1 },
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
    'each sample of kernel-btf is one operation; libbpf and aya free within it, skep between samples (and where "V8 collects", within them at times), cilium/ebpf when Go collects garbage',
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
      others: OTHERS,
    });
  }
  const { table, verdicts, rows } = compare('kernel-btf', comparisons);
  const data = Object.fromEntries(
    comparisons.map(({ name: of, outcomes }) => [of, Object.fromEntries(outcomes)]),
  );
  return {
    tables: [table],
    verdicts,
    notes,
    rows,
    data,
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
  const peer = peersOf('kernel-btf', notes);
  return (mode) => [
    ...['collect', 'leave'].map((collection) => ({
      name: collection === 'leave' ? LEAVING : 'skep',
      command: [process.execPath, '--expose-gc', script],
      args: [mode, names, collection],
    })),
    ...peer('libbpf', [mode, names]),
    ...peer('cilium', [mode, names]),
    ...peer('aya', [mode, names]),
  ];
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
