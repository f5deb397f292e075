/**
 * Types of a kernel and its modules: found under the ids that libbpf has for them, and not before they are
 * needed.
 */

import { describe, expect, it } from 'vitest';
import { Btf } from '../../src/obj/btf/btf.ts';
import type { BtfKindName } from '../../src/obj/btf/types.ts';
import { KernelTypes } from '../../src/programs/kernel-types.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { openFixture } from '../support/fixtures.ts';
import { partialKernel } from './partial-kernel.ts';
import { toyKernel, toyTypes } from './toy-kernel.ts';

/** `kind name` as the records have it. */
function split(entry: string): [BtfKindName, string] {
  const [kind, name] = entry.split(' ');
  return [kind as BtfKindName, name!];
}

describe('types of the kernel', () => {
  it.each(Object.entries(toyTypes.kernelIds))('%s has id %i', (entry, id) => {
    const { kernel, asked } = toyKernel();
    const types = new KernelTypes(kernel);
    expect(types.find(...split(entry))).toMatchObject({ typeId: id, module: null });
    expect(asked).toEqual({ kernelBtf: 1, modules: 0 });
  });

  it('are indexed once, whoever asks', () => {
    const { kernel } = toyKernel();
    expect(new KernelTypes(kernel).kernelBtf).toBe(new KernelTypes(kernel).kernelBtf);
  });

  it('cannot be had where they are damaged, which is said of the kernel, not of the object', () => {
    const types = new KernelTypes(partialKernel({ kernelBtf: () => new Uint8Array(100) }));
    expect(() => types.kernelBtf).toThrow(
      expect.objectContaining({
        code: 'ERR_SKEP_LOAD',
        message: expect.stringMatching(
          /^the types of the running kernel cannot be used: BTF in \/sys/,
        ),
        cause: expect.objectContaining({ code: 'ERR_SKEP_BTF' }),
      }),
    );
  });

  it('are none where the kernel has no BTF, and then no module has any', () => {
    const { kernel, asked } = toyKernel({ kernelBtf: () => null });
    const types = new KernelTypes(kernel);
    expect(types.kernelBtf).toBeUndefined();
    expect(types.find('func', 'vfs_read')).toBeUndefined();
    expect([...types.targets()]).toEqual([]);
    expect(asked.modules).toBe(0);
  });
});

describe('types of a module', () => {
  const onlyInModule = Object.entries(toyTypes.moduleIds).filter(
    ([entry]) => !(entry in toyTypes.kernelIds),
  );

  it.each(onlyInModule)('%s has id %i', (entry, id) => {
    const { kernel } = toyKernel();
    const types = new KernelTypes(kernel);
    const found = types.find(...split(entry))!;
    expect(found.typeId).toBe(id);
    expect(found.module?.name).toBe('toy');
    expect(found.btf.nameOf(id)).toBe(entry.split(' ')[1]);
    types.close();
  });

  it('are its own, not those of the kernel', () => {
    const { kernel } = toyKernel();
    const types = new KernelTypes(kernel);
    const [toy] = types.modules();
    const id = toyTypes.moduleIds['func vfs_read'];
    expect(types.findInModule(toy!, 'func', 'vfs_read')?.typeId).toBe(id);
    expect(types.findInModule(toy!, 'func', 'vfs_write')).toBeUndefined();
    expect(types.findInModule(toy!, 'var', 'vfs_read')).toBeUndefined();
  });

  it('are listed once; BTF of others, and what is gone by then, is no module', () => {
    const { kernel, asked, open } = toyKernel();
    const types = new KernelTypes(kernel);
    expect(types.modules().map(({ name, id }) => [name, id])).toEqual([['toy', 7]]);
    expect(types.modules()).toBe(types.modules());
    expect(asked.modules).toBe(1);
    expect(open.size).toBe(0);
  });

  it('are held by one descriptor, from when it is asked for to the end', () => {
    const { kernel, open } = toyKernel();
    const types = new KernelTypes(kernel);
    const [toy] = types.modules();
    expect(toy!.fd).toBe(toy!.fd);
    expect([...open]).toEqual([[toy!.fd, 7]]);
    types.close();
    types.close();
    expect(open.size).toBe(0);
  });

  it.each([
    ['nobody may list them', ERRNO.EPERM, true],
    ['the kernel is too old', ERRNO.EINVAL, false],
  ])('are none if %s', (_, refuseListing, areHidden) => {
    const types = new KernelTypes(toyKernel({ refuseListing }).kernel);
    expect(types.find('func', 'toy_get')).toBeUndefined();
    expect(types.areModulesHidden).toBe(areHidden);
  });

  it('are an error if listing them fails for another reason', () => {
    const types = new KernelTypes(toyKernel({ refuseListing: ERRNO.ENOMEM }).kernel);
    expect(() => types.modules()).toThrow(/ENOMEM/);
  });

  it('are passed over if the module is unloaded meanwhile', () => {
    const types = new KernelTypes(toyKernel({ unloadModule: true }).kernel);
    expect(types.find('func', 'toy_get')).toBeUndefined();
    expect([...types.targets()].map(({ name }) => name)).toEqual(['vmlinux']);
  });
});

describe('what CO-RE looks at', () => {
  it('is the kernel first; modules are not touched before they are reached', () => {
    const { kernel, asked } = toyKernel();
    const targets = new KernelTypes(kernel).targets();
    expect(asked).toEqual({ kernelBtf: 0, modules: 0 });
    expect(targets.next().value).toMatchObject({ name: 'vmlinux' });
    expect(asked).toEqual({ kernelBtf: 1, modules: 0 });
    expect(targets.next().value).toMatchObject({ name: 'toy' });
    expect(targets.next().done).toBe(true);
  });

  it('is what was given instead, alone', () => {
    const given = openFixture('demo').btf!;
    expect([...new KernelTypes(partialKernel({}), given).targets()]).toEqual([
      { name: 'vmlinux', btf: given },
    ]);
  });

  it('does not change where functions are looked up: their ids are for the running kernel', () => {
    const given = Btf.parse(new Uint8Array(Buffer.from(toyTypes.kernel, 'hex')));
    const types = new KernelTypes(partialKernel({ kernelBtf: () => null }), given);
    expect(types.find('func', 'vfs_read')).toBeUndefined();
  });
});
