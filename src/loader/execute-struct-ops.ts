/**
 * What a load finds out about structs of functions (struct_ops): their values as the kernel has them,
 * and which member of the kernel's struct each program is for.
 */

import { SkepError } from '../errors.ts';
import type { AttachTarget } from '../kernel/program-calls.ts';
import type { Btf } from '../obj/btf/btf.ts';
import { structOpsTypes } from '../programs/attach-target-struct-ops.ts';
import type { KernelTypes } from '../programs/kernel-types.ts';
import type { StructMember } from '../programs/program-loader.ts';
import { type KernelStructOps, kernelStructOps } from '../programs/struct-ops.ts';
import type { CreateStructOpsStep } from './steps.ts';

/** What a struct_ops map is created with. */
export interface StructOpsCreation {
  /** Bytes of the kernel's struct. */
  readonly valueSize: number;
  readonly valueTarget: AttachTarget;
}

/** The structs of functions of one load. */
export class StructOpsExecution {
  /** What is written to each map when it is registered, by name. */
  readonly prepared = new Map<string, KernelStructOps>();
  readonly #types: () => KernelTypes;
  readonly #members = new Map<string, StructMember & { readonly map: string }>();

  /** @param types asked for only if there is such a map */
  constructor(types: () => KernelTypes) {
    this.#types = types;
  }

  /**
   * Matches a struct with the kernel's.
   *
   * @param local the object's types
   * @throws SkepError `ERR_SKEP_LOAD` for what the kernel does not have, and for a program that two
   *   structs have for different functions
   */
  prepare(
    { map, value }: Pick<CreateStructOpsStep, 'map' | 'value'>,
    local: Btf,
  ): StructOpsCreation {
    const kernel = structOpsTypes(this.#types(), value.struct.name);
    const prepared = kernelStructOps(map, local, value, kernel);
    for (const { program, member } of prepared.functions) {
      this.#use(program, { target: kernel.structTarget, member, map });
    }
    this.prepared.set(map, prepared);
    return { valueSize: kernel.value.sizeBytes, valueTarget: kernel.valueTarget };
  }

  /** What a program is loaded for; undefined if it is in no struct. */
  memberOf(program: string): StructMember | undefined {
    return this.#members.get(program);
  }

  /** A program may be in several structs, as the same member of the same type: it is verified for that. */
  #use(program: string, use: StructMember & { readonly map: string }): void {
    const other = this.#members.get(program);
    if (
      other !== undefined &&
      (other.target.typeId !== use.target.typeId ||
        other.target.fd !== use.target.fd ||
        other.member !== use.member)
    ) {
      throw new SkepError(
        'ERR_SKEP_LOAD',
        `program "${program}" is a function of struct "${other.map}", and another function of struct "${use.map}"; write one program for each`,
      );
    }
    this.#members.set(program, use);
  }
}
