/**
 * Loading on kernels that know less: the running kernel, and the one in the process, behind one that
 * refuses what it is too old for. What is put in its place the running kernel has to take.
 */

import { expect, it } from 'vitest';
import { SyscallError, type VerifierLog } from '../../src/errors.ts';
import { withFaults } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import type { LogRequest, ProgramAttributes } from '../../src/kernel/program-calls.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { StepEvent } from '../../src/loader/steps.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { sizeOfType } from '../../src/obj/btf/layout.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import type { BtfPart } from '../../src/obj/btf-for-kernel-older.ts';
import { Instructions } from '../../src/obj/instructions/instructions.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { BPF_FUNC } from '../../src/uapi/helpers.ts';
import { fixturePath, loadUnpinned } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { hasPart, olderKernel, PARTS, SINCE, unknownTo } from '../support/older-kernel.ts';

const openRun = (name: string) => ObjectFile.open(fixturePath(`run/${name}.bpf.o`));
/** Every part but names with `?`. */
const newerTypes = () => openRun('newer-types');
/** Versions that are each the last without something. */
const VERSIONS = ['4.18', '5.1', '5.5', '5.12', '5.15', '5.16', '5.19', '6.8'];

describeKernels('types that a kernel knows all of', (place) => {
  it('are one call, and nothing is asked', () => {
    const { kernel, given } = olderKernel(place.kernel, []);
    load(newerTypes(), { kernel }).close();
    expect(given.map(({ taken }) => taken)).toEqual([true]);
  });
});

describeKernels('types that a kernel does not know all of', (place) => {
  it.each(PARTS.slice(0, -1))('are taken without what it does not know: %s', (part) => {
    const object = newerTypes();
    const { kernel, given } = olderKernel(place.kernel, [part]);
    const events: StepEvent[] = [];
    const app = load(object, { kernel, programs: false, onStep: (event) => events.push(event) });
    const { types, taken } = given.at(-1)!;
    expect([given[0]!.taken, taken]).toEqual([false, true]);
    // Tags are of functions and variables, and go with them.
    const goes = (other: BtfPart) =>
      other === part ||
      (part === 'functions' && other === 'global functions') ||
      (['functions', 'data sections'].includes(part) && other === 'declaration tags');
    for (const other of PARTS) {
      expect(hasPart(types, other), other).toBe(hasPart(given[0]!.types, other) && !goes(other));
    }
    const { keyTypeId, valueTypeId } = object.maps.get('values')!;
    const { name, keyTypeId: foundKey, valueTypeId: foundValue } = app.maps.get('values')!.info();
    expect([name, foundKey, foundValue]).toEqual(['values', keyTypeId, valueTypeId]);
    const event = events.find(({ step }) => step.step === 'load-btf')!;
    expect(event.outcome).toBe('done');
    expect(event.reason).toContain(part);
    app.close();
  });

  it.each(VERSIONS)('keep the keys and values of maps typed on Linux %s', (version) => {
    const { kernel, given } = olderKernel(place.kernel, unknownTo(version));
    const app = load(newerTypes(), { kernel, programs: false });
    const { btfId, keyTypeId, valueTypeId } = app.maps.get('values')!.info();
    expect(btfId).not.toBe(0);
    const { types } = given.at(-1)!;
    expect(types.nameOf(keyTypeId)).toBe('key');
    expect(types.nameOf(valueTypeId)).toBe('value');
    app.close();
  });

  it('are found out about once for each kernel', () => {
    const { kernel, given } = olderKernel(place.kernel, unknownTo('5.15'));
    load(newerTypes(), { kernel, programs: false }).close();
    const first = given.length;
    load(newerTypes(), { kernel, programs: false }).close();
    // The whole, and what the kernel knows of it.
    expect(given.slice(first).map(({ taken }) => taken)).toEqual([false, true]);
  });

  it('are asked about only where the object has them', () => {
    // Functions, sections and the kinds of 4.18.
    const { kernel, given } = olderKernel(place.kernel, unknownTo('5.5'));
    const object = openRun('packets');
    expect(PARTS.filter((part) => hasPart(object.btf!, part))).toEqual(PARTS.slice(0, 3));
    load(object, { kernel, programs: false }).close();
    // The whole; BTF at all, functions, data sections, global functions; what is known.
    expect(given).toHaveLength(1 + 4 + 1);
  });

  it('go with inner maps that are created later too', () => {
    const { kernel } = olderKernel(place.kernel, unknownTo('5.1'));
    const app = loadUnpinned('demo', kernel);
    const outer = app.map('tenants', HashOfMaps);
    using inner = outer.createInner();
    expect(inner.info().btfId).not.toBe(0);
    app.close();
  });

  it('are given up where there are none, or where age is not the reason', () => {
    for (const [errno, probes] of [
      ['EINVAL', 1],
      ['EIO', 0],
      ['EPERM', 0],
    ] as const) {
      const faulty = withFaults(place.kernel);
      faulty.failEvery('loadBtf', errno);
      const outcomes: string[] = [];
      const app = load(newerTypes(), {
        kernel: faulty.kernel,
        programs: false,
        onStep: ({ step, outcome }) => step.step === 'load-btf' && outcomes.push(outcome),
      });
      expect(outcomes).toEqual(['refused']);
      expect(app.maps.get('values')!.info().btfId).toBe(0);
      expect(faulty.calls.filter(({ method }) => method === 'loadBtf')).toHaveLength(1 + probes);
      app.close();
    }
  });

  it('are given up if the kernel refuses them though it knows every kind', () => {
    const faulty = withFaults(place.kernel);
    faulty.failCall(1, 'EINVAL', 'loadBtf');
    const app = load(newerTypes(), { kernel: faulty.kernel, programs: false });
    expect(app.maps.get('values')!.info().btfId).toBe(0);
    app.close();
  });
});

