/**
 * An object's struct of functions as the kernel has it: member by member, by name, in the place where the
 * running kernel has that member.
 *
 * Rules: libbpf's `bpf_map__init_kern_struct_ops`. Members that this kernel does not have must be zero.
 */

import { SkepError } from '../errors.ts';
import type { Btf } from '../obj/btf/btf.ts';
import { resolveType, sizeOfType } from '../obj/btf/layout.ts';
import type { BtfMember } from '../obj/btf/types.ts';
import type { StructOpsValue } from '../obj/struct-ops-value.ts';
import type { StructOpsTypes } from './attach-target-struct-ops.ts';

/** A function of a struct in the kernel. */
export interface StructOpsFunction {
  /** The program's name in the object. */
  readonly program: string;
  /** The member's index in the kernel's struct: what the program is loaded for. */
  readonly member: number;
  /** Where the program's descriptor goes, in bytes of the map's value. */
  readonly offset: number;
}

/** The value of a struct_ops map, but for its programs' descriptors. */
export interface KernelStructOps {
  /** `struct bpf_struct_ops_NAME`. */
  readonly value: Uint8Array;
  readonly functions: readonly StructOpsFunction[];
}

/**
 * Lays an object's struct out as the kernel has it.
 *
 * @param map the map's name, for errors
 * @param local the object's types
 * @throws SkepError `ERR_SKEP_LOAD` for a member that the kernel does not have, or has as something else
 */
export function kernelStructOps(
  map: string,
  local: Btf,
  object: StructOpsValue,
  kernel: StructOpsTypes,
): KernelStructOps {
  const value = new Uint8Array(kernel.value.sizeBytes);
  const functions: StructOpsFunction[] = [];
  object.struct.members.forEach((member, index) => {
    const fail = (problem: string) =>
      new SkepError('ERR_SKEP_LOAD', `map "${map}", member "${member.name}": ${problem}`);
    const program = object.programs.get(index);
    const size = sizeOfType(local, member.typeId);
    const from = Math.floor(member.bitOffset / 8);
    const bytes = object.contents.subarray(from, from + size);
    const isSet = program !== undefined || bytes.some((byte) => byte !== 0);
    const found = kernel.struct.members.findIndex(({ name }) => name === member.name);
    const target = kernel.struct.members[found];
    if (target === undefined) {
      if (isSet) {
        throw fail(absent(kernel.struct.name, map, member.name, program !== undefined));
      }
      return;
    }
    checkKinds(local, member, kernel.btf, target, fail);
    const offset = kernel.dataOffset + target.bitOffset / 8;
    if (resolveType(local, member.typeId).kind !== 'ptr') {
      const kernelSize = sizeOfType(kernel.btf, target.typeId);
      if (size !== kernelSize) {
        throw fail(`it has ${size} bytes, and ${kernelSize} in this kernel`);
      }
      value.set(bytes, offset);
    } else if (program !== undefined) {
      checkFunction(kernel.btf, target, fail);
      functions.push({ program, member: found, offset });
    } else if (isSet) {
      throw fail('it is a pointer to something that is no program');
    }
  });
  return { value, functions };
}

type Fail = (problem: string) => SkepError;

/** Both are of one kind, through typedefs and modifiers, and start at a byte. */
function checkKinds(
  local: Btf,
  member: BtfMember,
  kernel: Btf,
  target: BtfMember,
  fail: Fail,
): void {
  if (member.bitSize !== 0 || target.bitSize !== 0) {
    throw fail('it is a bit field, which cannot be set');
  }
  const { kind } = resolveType(local, member.typeId);
  const wanted = resolveType(kernel, target.typeId).kind;
  if (kind !== wanted) {
    throw fail(`it is of kind ${kind}, and of kind ${wanted} in this kernel`);
  }
}

function checkFunction(kernel: Btf, { typeId }: BtfMember, fail: Fail): void {
  const pointer = resolveType(kernel, typeId);
  if (pointer.kind !== 'ptr' || resolveType(kernel, pointer.typeId).kind !== 'func_proto') {
    throw fail('it is no pointer to a function in this kernel');
  }
}

function absent(struct: string, map: string, member: string, isFunction: boolean): string {
  const nothing = isFunction ? 'null' : 'zeros';
  return `struct ${struct} of this kernel has no such member; leave it out, or set it to ${nothing} by the option maps.${map}.members.${member}`;
}
