/**
 * What programs are loaded for: under the ids that libbpf has in types that are made up (toy-kernel.ts), and
 * those that bpftool prints for the running kernel, which takes them.
 */

import { describe, expect, it } from 'vitest';
import { linuxKernel } from '../../src/kernel/linux.ts';
import type { ProgramInfo } from '../../src/kernel/program-calls.ts';
import { programSection } from '../../src/obj/sections.ts';
import { attachTargetOf } from '../../src/programs/attach-target.ts';
import { structOpsTypes } from '../../src/programs/attach-target-struct-ops.ts';
import { KernelTypes } from '../../src/programs/kernel-types.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { describeKernel } from '../support/kernel.ts';
import { hasProgram, output } from '../support/programs.ts';
import { partialKernel } from './partial-kernel.ts';
import { type ToyOptions, toyKernel, toyTypes } from './toy-kernel.ts';

const { kernelIds, moduleIds } = toyTypes;

/** A program in this section, as far as it matters. */
function program(section: string) {
  const { type, attachType, attachTo } = programSection(section);
  const definition = { name: 'p', section, typeNumber: type, attachTypeNumber: attachType ?? 0 };
  return { definition, attachTo };
}

function targetIn(section: string, options: ToyOptions = {}) {
  const made = toyKernel(options);
  const types = new KernelTypes(made.kernel);
  const { definition, attachTo } = program(section);
  try {
    const target = attachTargetOf(definition, attachTo, types, made.kernel);
    return { ...made, target, modules: [...made.open.values()] };
  } finally {
    types.close();
  }
}

describe('a program that is for a place in the kernel', () => {
  it.each([
    ['fentry/vfs_read', 'func vfs_read'],
    ['fexit/vfs_read', 'func vfs_read'],
    ['fentry.s/vfs_read', 'func vfs_read'],
    ['fmod_ret/vfs_write', 'func vfs_write'],
    ['fsession/vfs_write', 'func vfs_write'],
    ['fentry/vmlinux:vfs_read', 'func vfs_read'],
    ['lsm/file_open', 'func bpf_lsm_file_open'],
    ['lsm.s/file_open', 'func bpf_lsm_file_open'],
    ['lsm_cgroup/file_open', 'func bpf_lsm_file_open'],
    ['iter/task', 'func bpf_iter_task'],
    ['tp_btf/sched_switch', 'typedef btf_trace_sched_switch'],
  ])('%s is loaded for the id of %s, without touching modules', (section, entry) => {
    const { target, asked } = targetIn(section);
    expect(target).toEqual({ typeId: kernelIds[entry], fd: null });
    expect(asked.modules).toBe(0);
  });

  it.each([
    ['fentry/toy_get', 'func toy_get'],
    ['fentry/toy:toy_get', 'func toy_get'],
    ['fexit/toy:vfs_read', 'func vfs_read'],
    ['tp_btf/toy_event', 'typedef btf_trace_toy_event'],
  ])('%s is loaded for the id of %s in the module, with its descriptor', (section, entry) => {
    const { target, modules } = targetIn(section);
    expect(target).toEqual({ typeId: moduleIds[entry], fd: expect.any(Number) });
    expect(modules).toEqual([7]);
  });

  it.each([
    'xdp',
    'kprobe/vfs_read',
    'tracepoint/a/b',
    'fentry.multi/vfs_*',
    'raw_tp/sched_switch',
    'struct_ops/run',
    'socket',
  ])('%s has none, and the kernel is not asked', (section) => {
    const kernel = partialKernel({});
    const { definition, attachTo } = program(section);
    expect(attachTargetOf(definition, attachTo, new KernelTypes(kernel), kernel)).toBeNull();
  });
});

describe('a place that is not there', () => {
  it.each([
    [
      'fentry/vfs_raed',
      'function "vfs_raed", which the BTF of the kernel does not have; did you mean "vfs_read"?',
    ],
    [
      'lsm/file_opne',
      'hook "file_opne", which the BTF of the kernel does not have; did you mean "file_open"?',
    ],
    ['tp_btf/sched_swich', 'did you mean "sched_switch"?'],
    [
      'fentry/quite_another',
      'does not have; functions that the compiler inlined everywhere are gone',
    ],
    [
      'iter/quite_another',
      'is for the iterator "quite_another", which the BTF of the kernel does not have',
    ],
    ['fentry/toy:vfs_write', 'which the BTF of the module "toy" does not have'],
    ['fentry/vmlinux:toy_get', 'which the BTF of the kernel does not have'],
    ['fentry/vm:vfs_read', 'is for module "vm", which is not there: loaded are toy'],
    ['fentry', 'program "p" does not say which function it is for: write SEC("fentry/NAME")'],
  ])('is an error: %s', (section, message) => {
    expect(() => targetIn(section)).toThrow(
      expect.objectContaining({
        code: 'ERR_SKEP_LOAD',
        message: expect.stringContaining(message),
      }),
    );
  });

  it('may be in a module that this process cannot see', () => {
    const hidden = { refuseListing: ERRNO.EPERM };
    expect(() => targetIn('fentry/toy_get', hidden)).toThrow(
      /kernel \(modules cannot be looked at without CAP_SYS_ADMIN\) does not have/,
    );
    expect(() => targetIn('fentry/toy:toy_get', hidden)).toThrow(
      /is not there: modules cannot be looked at without CAP_SYS_ADMIN/,
    );
  });

  it('cannot be found in a kernel without BTF', () => {
    expect(() => targetIn('fentry/vfs_read', { kernelBtf: () => null })).toThrow(
      /no BTF to find it in \(CONFIG_DEBUG_INFO_BTF\)/,
    );
  });
});