describeKernels('whatever a kernel does not know', (place) => {
  it.each([
    'run/newer-types',
    'run/struct-ops',
    'run/kernel-reads',
    'objects/demo',
    'objects/data/ksyms',
    'objects/nested/declared-later',
  ])('is replaced so that this one takes the types of %s, of the same sizes', (name) => {
    const object = ObjectFile.open(fixturePath(`${name}.bpf.o`));
    const { kernel } = place;
    const ids = [...object.maps.values()]
      .flatMap(({ keyTypeId, valueTypeId }) => [keyTypeId, valueTypeId])
      .filter((id) => id !== 0);
    const unknownHere = PARTS.filter((part) => !place.isLinux(SINCE[part]));
    const whole = Btf.parse(encodeForKernel(object, object.btf!));
    const sizes = (btf: Btf) => ids.map((id) => sizeOfType(btf, id));
    for (let set = 0; set < 2 ** PARTS.length; set += 1) {
      const unknown = PARTS.filter((_, bit) => ((set >> bit) & 1) === 1);
      const bytes = encodeForKernel(object, object.btf!, new Set(unknown));
      const types = Btf.parse(bytes);
      expect(unknown.filter((part) => hasPart(types, part))).toEqual([]);
      expect(sizes(types)).toEqual(sizes(whole));
      if (unknownHere.every((part) => unknown.includes(part))) {
        kernel.close(kernel.loadBtf(bytes));
      }
    }
  });
});

describeKernels('programs whose types are replaced', (place) => {
  const given = (version: string): ProgramAttributes => {
    const older = olderKernel(place.kernel, unknownTo(version));
    load(newerTypes(), { kernel: older.kernel }).close();
    const loads = older.calls.filter(({ method }) => method === 'loadProgram');
    return loads.at(-1)!.arguments[0] as ProgramAttributes;
  };

  it('have functions and lines from 5.0 on', () => {
    expect(given('4.18').btf).toBeNull();
    for (const version of VERSIONS.slice(1)) {
      const { functionInfo, lineInfo } = given(version).btf!;
      // Two functions: the program and what it calls.
      expect(functionInfo!.bytes).toHaveLength(2 * functionInfo!.recordBytes);
      expect(lineInfo).not.toBeNull();
    }
  });
});

