/** Call stacks that programs captured, by the id that `bpf_get_stackid` gave them. */

import { bytes } from '../codec/aggregates.ts';
import { u32 } from '../codec/numbers.ts';
import { SyscallError } from '../errors.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate, creationFlags } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { openSlots, ReadableSlotMap, type SlotSource } from './slot-map.ts';
import { type CreateOptions, createTyped, handleOf } from './standalone.ts';

/** Default of the sysctl `kernel.perf_event_max_stack`. */
const MAX_DEPTH = 127;
const ADDRESS_BYTES = 8;
/** `struct bpf_stack_build_id`: `__s32 status`, `unsigned char build_id[20]`, `__u64 offset`. */
const LOCATION_BYTES = 32;
const BUILD_ID = { at: 4, bytes: 20 };
const OFFSET_AT = 24;
/** `enum bpf_stack_build_id_status`. */
const EMPTY = 0;
const VALID = 1;

/** A place in a file of code, wherever that was loaded. */
export interface StackLocation {
  /** The build id in hexadecimal, 40 digits; null where the kernel found none. */
  readonly buildId: string | null;
  /** Offset into the file in bytes; without a build id, the address in memory. */
  readonly offset: bigint;
}

/** A call stack, the innermost function first. */
export interface CapturedStack {
  /** Addresses of instructions; empty if the map keeps build ids instead. */
  readonly addresses: readonly bigint[];
  /** Places in files, of maps with `BPF_F_STACK_BUILD_ID`; empty for others. */
  readonly locations: readonly StackLocation[];
}

/**
 * `BPF_MAP_TYPE_STACK_TRACE` (4.6): call stacks by id. Only programs add to it; user space reads,
 * walks and deletes. An id is a hash of the stack: unless programs pass `BPF_F_REUSE_STACKID`, a new
 * stack with the same id is refused until the old one is deleted.
 *
 * @example
 * const stacks = app.map('stacks', StackTrace);
 * for (const [id, { addresses }] of stacks) console.log(id, addresses);
 */
export class StackTrace extends ReadableSlotMap<number, CapturedStack> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.STACK_TRACE];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, StackTrace.types, {});
  }

  /**
   * Creates a map of stacks.
   *
   * @param options `depth` is the number of functions that are kept of a stack, 127 by default and
   *   at most (sysctl `kernel.perf_event_max_stack`); `buildIds` keeps places in files for stacks of
   *   user space (4.17)
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create(
    options: CreateOptions & { readonly depth?: number; readonly buildIds?: boolean },
  ): StackTrace {
    checkCreate('StackTrace.create', options);
    const { depth = MAX_DEPTH, buildIds = false, flags = 0 } = options;
    const stepBytes = buildIds ? LOCATION_BYTES : ADDRESS_BYTES;
    return handleOf<SlotSource<number>, StackTrace>(
      StackTrace,
      createTyped(
        BPF_MAP_TYPE.STACK_TRACE,
        { key: u32, value: bytes(depth * stepBytes) },
        { ...options, flags: creationFlags(flags, buildIds ? BPF_F.STACK_BUILD_ID : 0) },
      ),
    );
  }

  /**
   * Opens a pinned map of stacks.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): StackTrace {
    return handleOf<SlotSource<number>, StackTrace>(StackTrace, openSlots(path, options));
  }

  /** Opens a map of stacks by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): StackTrace {
    return handleOf<SlotSource<number>, StackTrace>(StackTrace, openSlots({ id }, options));
  }

  /**
   * Removes a stack and gives it; undefined if there is none. In one step where the kernel can;
   * otherwise a program may replace the stack in between.
   */
  lookupAndDelete(id: number): CapturedStack | undefined {
    void this.fd;
    const key = this.writeKey(id);
    try {
      return this.take(key) ? this.readSlot() : undefined;
    } catch (error) {
      if (!(error instanceof SyscallError && error.errnoName === 'ENOTSUPP')) throw error;
    }
    const stack = this.get(id);
    this.delete(id);
    return stack;
  }

  /** @internal */
  protected override readSlot(): CapturedStack {
    const keepsBuildIds = (this.info().flags & BPF_F.STACK_BUILD_ID) !== 0;
    return keepsBuildIds
      ? { addresses: [], locations: this.#locations() }
      : { addresses: this.#addresses(), locations: [] };
  }

  /** Zeroes fill the rest. */
  #addresses(): bigint[] {
    const out: bigint[] = [];
    for (let at = 0; at < this.slotBytes; at += ADDRESS_BYTES) {
      const address = this.slot.getBigUint64(at, this.kernel.littleEndian);
      if (address === 0n) break;
      out.push(address);
    }
    return out;
  }

  #locations(): StackLocation[] {
    const { littleEndian } = this.kernel;
    const out: StackLocation[] = [];
    for (let at = 0; at < this.slotBytes; at += LOCATION_BYTES) {
      const status = this.slot.getInt32(at, littleEndian);
      if (status === EMPTY) break;
      out.push({
        buildId: status === VALID ? this.#hexadecimal(at + BUILD_ID.at, BUILD_ID.bytes) : null,
        offset: this.slot.getBigUint64(at + OFFSET_AT, littleEndian),
      });
    }
    return out;
  }

  #hexadecimal(at: number, length: number): string {
    const digits = Array.from({ length }, (_, index) => this.slot.getUint8(at + index));
    return digits.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }
}