describe('a program that is for a function of another program', () => {
  const bytes = new Uint8Array(Buffer.from(toyTypes.kernel, 'hex'));
  const kernel = (btfId: number) =>
    partialKernel({
      programInfo: () => ({ id: 12, name: 'whole', btfId }) as ProgramInfo,
      readBtf: () => bytes,
    });
  const target = (section: string, btfId = 9, fd: number | undefined = 33) => {
    const { definition, attachTo } = program(section);
    return attachTargetOf(definition, attachTo, new KernelTypes(kernel(btfId)), kernel(btfId), fd);
  };

  it.each(['freplace/vfs_read', 'fentry/vfs_read'])(
    "%s is loaded for the id in that program's BTF, and the program",
    (section) => {
      expect(target(section)).toEqual({ typeId: kernelIds['func vfs_read'], fd: 33 });
    },
  );

  it('needs that program', () => {
    const { definition, attachTo } = program('freplace/vfs_read');
    const none = partialKernel({});
    expect(() => attachTargetOf(definition, attachTo, new KernelTypes(none), none)).toThrow(
      /which program was not said/,
    );
  });

  it('needs a program with BTF, and a function that it has', () => {
    expect(() => target('freplace/vfs_read', 0)).toThrow(
      'cannot attach to program "whole" (id 12): that was loaded without BTF',
    );
    expect(() => target('freplace/other')).toThrow(
      'program "p" cannot attach to "other": program "whole" (id 12) has bpf_task_get, vfs_read,',
    );
  });
});

describe('a struct of functions', () => {
  it('of a module is there with the struct around it, and its descriptor', () => {
    const { kernel, open } = toyKernel();
    const types = new KernelTypes(kernel);
    const found = structOpsTypes(types, 'toy_ops___mine');
    const [fd] = [...open.keys()];
    expect(found).toMatchObject({
      structTarget: { typeId: moduleIds['struct toy_ops'], fd },
      valueTarget: { typeId: moduleIds['struct bpf_struct_ops_toy_ops'], fd },
      dataOffset: 64,
    });
    expect([found.struct.name, found.value.sizeBytes]).toEqual(['toy_ops', 128]);
    types.close();
  });

  it('that the kernel takes no programs for is an error', () => {
    const types = (options: ToyOptions) => new KernelTypes(toyKernel(options).kernel);
    expect(() => structOpsTypes(types({}), 'task_struct')).toThrow(
      /no programs for the functions of struct task_struct: neither it nor a module has a struct bpf_struct_ops_task_struct/,
    );
    expect(() => structOpsTypes(types({ refuseListing: ERRNO.EPERM }), 'toy_ops')).toThrow(
      /CAP_SYS_ADMIN/,
    );
    expect(() => structOpsTypes(types({ kernelBtf: () => null }), 'toy_ops')).toThrow(/no BTF/);
  });
});

describeKernel('places in the running kernel', () => {
  const SECTIONS = [
    ['fentry/vfs_read', 'FUNC', 'vfs_read'],
    ['fmod_ret/security_file_open', 'FUNC', 'security_file_open'],
    ['lsm/file_open', 'FUNC', 'bpf_lsm_file_open'],
    ['iter/task', 'FUNC', 'bpf_iter_task'],
    ['tp_btf/sched_switch', 'TYPEDEF', 'btf_trace_sched_switch'],
  ] as const;

  it.runIf(hasProgram('bpftool'))('have the ids that bpftool prints', () => {
    const dump = output('bpftool', 'btf', 'dump', 'file', '/sys/kernel/btf/vmlinux');
    const kernel = linuxKernel();
    const types = new KernelTypes(kernel);
    for (const [section, kind, name] of SECTIONS) {
      const line = new RegExp(`^\\[(\\d+)\\] ${kind} '${name}'`, 'm').exec(dump);
      const { definition, attachTo } = program(section);
      const target = attachTargetOf(definition, attachTo, types, kernel);
      expect(target, section).toEqual({ typeId: Number(line?.[1]), fd: null });
    }
  });

  it.runIf(hasProgram('bpftool'))('are structs of functions, with their ids', () => {
    const dump = output('bpftool', 'btf', 'dump', 'file', '/sys/kernel/btf/vmlinux');
    const id = (name: string) =>
      Number(new RegExp(`^\\[(\\d+)\\] STRUCT '${name}'`, 'm').exec(dump)?.[1]);
    expect(structOpsTypes(new KernelTypes(linuxKernel()), 'tcp_congestion_ops')).toMatchObject({
      structTarget: { typeId: id('tcp_congestion_ops'), fd: null },
      valueTarget: { typeId: id('bpf_struct_ops_tcp_congestion_ops'), fd: null },
    });
  });

  it.each(['tp_btf/sched_switch', 'iter/task'])('are what the kernel takes: %s', (section) => {
    const kernel = linuxKernel();
    const { definition, attachTo } = program(section);
    const target = attachTargetOf(definition, attachTo, new KernelTypes(kernel), kernel);
    const fd = kernel.loadProgram(
      {
        type: definition.typeNumber,
        // r0 = 0; exit
        instructions: new Uint8Array(Buffer.from('b7000000000000009500000000000000', 'hex')),
        license: 'GPL',
        name: 'skep_target',
        flags: 0,
        expectedAttachType: definition.attachTypeNumber,
        kernelVersion: 0,
        btf: null,
        target,
        descriptors: [],
      },
      null,
    );
    expect(kernel.programInfo(fd).attachTypeId).toBe(target!.typeId);
    kernel.close(fd);
  });
});
