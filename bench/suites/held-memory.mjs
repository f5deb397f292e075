/** Memory that stays in use while objects are open, or the kernel's BTF is: skep against its peers. */

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixture, manyMaps, manyPrograms, realObject } from '../inputs.mjs';
import { peersOf } from '../peers/subjects.mjs';
import { runOnce } from '../processes.mjs';
import { digits } from '../report.mjs';
import { library } from '../skep/library.mjs';
import { BUILD, ROOT } from '../toolchain.mjs';

/** @import { Input } from '../inputs.mjs' */
/** @import { Subject } from '../processes.mjs' */
/** @import { Report, Table, Verdict } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'held-memory';

const KERNEL_BTF = '/sys/kernel/btf/vmlinux';
/** The heap and the typed arrays that the kernel's BTF may take, beside its mapping. */
const KERNEL_BTF_KIB = 1024;
const NAMES = 100;
/** So much of files is held at once, that what else a process does in the meantime does not count. */
const HELD_BYTES = 8e6;
const MOST_COPIES = 500;
/** Nothing is timed. */
const NO_PLAN = { samples: 0, sampleMs: 0, warmUpMs: 0 };

/** @typedef {Record<string, number>} Facts */
/** @typedef {ReturnType<typeof peersOf>} Peers */

/**
 * @param {Context} context
 * @returns {Promise<Report>}
 */
export async function run(context) {
  /** @type {string[]} */
  const notes = [
    'held-memory: "arrays" are the bytes of typed arrays; skep keeps the bytes of the file, DWARF included, which libbpf has copied what it needs from. Heaps of the peers are mallinfo2 (C and Rust) and runtime.MemStats (Go); what is mapped or in the kernel is in none. One measurement of many objects each, without a range',
    'held-memory: the smallest object takes 2 KiB more than in C: instances of classes for the object, its file, section headers and symbols, and Maps of maps, programs and data, which are empty',
  ];
  const peers = peersOf('held', notes);
  const objects = await heldByObjects(context, peers, notes);
  const kernelBtf = await heldByKernelBtf(context, peers, notes);
  return {
    tables: [objects.table, ...kernelBtf.tables],
    verdicts: kernelBtf.verdicts,
    notes,
    data: { objects: objects.data, kernelBtf: kernelBtf.data },
  };
}

/**
 * @param {Peers} peers
 * @param {readonly string[]} args
 * @returns {Subject[]} skep first
 */
function subjectsOf(peers, args) {
  const script = join(ROOT, 'bench/skep/held-memory.mjs');
  const skep = { name: 'skep', command: [process.execPath, '--expose-gc', script], args };
  return [skep, ...peers('libbpf', args), ...peers('cilium', args), ...peers('aya', args)];
}

/**
 * What subjects found out; one that cannot do it at all is left out, and that is said.
 * @param {readonly Subject[]} subjects
 * @param {string} what
 * @param {string[]} notes
 */
async function factsOf(subjects, what, notes) {
  /** @type {Map<string, Facts>} */
  const all = new Map();
  for (const subject of subjects) {
    try {
      const [measured] = await runOnce([subject], NO_PLAN);
      all.set(subject.name, /** @type {Facts} */ (measured?.facts));
    } catch (error) {
      if (subject.name === 'skep') {
        throw error;
      }
      const reason = error instanceof Error ? error.message : String(error);
      notes.push(`held-memory: ${subject.name} does not take part with ${what}: ${reason}`);
    }
  }
  return all;
}

/**
 * @param {Context} context
 * @param {Peers} peers
 * @param {string[]} notes
 */
async function heldByObjects(context, peers, notes) {
  /** @type {Record<string, Record<string, Facts>>} */
  const data = {};
  /** @type {string[][]} */
  const rows = [];
  for (const input of inputs(notes)) {
    context.progress(`held-memory: ${input.name}`);
    const { length } = readFileSync(input.path);
    const copies = Math.min(MOST_COPIES, Math.ceil(HELD_BYTES / length));
    const args = ['object', input.path, String(copies)];
    const facts = await factsOf(subjectsOf(peers, args), input.name, notes);
    data[input.name] = Object.fromEntries(facts);
    rows.push(objectRow(input.name, length, facts));
  }
  const columns = ['KiB each', 'file', 'skep heap', '+ arrays', ...PEERS, 'of libbpf', '+ arrays'];
  return { table: { title: 'memory held by an open object', columns, rows }, data };
}

