/**
 * Which capability each type of map and program takes, asked of the running kernel: an error names what
 * the process lacks, and a process that has what was named is not refused for want of privileges.
 */

import { describe, expect, it } from 'vitest';
import type { Capability } from '../../src/kernel/capabilities.ts';
import { fixturePath } from '../support/fixtures.ts';
import { isLinux } from '../support/kernel.ts';
import { askService, at, serviceProblem } from './as-service.ts';

/** Every set that a service may have of the three. */
const SETS: readonly (readonly Capability[])[] = [
  [],
  ['CAP_BPF'],
  ['CAP_BPF', 'CAP_NET_ADMIN'],
  ['CAP_BPF', 'CAP_PERFMON'],
  ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'],
  ['CAP_SYS_ADMIN'],
];

/**
 * Types for which older kernels, such as 6.1, want CAP_NET_ADMIN, too. Those who have CAP_BPF are told so, as
 * that is not enough then; others are told of CAP_BPF alone.
 */
const NAMED_LATER: readonly string[] = ['LIRC_MODE2'];

/** Per type: null if it is not refused by EPERM, or the message. */
type Answers = Readonly<Record<string, string | null>>;

const PROGRAMS = `
  import { BPF_PROG_TYPE } from '${at('uapi/program-types')}';
  const instructions = new Uint8Array([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
  const kernel = linuxKernel();
  const answers = {};
  for (const [name, type] of Object.entries(BPF_PROG_TYPE)) {
    if (name === 'UNSPEC') continue;
    try {
      kernel.close(kernel.loadProgram({ type, instructions, license: 'GPL', name: 'entry', flags: 0,
        expectedAttachType: 0, kernelVersion: 0, btf: null, target: null, descriptors: [] }, null));
      answers[name] = null;
    } catch (error) {
      answers[name] = error.errnoName === 'EPERM' ? error.message : null;
    }
  }
  print(answers);`;

/** One object per type of map in fixtures/objects/types. */
const MAPS = `
  const folder = ${JSON.stringify(fixturePath('objects/types/'))};
  const answers = {};
  for (const file of fs.readdirSync(folder).filter((name) => /^\\w+\\.bpf\\.o$/.test(name))) {
    const object = skep.ObjectFile.open(folder + file);
    const maps = Object.fromEntries([...object.maps.keys()].map((name) => [name, { pin: false }]));
    try {
      skep.load(object, { maps, programs: false }).close();
      answers[file] = null;
    } catch (error) {
      answers[file] = error.errnoName === 'EPERM' ? error.message : null;
    }
  }
  print(answers);`;

function ask(script: string): ReadonlyMap<readonly Capability[], Answers> {
  return new Map(SETS.map((set) => [set, askService(set, script) as Answers]));
}

/** Whether the kernel has a type: of others it says so to everybody with CAP_BPF. */
function isHere(type: string): boolean {
  return type !== 'NETFILTER' || isLinux('6.4');
}

/** The capabilities that a message says the process lacks. */
function lacking(message: string): string[] {
  return [...(/this process lacks (.*)\)$/.exec(message)?.[1] ?? '').matchAll(/CAP_\w+/g)].map(
    ([name]) => name,
  );
}

function holds(set: readonly Capability[], capability: string): boolean {
  return set.includes(capability as Capability) || set.includes('CAP_SYS_ADMIN');
}

describe.skipIf(serviceProblem !== null)('the capability that is missing (kernel)', () => {
  it.each([
    ['programs', PROGRAMS, 25],
    ['maps', MAPS, 25],
  ])('is named for all types of %s, and having it helps', (_, script, atLeast) => {
    const answers = ask(script);
    const types = Object.keys([...answers.values()][0]!).filter(isHere);
    expect(types.length).toBeGreaterThan(atLeast);
    const most = answers.get(SETS.at(-1)!)!;
    for (const type of types) {
      const named = new Set<string>();
      for (const [set, ofSet] of answers) {
        const names = lacking(ofSet[type] ?? '');
        expect(names.filter((name) => holds(set, name))).toEqual([]);
        for (const name of names) {
          named.add(name);
        }
      }
      for (const [set, ofSet] of answers) {
        const missing = [...named].filter((name) => !holds(set, name));
        const told = NAMED_LATER.includes(type) ? missing.slice(0, 1) : missing;
        expect([type, set, lacking(ofSet[type] ?? '')]).toEqual([type, set, told]);
        // A kernel that is locked down refuses some types to anybody.
        const isRefused = missing.length > 0 || most[type] !== null;
        expect([type, set, ofSet[type] !== null]).toEqual([type, set, isRefused]);
      }
    }
  });

  it('is CAP_BPF for a process that has none', () => {
    const programs = askService([], PROGRAMS) as Answers;
    expect(lacking(programs.SOCKET_FILTER!)).toEqual(['CAP_BPF']);
    expect(lacking(programs.XDP!)).toEqual(['CAP_BPF', 'CAP_NET_ADMIN']);
    expect(lacking(programs.TRACING!)).toEqual(['CAP_BPF', 'CAP_PERFMON']);
    const maps = askService([], MAPS) as Answers;
    expect(lacking(maps['hash.bpf.o']!)).toEqual(['CAP_BPF']);
    expect(lacking(maps['sockmap.bpf.o']!)).toEqual(['CAP_BPF', 'CAP_NET_ADMIN']);
  });
});
