/** What programs are loaded as: by their section, and by the options. */

import { describe, expect, it } from 'vitest';
import type { ProgramDefinition } from '../../src/obj/programs.ts';
import { programSection } from '../../src/obj/sections.ts';
import { Program } from '../../src/programs/program.ts';
import { type ProgramOptions, programShape } from '../../src/programs/program-shape.ts';
import { attachTypeName, BPF_ATTACH_TYPE } from '../../src/uapi/attach-types.ts';
import { BPF_PROG_TYPE, programTypeName } from '../../src/uapi/program-types.ts';

const F_SLEEPABLE = 16;
const F_XDP_HAS_FRAGS = 32;

function definition(section: string): ProgramDefinition {
  const known = programSection(section);
  return {
    name: 'entry',
    section,
    type: programTypeName(known.type),
    typeNumber: known.type,
    attachType: known.attachType === null ? null : attachTypeName(known.attachType),
    attachTypeNumber: known.attachType ?? 0,
    attachTo: known.attachTo,
    sleepable: known.sleepable,
    autoload: known.autoload,
    instructions: 2,
    sectionIndex: 1,
    offset: 0,
  };
}

const attachProgram = Object.create(Program.prototype) as Program;

const shape = (section: string, options?: ProgramOptions) =>
  programShape(definition(section), options);

describe('a program', () => {
  it.each([
    [
      'xdp',
      {
        type: BPF_PROG_TYPE.XDP,
        attachType: BPF_ATTACH_TYPE.XDP,
        attachTypeOptional: true,
        flags: 0,
        needsTarget: false,
      },
    ],
    [
      'xdp.frags/devmap',
      { attachType: BPF_ATTACH_TYPE.XDP_DEVMAP, flags: F_XDP_HAS_FRAGS, attachTypeOptional: false },
    ],
    ['tc', { type: BPF_PROG_TYPE.SCHED_CLS, attachType: 0 }],
    [
      'fentry.s/vfs_read',
      {
        type: BPF_PROG_TYPE.TRACING,
        attachType: BPF_ATTACH_TYPE.TRACE_FENTRY,
        flags: F_SLEEPABLE,
        attachTo: 'vfs_read',
        needsTarget: true,
      },
    ],
    ['fentry.multi/vfs_*', { attachType: BPF_ATTACH_TYPE.TRACE_FENTRY_MULTI, needsTarget: false }],
    [
      'tracepoint/syscalls/sys_enter_openat',
      { type: BPF_PROG_TYPE.TRACEPOINT, attachTo: 'syscalls/sys_enter_openat', needsTarget: false },
    ],
    ['syscall', { type: BPF_PROG_TYPE.SYSCALL, flags: F_SLEEPABLE }],
  ])('of section %s is loaded as that says', (section, expected) => {
    expect(shape(section)).toMatchObject(expected);
  });

  it('has a name that the kernel takes, and keeps its own', () => {
    const long = { ...definition('xdp'), name: 'a_name_that_is_long.and$odd' };
    expect(programShape(long)).toMatchObject({ name: long.name, kernelName: 'a_name_that_is_' });
  });

  it('is of the type that the options give, without what its section says of the other', () => {
    expect(shape('xdp.frags', { type: 'sched_cls' })).toMatchObject({
      type: BPF_PROG_TYPE.SCHED_CLS,
      attachType: 0,
      flags: 0,
    });
    expect(
      shape('no_such', { type: 'tracing', attachType: 'trace_fentry', attachTo: 'vfs_read' }),
    ).toMatchObject({
      type: BPF_PROG_TYPE.TRACING,
      attachType: BPF_ATTACH_TYPE.TRACE_FENTRY,
      attachTo: 'vfs_read',
      needsTarget: true,
    });
    // Newer than the table of names.
    expect(shape('no_such', { type: 99, attachType: 98 })).toMatchObject({
      type: 99,
      attachType: 98,
    });
  });

  it('has the flags of its section and those of the options', () => {
    expect(shape('lsm.s/file_open', { flags: 64 }).flags).toBe(F_SLEEPABLE | 64);
  });

  it('must have the attach type that the options give, but need not have that of its section', () => {
    expect(shape('xdp', { attachType: 'xdp' }).attachTypeOptional).toBe(false);
  });

  it.each([
    [
      'a section that is nearly known',
      'kprobes/vfs_read',
      {},
      /section "kprobes\/vfs_read".*did you mean "kprobe"\?.*programs\.entry\.type/,
    ],
    ['a section that is like none', 'elsewhere', {}, /implies no type of program; rename/],
    ['a target that nothing names', 'fentry', {}, /nothing says what it is for.*attachTo/],
    [
      'a replacement of nothing',
      'freplace/handler',
      {},
      /replaces the function "handler".*attachProgram/,
    ],
    ['a type with a target by option', 'xdp', { type: 'lsm' }, /nothing says what it is for/],
  ])('is refused with %s', (_, section, options, message) => {
    expect(() => shape(section, options)).toThrow(message);
    expect(() => shape(section, options)).toThrow(
      expect.objectContaining({ code: 'ERR_SKEP_LOAD' }),
    );
  });

  it.each(['XDP', 'xpd', '__proto__', ''])(
    'is refused with a type %o, which there is not',
    (type) => {
      expect(() => shape('xdp', { type })).toThrow(TypeError);
      expect(() => shape('xdp', { type })).toThrow(/programs\.entry\.type/);
    },
  );

  it.each([
    ['type', 'xpd', /there is no program type "xpd"; did you mean "xdp"\?/],
    [
      'attachType',
      'xdp_devmpa',
      /there is no attach type "xdp_devmpa"; did you mean "xdp_devmap"\?/,
    ],
  ])('says which %s was most likely meant by %s', (option, given, message) => {
    expect(() => shape('xdp', { [option]: given })).toThrow(message);
  });

  it.each([
    ['xdp', { attachTo: 'vfs_read' }, /programs\.entry\.attachTo: a program of type xdp has no/],
    ['tc', { attachTo: 'eth0' }, /programs\.entry\.attachTo: a program of type sched_cls has no/],
    ['fentry/vfs_read', { type: 'syscall', attachTo: 'a' }, /of type syscall has no target/],
    [
      'kprobe/vfs_read',
      { attachProgram },
      /programs\.entry\.attachProgram: .* type kprobe is for no/,
    ],
  ])('is refused with a target that would change nothing: %s, %j', (section, options, message) => {
    expect(() => shape(section, options)).toThrow(TypeError);
    expect(() => shape(section, options)).toThrow(message);
  });

  it.each([
    'kprobe/vfs_read',
    'tracepoint/syscalls/sys_enter_openat',
    'raw_tp/sys_enter',
    'fentry.multi/vfs_*',
  ])('keeps the target of the options until it is attached: %s', (section) => {
    expect(shape(section, { attachTo: 'vfs_write' })).toMatchObject({
      attachTo: 'vfs_write',
      needsTarget: false,
    });
  });

  it('replaces a function of the program that the options give', () => {
    expect(shape('freplace/handler', { attachProgram })).toMatchObject({
      needsTarget: true,
      attachTo: 'handler',
    });
  });
});