const PEERS = /** @type {const} */ (['libbpf', 'cilium', 'aya']);

/** @param {string[]} notes */
function inputs(notes) {
  const candidates = {
    tiny: fixture('plain/tiny.bpf.o', 'tiny'),
    demo: fixture('demo.bpf.o', 'demo'),
    real: realObject(),
    'maps-1000': manyMaps(1000),
    'programs-1000': manyPrograms(1000, { oneSection: false }),
  };
  /** @type {Input[]} */
  const found = [];
  for (const [title, input] of Object.entries(candidates)) {
    if ('missing' in input) {
      notes.push(`held-memory: ${title} is not measured: ${input.missing}`);
    } else {
      found.push(input);
    }
  }
  return found;
}

/**
 * @param {string} title
 * @param {number} length
 * @param {ReadonlyMap<string, Facts>} facts
 */
function objectRow(title, length, facts) {
  const { readHeapBytes = Number.NaN, readArrayBytes = Number.NaN } = facts.get('skep') ?? {};
  const libbpf = facts.get('libbpf')?.heapBytes;
  /** @param {number} ours */
  const ratio = (ours) => (libbpf === undefined ? '-' : `${digits(ours / libbpf)}x`);
  return [
    title,
    kib(length),
    kib(readHeapBytes),
    kib(readArrayBytes),
    ...PEERS.map((peer) => kib(facts.get(peer)?.heapBytes)),
    ratio(readHeapBytes),
    ratio(readHeapBytes + readArrayBytes),
  ];
}

/**
 * @param {Context} context
 * @param {Peers} peers
 * @param {string[]} notes
 * @returns {Promise<{ tables: Table[], verdicts: Verdict[], data: unknown }>}
 */
async function heldByKernelBtf(context, peers, notes) {
  if (!existsSync(KERNEL_BTF)) {
    notes.push(`held-memory: ${KERNEL_BTF} does not exist`);
    return { tables: [], verdicts: [], data: null };
  }
  context.progress("held-memory: the kernel's BTF");
  const args = ['kernel-btf', await writeNames()];
  const facts = await factsOf(subjectsOf(peers, args), "the kernel's BTF", notes);
  const skep = facts.get('skep') ?? {};
  const moments = { opened: 'opened', one: 'one look-up', found: `${NAMES} look-ups` };
  const rows = Object.entries(moments).map(([moment, title]) => [
    title,
    kib(skep[`${moment}HeapBytes`]),
    kib(skep[`${moment}ArrayBytes`]),
    ...PEERS.map((peer) => kib(facts.get(peer)?.[`${moment}HeapBytes`])),
  ]);
  const title = `memory held by the kernel's BTF of ${kib(statSync(KERNEL_BTF).size)} KiB`;
  const columns = ['KiB', 'skep heap', '+ arrays', ...PEERS];
  const most = ['opened', 'one', 'found'].map(
    (moment) => (skep[`${moment}HeapBytes`] ?? 0) + (skep[`${moment}ArrayBytes`] ?? 0),
  );
  return {
    tables: [{ title, columns, rows }],
    verdicts: [
      {
        name: "held-memory: the kernel's BTF, heap and arrays",
        value: Math.max(...most) / 1024,
        atMost: KERNEL_BTF_KIB,
        of: 'skep in KiB',
      },
    ],
    data: Object.fromEntries(facts),
  };
}

/**
 * Structs and functions, spread evenly over all of them.
 * @returns {Promise<string>} the path of a file with a kind and a name in each line
 */
async function writeNames() {
  const { openKernelBtf } = await library();
  const btf = openKernelBtf();
  const lines = /** @type {const} */ (['struct', 'func']).flatMap((kind) => {
    const ids = btf.idsOfKind(kind).filter((id) => btf.nameOf(id) !== '');
    const step = ids.length / (NAMES / 2);
    const chosen = Array.from({ length: NAMES / 2 }, (_, at) => ids[Math.floor(at * step)] ?? 0);
    return chosen.map((id) => `${kind} ${btf.nameOf(id)}`);
  });
  const path = join(BUILD, 'held-memory-names.txt');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

/** @param {number | undefined} bytes */
function kib(bytes) {
  return bytes === undefined ? '-' : digits(bytes / 1024);
}
