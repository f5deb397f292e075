/**
 * Externs of `.ksyms` in a kernel that is made up (toy-kernel.ts), by the ids that libbpf has for their
 * types, and in the running one.
 */

import { beforeEach, describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { ObjectFile as ParsedObject } from '../../src/obj/object.ts';
import { type Extern, readExterns } from '../../src/obj/relocations-externs.ts';
import { ExternResolver } from '../../src/programs/externs.ts';
import { KernelTypes } from '../../src/programs/kernel-types.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { describeKernel, needsLinux } from '../support/kernel.ts';
import { hasProgram, output } from '../support/programs.ts';
import { partialKernel } from './partial-kernel.ts';
import { type ToyOptions, toyKernel, toyTypes } from './toy-kernel.ts';

const object = ObjectFile.open(fixturePath('run/externs.bpf.o'));

function externsOf(parsed: ParsedObject): Map<string, Extern> {
  const externs = readExterns(parsed.elf.symbols, parsed.btf);
  return new Map(Array.from(externs.values(), (extern) => [extern.name, extern]));
}

const externs = externsOf(object);
const { kernelIds, moduleIds } = toyTypes;

function toy(options: ToyOptions = {}) {
  const made = toyKernel(options);
  const types = new KernelTypes(made.kernel);
  const resolver = new ExternResolver(object, made.kernel, types);
  const resolve = (name: string) => resolver.resolve(externs.get(name)!);
  return { ...made, types, resolver, resolve };
}

/** A kernel that has these symbols. */
function symbols(addresses: Readonly<Record<string, bigint>>): Partial<Kernel> {
  return {
    symbolAddresses: (names) =>
      new Map(Object.entries(addresses).filter(([name]) => names.has(name))),
  };
}

describe('a symbol without a type', () => {
  const shown = { _stext: 0xffffffff81000000n, address: 0xffffffff81000040n };

  it('is where the kernel says', () => {
    const { resolve, asked } = toy(symbols(shown));
    expect(resolve('address')).toEqual({ kind: 'address', address: 0xffffffff81000040n });
    expect(asked).toEqual({ kernelBtf: 0, modules: 0 });
  });

  it('is null if it is weak and not there, an error if it has to be', () => {
    const { resolve } = toy(symbols(shown));
    expect(resolve('address_absent')).toBeNull();
    expect(() => resolve('address_missing')).toThrow(
      /^extern "address_missing" is not among the kernel's symbols .*__weak/,
    );
  });

  it('may be at 0, as variables of the first CPU are', () => {
    const { resolve } = toy(symbols({ ...shown, address: 0n }));
    expect(resolve('address')).toEqual({ kind: 'address', address: 0n });
  });

  it('is not at 0 where the kernel hides all addresses', () => {
    const { resolve } = toy(symbols({ _stext: 0n, address: 0n, address_absent: 0n }));
    expect(() => resolve('address')).toThrow(/hides addresses .*CAP_SYSLOG.*kptr_restrict/);
    expect(resolve('address_absent')).toBeNull();
  });

  it('is asked for with all others of the object, once', () => {
    const calls: string[][] = [];
    const { resolve } = toy({
      symbolAddresses(names) {
        calls.push([...names].sort());
        return new Map([['address', 5n]]);
      },
    });
    resolve('address');
    resolve('address_absent');
    expect(calls).toEqual([['_stext', 'address', 'address_absent', 'address_missing']]);
  });
});

describe('a variable with a type', () => {
  it('of the kernel has the id of its type, and no descriptor', () => {
    const { resolve, asked } = toy();
    const typeId = kernelIds['var kernel_number'];
    expect(resolve('kernel_number')).toEqual({ kind: 'variable', typeId, fd: 0 });
    expect(asked).toEqual({ kernelBtf: 1, modules: 0 });
  });

  it("of a module has the descriptor of the module's BTF", () => {
    const { resolve, types, open } = toy();
    const typeId = moduleIds['var toy_number'];
    const found = resolve('toy_number');
    expect(found).toEqual({ kind: 'variable', typeId, fd: [...open.keys()][0] });
    expect(resolve('toy_number')).toBe(found);
    types.close();
  });

  it('is null if it is weak and not there, an error if it has to be', () => {
    const { resolve } = toy();
    expect(resolve('number_absent')).toBeNull();
    expect(() => resolve('number_missing')).toThrow(
      /"number_missing" is no variable with a type of the kernel or of a module that is loaded/,
    );
  });

  it('must be of the same kind of type, weak or not', () => {
    expect(() => toy().resolve('kernel_task')).toThrow(
      'extern "kernel_task" is declared `int kernel_task`, but the kernel has `struct task_struct kernel_task`',
    );
  });
});

describe('a function', () => {
  it('of the kernel has the id of its type', () => {
    const typeId = kernelIds['func bpf_task_get'];
    expect(toy().resolve('bpf_task_get')).toEqual({ kind: 'kfunc', typeId, module: null });
  });

  it('of a module names the module, whose descriptor is opened when it is asked for', () => {
    const { resolve, open } = toy();
    const typeId = moduleIds['func toy_get'];
    expect(resolve('toy_get')).toMatchObject({ kind: 'kfunc', typeId, module: { name: 'toy' } });
    expect(open.size).toBe(0);
  });

  it('is found by its name without flavour; weak flavours of another type are null', () => {
    const { resolve } = toy();
    const typeId = kernelIds['func bpf_task_get'];
    expect(resolve('bpf_task_get___same')).toMatchObject({ typeId });
    expect(resolve('bpf_task_get___other')).toBeNull();
  });

  it('must have the type that it is declared with', () => {
    expect(() => toy().resolve('vfs_write')).toThrow(
      'extern "vfs_write" is declared `int vfs_write(int)`, but the kernel has `int vfs_write(struct task_struct *)`',
    );
  });

  it('is not found with a struct that is only declared, as in libbpf, and the error says so', () => {
    expect(() => toy().resolve('vfs_read')).toThrow(
      /declared `int vfs_read\(struct file \*\)`, .*; structs must be defined, as in vmlinux.h/,
    );
  });

  it('that is not there is null if it is weak; else the error names one that is near', () => {
    const { resolve } = toy();
    expect(resolve('function_absent')).toBeNull();
    expect(() => resolve('bpf_task_gett')).toThrow(/did you mean "bpf_task_get"\?/);
  });

  it('may be in a module that this process cannot see: the error says so', () => {
    const { resolve } = toy({ refuseListing: ERRNO.EPERM });
    expect(() => resolve('toy_get')).toThrow(/modules cannot be looked at without CAP_SYS_ADMIN/);
  });

  it('cannot be found in a kernel without BTF', () => {
    const { resolve } = toy({ kernelBtf: () => null });
    expect(() => resolve('bpf_task_get')).toThrow(/no BTF \(CONFIG_DEBUG_INFO_BTF\)/);
    expect(resolve('function_absent')).toBeNull();
  });
});

describe('several externs', () => {
  it('are looked for before the error, which names all that are not there', () => {
    const { resolver } = toy(symbols({}));
    const message = expect.stringMatching(
      /^extern "number_missing" is no .*\nextern "address_missing" is not .*$/,
    );
    const wanted = ['number_missing', 'address_missing', 'kernel_number'];
    expect(() => resolver.resolveAll(wanted.map((name) => externs.get(name)!))).toThrow(
      expect.objectContaining({ code: 'ERR_SKEP_LOAD', message }),
    );
    resolver.resolveAll([externs.get('kernel_number')!, externs.get('number_absent')!]);
  });

  it('are no options of .kconfig', () => {
    const kconfig = openFixture('data/kconfig');
    const kernel = partialKernel({});
    const resolver = new ExternResolver(kconfig, kernel, new KernelTypes(kernel));
    expect(() => resolver.resolve(externsOf(kconfig).get('CONFIG_HZ')!)).toThrow(TypeError);
  });
});

describeKernel('externs in the running kernel', () => {
  beforeEach((context) => needsLinux(context, '6.2', 'the function bpf_rcu_read_lock'));

  const real = openFixture('data/ksyms');

  function resolveAll(): Record<string, unknown> {
    const kernel = linuxKernel();
    const types = new KernelTypes(kernel);
    const resolver = new ExternResolver(real, kernel, types);
    const found = Array.from(externsOf(real), ([name, extern]) => [name, resolver.resolve(extern)]);
    types.close();
    return Object.fromEntries(found);
  }

  it('have the addresses of /proc/kallsyms, and null where there are none', () => {
    const found = resolveAll();
    const line = output('grep', ' T schedule$', '/proc/kallsyms');
    const address = BigInt(`0x${line.split(' ')[0]}`);
    expect(found.schedule).toEqual({ kind: 'address', address });
    expect(found.skep_absent).toBeNull();
    expect(found.skep_absent_number).toBeNull();
  });

  it.runIf(hasProgram('bpftool'))('have the ids that bpftool prints for their functions', () => {
    const dump = output('bpftool', 'btf', 'dump', 'file', '/sys/kernel/btf/vmlinux');
    const found = resolveAll();
    for (const name of ['bpf_rcu_read_lock', 'bpf_rcu_read_unlock']) {
      const typeId = Number(new RegExp(`^\\[(\\d+)\\] FUNC '${name}'`, 'm').exec(dump)![1]);
      expect(found[name]).toEqual({ kind: 'kfunc', typeId, module: null });
    }
  });

  it('are null where libbpf has 0: a weak function whose struct the object only declares', () => {
    // fixtures/expected/libbpf-insns/data/ksyms.json: instruction 14.
    expect(resolveAll().bpf_task_acquire).toBeNull();
  });
});
