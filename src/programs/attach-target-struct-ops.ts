/**
 * The kernel's side of a struct of functions (struct_ops): the struct that programs are loaded for, and
 * the one around it that a map's value is.
 *
 * Rules: libbpf's `find_struct_ops_kern_types`.
 */

import { SkepError } from '../errors.ts';
import type { AttachTarget } from '../kernel/program-calls.ts';
import type { Btf } from '../obj/btf/btf.ts';
import { skipModifiers } from '../obj/btf/layout.ts';
import type { BtfComposite } from '../obj/btf/types.ts';
import { essentialName } from '../obj/relocations-externs.ts';
import type { KernelTypes } from './kernel-types.ts';

const VALUE_PREFIX = 'bpf_struct_ops_';

/** A struct of functions as the kernel has it. */
export interface StructOpsTypes {
  /** The BTF that has both structs. */
  readonly btf: Btf;
  /** The struct itself: what its programs are loaded for; the expected attach type is the member. */
  readonly struct: BtfComposite;
  readonly structTarget: AttachTarget;
  /** `struct bpf_struct_ops_NAME`: the type of the map's value. */
  readonly value: BtfComposite;
  readonly valueTarget: AttachTarget;
  /** Where the struct lies in the value, in bytes. */
  readonly dataOffset: number;
}

/**
 * Finds a struct of functions in the kernel, or in the module that brings it.
 *
 * @param name of the struct in the object; a flavour (`___suffix`) does not count
 * @throws SkepError `ERR_SKEP_LOAD` if the kernel does not take programs for it
 */
export function structOpsTypes(types: KernelTypes, name: string): StructOpsTypes {
  const wanted = essentialName(name);
  const found = types.find('struct', VALUE_PREFIX + wanted);
  if (found === undefined) {
    const reason =
      types.kernelBtf === undefined
        ? 'it has no BTF (CONFIG_DEBUG_INFO_BTF)'
        : types.areModulesHidden
          ? 'modules cannot be looked at without CAP_SYS_ADMIN'
          : `neither it nor a module has a struct ${VALUE_PREFIX}${wanted}`;
    throw new SkepError(
      'ERR_SKEP_LOAD',
      `the kernel takes no programs for the functions of struct ${wanted}: ${reason}`,
    );
  }
  const { btf, module } = found;
  const value = btf.type(found.typeId) as BtfComposite;
  // By type, not by name: that is how the kernel finds it too.
  for (const { typeId, bitOffset } of value.members) {
    const struct = btf.type(skipModifiers(btf, typeId));
    if (struct.kind === 'struct' && struct.name === wanted) {
      const fd = module?.fd ?? null;
      return {
        btf,
        struct,
        structTarget: { typeId: struct.id, fd },
        value,
        valueTarget: { typeId: value.id, fd },
        dataOffset: bitOffset / 8,
      };
    }
  }
  throw new SkepError(
    'ERR_SKEP_LOAD',
    `struct ${value.name} of the kernel has no member that is a struct ${wanted}`,
  );
}
