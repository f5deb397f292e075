/** Program arrays: where tail calls go. */

import { bytes } from '../codec/aggregates.ts';
import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { type FdLike, fdOf } from './fd-like.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { openSlots, ReadableSlotMap, type SlotSource } from './slot-map.ts';
import { type CreateOptions, createTyped, handleOf } from './standalone.ts';

/** `bpf_prog_map_compatible` in `kernel/bpf/core.c`. */
const REFUSALS = {
  EBADF: 'the descriptor is not open',
  EINVAL:
    'the descriptor is no program, or the program differs from those that use the array: all must be of one type, and alike in being compiled and in what else the kernel notes with the array',
};

/**
 * `BPF_MAP_TYPE_PROG_ARRAY` (4.2): slots 0 to `length - 1`, empty at first, each for a program that
 * others continue in by `bpf_tail_call`. A call into an empty slot does nothing.
 *
 * Programs go in by their descriptor and come out as their id.
 *
 * When the last descriptor and pin of the array is gone, the kernel empties it, even while programs
 * use it: keep a handle, or pin it.
 *
 * @example
 * using stages = app.map('stages', ProgramArray);
 * stages.set(1, app.program('parse_ipv4'));
 * stages.get(1); // the program's id
 */
export class ProgramArray extends ReadableSlotMap<number, number> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.PROG_ARRAY];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, ProgramArray.types, REFUSALS);
  }

  /** Creates a program array. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create(options: CreateOptions): ProgramArray {
    checkCreate('ProgramArray.create', options);
    const types = { key: u32, value: bytes(4) };
    return handleOf<SlotSource<number>, ProgramArray>(
      ProgramArray,
      createTyped(BPF_MAP_TYPE.PROG_ARRAY, types, options),
    );
  }

  /**
   * Opens a pinned program array.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): ProgramArray {
    return handleOf<SlotSource<number>, ProgramArray>(ProgramArray, openSlots(path, options));
  }

  /** Opens a program array by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): ProgramArray {
    return handleOf<SlotSource<number>, ProgramArray>(ProgramArray, openSlots({ id }, options));
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }

  /**
   * Puts a program into a slot, in place of the one that is there. Its descriptor may be closed then.
   *
   * The first program fixes what the array is for; others have to be like it.
   *
   * @param program a `Program`, its descriptor, or anything else with one as its `fd`
   * @throws TypeError for a `Program` of another kernel
   * @throws SyscallError `EINVAL` for a program that does not fit; `E2BIG` for an index that is not
   *   below `length`
   */
  set(index: number, program: FdLike): this {
    const fd = fdOf(program, 'a program');
    const { kernel } = program as { readonly kernel?: unknown };
    if (kernel !== undefined && kernel !== this.kernel) {
      throw new TypeError(`map "${this.name}": the program is of another kernel`);
    }
    this.put(index, [fd]);
    return this;
  }

  /** @internal The program's id. */
  protected override readSlot(): number {
    return this.slot.getUint32(0, this.kernel.littleEndian);
  }
}