describeKernel('programs whose types are replaced, as the verifier sees them', () => {
  const said = (unknown: BtfPart[]): string => {
    let text = '';
    load(newerTypes(), {
      kernel: olderKernel(linuxKernel(), unknown).kernel,
      logLevel: 2,
      onVerifierLog: (_: string, log: VerifierLog) => {
        text += log.text;
      },
    }).close();
    return text;
  };
  const GLOBAL = /Func#1 (\('count'\) )?is global and (assumed valid|safe|valid)/;

  it.each<BtfPart>(['float', 'declaration tags', 'type tags', 'enum64', 'data sections'])(
    'have functions that are verified on their own, if only others are replaced: %s',
    (part) => {
      expect(said([part])).toMatch(GLOBAL);
    },
  );

  it('have functions that are verified where they are called, if there were no others', () => {
    expect(said(['global functions'])).not.toMatch(GLOBAL);
    expect(said(['functions'])).not.toMatch(GLOBAL);
  });
});

describeKernels('programs that read memory by address', (place) => {
  const NEWER: readonly number[] = [BPF_FUNC.probe_read_kernel, BPF_FUNC.probe_read_kernel_str];
  /** The helpers that a program calls. */
  const helpersOf = ({ instructions }: ProgramAttributes): number[] =>
    Array.from(new Instructions(instructions, place.kernel.littleEndian ? 'little' : 'big'))
      .filter(({ opcode, src }) => opcode === 0x85 && src === 0)
      .map(({ imm }) => Number(imm));

  /** A kernel without the helpers of 5.5. */
  function withoutThem(behind: Kernel) {
    const loads: { readonly name: string; readonly helpers: number[] }[] = [];
    const faulty = withFaults(behind);
    faulty.before = (method, args) => {
      if (method !== 'loadProgram') {
        return;
      }
      const [attributes, log] = args as [ProgramAttributes, LogRequest | null];
      const helpers = helpersOf(attributes);
      loads.push({ name: attributes.name, helpers });
      const unknown = helpers.find((helper) => NEWER.includes(helper));
      if (unknown !== undefined) {
        log?.buffer.set(new TextEncoder().encode(`invalid func unknown#${unknown}\n\0`));
        throw new SyscallError('program', {
          command: 'BPF_PROG_LOAD',
          errno: ERRNO.EINVAL,
          errnoName: 'EINVAL',
        });
      }
    };
    return { kernel: faulty.kernel, loads };
  }

  it('call the helper of that time where there is none for the kernel alone', () => {
    const { kernel, loads } = withoutThem(place.kernel);
    const reasons: (string | undefined)[] = [];
    const onStep = ({ reason }: StepEvent) => reasons.push(reason);
    load(newerTypes(), { kernel, onStep }).close();
    expect(reasons.at(-1)).toMatch(/^calls bpf_probe_read,/);
    const { probe_read, probe_read_str, get_current_task, map_lookup_elem } = BPF_FUNC;
    expect(loads.at(-1)).toEqual({
      name: 'read_by_address',
      helpers: expect.arrayContaining([
        probe_read,
        probe_read_str,
        get_current_task,
        map_lookup_elem,
      ]),
    });
    expect(loads.at(-1)!.helpers.filter((helper) => NEWER.includes(helper))).toEqual([]);
  });

  it('are given once where there is one, and nothing is asked', () => {
    const faulty = withFaults(place.kernel);
    load(newerTypes(), { kernel: faulty.kernel }).close();
    const loads = faulty.calls.filter(({ method }) => method === 'loadProgram');
    expect(loads).toHaveLength(1);
    expect(helpersOf(loads[0]!.arguments[0] as ProgramAttributes)).toContain(NEWER[0]);
  });

  it('keep it if they are refused for another reason', () => {
    const faulty = withFaults(place.kernel);
    // Without a log, and with one.
    faulty.failCall(1, 'EACCES', 'loadProgram');
    faulty.failCall(2, 'EACCES', 'loadProgram');
    expect(() => load(newerTypes(), { kernel: faulty.kernel })).toThrow('EACCES');
    const loads = faulty.calls.filter(
      ({ method, arguments: [attributes] }) =>
        method === 'loadProgram' && (attributes as ProgramAttributes).name === 'read_by_address',
    );
    expect(loads).toHaveLength(2);
  });
});
