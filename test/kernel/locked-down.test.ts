/**
 * What a kernel that is locked down refuses to everybody, and others do: programs in front of the kernel's
 * functions and hooks, attached, so that what they do shows. Where it is refused, the error says why, and the
 * test is skipped for that reason; with `SKEP_REQUIRE_HOOKS=1`, as in virtual machines, it fails.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, type TestContext } from 'vitest';
import { u32 } from '../../src/codec/numbers.ts';
import { SyscallError } from '../../src/errors.ts';
import { openKernelBtf } from '../../src/kernel/kernel-btf.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import type { Program } from '../../src/programs/program.ts';
import type { ProgramOptions } from '../../src/programs/program-shape.ts';
import { type Attached, attach, attachKprobe, hasKprobes } from '../support/attach.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, skipRefused } from '../support/kernel.ts';

const LOCKDOWN = '/sys/kernel/security/lockdown';
const CONNTRACK = '/sys/kernel/btf/nf_conntrack';
const PACKET = new Uint8Array(64);

/** How the kernel is locked down; null if it does not say, as where securityfs is not mounted. */
const mode = existsSync(LOCKDOWN)
  ? (/\[(\w+)\]/.exec(readFileSync(LOCKDOWN, 'latin1'))?.[1] ?? null)
  : null;

/** What errors say there; a kernel that says that it is not locked down (`none`) has no excuse. */
const REFUSAL: Readonly<Record<string, RegExp>> = {
  integrity: /EPERM .*this kernel is locked down \(integrity\)/,
  confidentiality: /EPERM .*this kernel is locked down \(confidentiality\)/,
  unsaid: /EPERM .*a kernel that is locked down may refuse them even so/,
};

/** Why such tests are skipped; `npm test` mounts securityfs where it may, so that the kernel can say it. */
const REASON =
  mode === null
    ? 'this kernel may be locked down; securityfs, which would tell, is not mounted'
    : 'this kernel is locked down';

/**
 * One program of an object of fixtures/run/. If the kernel refuses it, the error has to say that it is locked
 * down; the test is skipped then.
 */
function loadOne(
  context: TestContext,
  object: string,
  program: string,
  options: ProgramOptions = {},
): LoadedObject {
  try {
    return load(ObjectFile.open(fixturePath(`run/${object}.bpf.o`)), {
      programs: { [program]: { autoload: true, ...options } },
    });
  } catch (error) {
    const refusal = REFUSAL[mode ?? 'unsaid'];
    if (refusal === undefined || !(error instanceof SyscallError)) throw error;
    expect(error.message).toMatch(refusal);
    return skipRefused(context, REASON);
  }
}

describeKernel('the kernel', () => {
  it('says whether it is locked down', (context) => {
    if (mode === null) {
      skipRefused(context, 'securityfs is not mounted');
    }
    expect(['none', 'integrity', 'confidentiality']).toContain(mode);
  });
});

describeKernel('a program in front of a function of the kernel', () => {
  it('is called with its arguments (fentry), by the test run that the kernel has for that', (context) => {
    using app = loadOne(context, 'hooks', 'on_entry');
    const program = app.program('on_entry');
    using _attached: Attached = attach(program);
    program.run();
    expect(app.globals).toMatchObject({ entry_argument: 1 });
  });

  it('is called with arguments and result (fexit)', (context) => {
    using app = loadOne(context, 'hooks', 'on_exit');
    const program = app.program('on_exit');
    using _attached: Attached = attach(program);
    program.run();
    expect(app.globals).toMatchObject({ exit_argument: 1, exit_result: 2 });
  });

  it('is for the function whose type it names', (context) => {
    using app = loadOne(context, 'hooks', 'on_entry');
    const { attachTypeId } = app.program('on_entry').info();
    expect(openKernelBtf().nameOf(attachTypeId)).toBe('bpf_fentry_test1');
  });
});

describeKernel('a program at a hook of LSM', () => {
  it('refuses what it is asked about, which is an error of skep as any other', (context) => {
    using app = loadOne(context, 'hooks', 'refuse_maps');
    app.globals.process = process.pid;
    const create = () => ArrayMap.create({ value: u32, maxEntries: 1 }).close();
    create();
    {
      using _attached: Attached = attach(app.program('refuse_maps'));
      expect(create).toThrow(/BPF_MAP_CREATE failed with EPERM/);
    }
    expect(app.globals.refusals).toBe(1);
    expect(create).not.toThrow();
  });
});

describeKernel('a program at a probe', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'skep-probe-'));
  });
  afterEach(() => {
    rmdirSync(directory);
  });

  it('is loaded, also where functions cannot be probed', (context) => {
    using app = loadOne(context, 'hooks', 'on_mkdir');
    expect(app.program('on_mkdir').info().typeName).toBe('kprobe');
  });

  it('is called when the function is', (context) => {
    using app = loadOne(context, 'hooks', 'on_mkdir');
    const program = app.program('on_mkdir');
    if (!hasKprobes) {
      expect(() => attachKprobe(program, 'do_mkdirat')).toThrow(/ENOENT/);
      skipRefused(context, 'this kernel has no kprobes');
    }
    app.globals.process = process.pid;
    using _attached: Attached = attachKprobe(program, 'do_mkdirat');
    mkdirSync(join(directory, 'one'));
    rmdirSync(join(directory, 'one'));
    expect(app.globals.directories).toBe(1);
  });
});

describeKernel('a program that replaces a function of another', () => {
  it('is called in its place while it is attached', (context) => {
    using app = load(ObjectFile.open(fixturePath('run/replacing.bpf.o')));
    const ask = app.program('ask');
    const answer = () => ask.run({ data: PACKET }).returnValue;
    expect(answer()).toBe(2);
    using other = loadOne(context, 'replacing', 'other_answer', { attachProgram: ask });
    {
      using _attached: Attached = attach(other.program('other_answer'));
      expect(answer()).toBe(42);
    }
    expect(answer()).toBe(2);
  });
});

describeKernel('a module of the kernel, or what of it is built in', () => {
  const isModule = existsSync(CONNTRACK);

  it('has functions that programs call', () => {
    using app = load(ObjectFile.open(fixturePath('run/conntrack.bpf.o')), {
      programs: { look_up: { autoload: true } },
    });
    expect(app.program('look_up').run({ data: PACKET }).returnValue).toBe(1);
    // There is no such connection: ENOENT.
    expect(app.globals.error).toBe(-2);
  });

  it('has functions that programs are for', (context) => {
    using app = loadOne(context, 'conntrack', 'after_delete');
    expect(targetName(app.program('after_delete'))).toBe('nf_ct_delete');
  });

  it('is the only place that is looked at if a program names it', (context) => {
    if (!isModule) {
      expect(() => loadOne(context, 'conntrack', 'on_delete')).toThrow(
        /is for module "nf_conntrack", which is not there/,
      );
      return;
    }
    using app = loadOne(context, 'conntrack', 'on_delete');
    expect(targetName(app.program('on_delete'))).toBe('nf_ct_delete');
  });

  /** What a program is for, by the ids of the module's types, which go on where the kernel's end. */
  function targetName(program: Program): string {
    const kernel = openKernelBtf();
    const types = isModule ? Btf.parse(readFileSync(CONNTRACK), CONNTRACK, kernel) : kernel;
    return types.nameOf(program.info().attachTypeId);
  }
});
