/**
 * Programs of the in-process kernel: what is kept of them, and what holds what.
 *
 * `struct bpf_prog` and `struct bpf_prog_aux`, `bpf_prog_calc_tag`, `bpf_insn_prepare_dump` and
 * `__bpf_prog_map_compatible` in `kernel/bpf/`.
 */

import { createHash } from 'node:crypto';
import { type Instructions, LOAD_IMM64, SLOT_BYTES } from '../../obj/instructions/instructions.ts';
import { BPF_PSEUDO } from '../../uapi/opcodes.ts';
import { BPF_PROG_TYPE } from '../../uapi/program-types.ts';
import type { InfoTable, ProgramAttributes } from '../program-calls.ts';
import { type ArrayOwner, type BtfObject, KernelObject, type MapObject } from './objects.ts';

/** `BPF_F_SLEEPABLE` and `BPF_F_XDP_HAS_FRAGS`. */
export const SLEEPABLE = 1 << 4;
export const XDP_FRAGS = 1 << 5;

const TAG_BYTES = 8;

/** Licenses that let a program call what is for the GPL only (`license_is_gpl_compatible`). */
const GPL_COMPATIBLE: ReadonlySet<string> = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
]);

/** What a program is made of, after it was checked. */
export interface ProgramParts {
  readonly attributes: ProgramAttributes;
  /** A copy of its own, with ids of maps where the descriptors were. */
  readonly instructions: Instructions;
  readonly tag: string;
  /** In the order of its instructions, each once. */
  readonly maps: readonly MapObject[];
  readonly btf: BtfObject | null;
  /** What it is attached to: another program, or the kernel's types. */
  readonly target: { readonly program: ProgramObject | null; readonly btfId: number };
}

/** A program. It does not run by itself: a test says what it does. */
export class ProgramObject extends KernelObject {
  readonly kind = 'program';
  readonly parts: ProgramParts;
  /** Nanoseconds, by the clock of this process. */
  readonly loadTime = BigInt(Math.round(performance.now() * 1e6));
  readonly functionInfo: InfoTable | null;
  readonly lineInfo: InfoTable | null;

  constructor(id: number, gone: (object: KernelObject) => void, parts: ProgramParts) {
    super(id, gone);
    this.parts = parts;
    const { btf } = parts.attributes;
    this.functionInfo = parts.btf === null ? null : copyOf(btf?.functionInfo);
    this.lineInfo = parts.btf === null ? null : copyOf(btf?.lineInfo);
    for (const object of this.#held()) {
      object.hold(false);
    }
  }

  /** `BPF_PROG_TYPE_*`. */
  get type(): number {
    return this.parts.attributes.type;
  }

  get name(): string {
    return this.parts.attributes.name;
  }

  get gplCompatible(): boolean {
    return GPL_COMPATIBLE.has(this.parts.attributes.license);
  }

  protected override destroy(): void {
    for (const object of this.#held()) {
      object.release(false);
    }
  }

  #held(): KernelObject[] {
    const { maps, btf, target } = this.parts;
    const others = [btf, target.program].filter((object) => object !== null);
    return [...maps, ...others];
  }
}

const BOUND_TO_TARGET: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.TRACING,
  BPF_PROG_TYPE.LSM,
  BPF_PROG_TYPE.EXT,
  BPF_PROG_TYPE.STRUCT_OPS,
]);

/**
 * Whether a program may be in a program array, or use it. The first one decides which others may.
 *
 * @param array changed if it had no owner yet
 */
export function fitsArray(array: MapObject, program: ProgramParts): boolean {
  const { attributes, target } = program;
  const own: ArrayOwner = {
    // One that replaces a function is as the program that it replaces it in.
    type: attributes.type === BPF_PROG_TYPE.EXT ? (target.program?.type ?? 0) : attributes.type,
    flags: attributes.flags & (SLEEPABLE | XDP_FRAGS),
    expectedAttachType: attributes.expectedAttachType,
    targetTypeId: BOUND_TO_TARGET.has(attributes.type) ? (attributes.target?.typeId ?? 0) : 0,
  };
  array.owner ??= own;
  const { owner } = array;
  return (
    owner.type === own.type &&
    owner.flags === own.flags &&
    owner.expectedAttachType === own.expectedAttachType &&
    owner.targetTypeId === own.targetTypeId
  );
}

/**
 * The tag of a program (6.18: SHA-256; before, SHA-1): a hash of its instructions without what differs from
 * load to load, which is descriptors of maps and offsets into them.
 *
 * @param instructions as they were handed in; they are left as they are
 */
export function tagOf(instructions: Instructions): string {
  const bytes = instructions.bytes.slice();
  for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
    if (instructions.isWide(slot) && isMapByDescriptor(instructions, slot)) {
      bytes.fill(0, slot * SLOT_BYTES + 4, (slot + 1) * SLOT_BYTES);
      bytes.fill(0, (slot + 1) * SLOT_BYTES + 4, (slot + 2) * SLOT_BYTES);
    }
  }
  return createHash('sha256')
    .update(bytes)
    .digest('hex')
    .slice(0, TAG_BYTES * 2);
}

/** Whether a 64-bit load has the descriptor of a map. */
export function isMapByDescriptor(instructions: Instructions, slot: number): boolean {
  const source = instructions.src(slot);
  return (
    instructions.opcode(slot) === LOAD_IMM64 &&
    (source === BPF_PSEUDO.MAP_FD || source === BPF_PSEUDO.MAP_VALUE)
  );
}

function copyOf(table: InfoTable | null | undefined): InfoTable | null {
  return table === null || table === undefined || table.bytes.length === 0
    ? null
    : { bytes: table.bytes.slice(), recordBytes: table.recordBytes };
}
