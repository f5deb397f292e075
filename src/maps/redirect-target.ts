/**
 * Entries of the maps that XDP redirects to: `struct bpf_devmap_val` and `struct bpf_cpumap_val` of
 * `include/uapi/linux/bpf.h`, a number and a program each. Since 5.8 and 5.9 there is room for the
 * program; before, and if it is created so, a map has the number alone.
 */

import { bytes } from '../codec/aggregates.ts';
import { describeValue } from '../codec/codec.ts';
import { u32 } from '../codec/numbers.ts';
import { checkCreate } from './create-checks.ts';
import { type FdLike, fdOf } from './fd-like.ts';
import { ReadableSlotMap, type SlotSource, tooNarrow } from './slot-map.ts';
import { type CreateOptions, createTyped } from './standalone.ts';

/** How such maps are created. */
export interface RedirectOptions extends CreateOptions {
  /** Whether entries have room for a program; true by default. False for kernels before 5.8. */
  readonly programs?: boolean;
}

/** What the maps have in common. */
export abstract class RedirectMap<R> extends ReadableSlotMap<number, R> {
  /** Writes a number and a program. @internal */
  protected putTarget(
    key: number,
    target: number,
    program: FdLike | null | undefined,
    flags: number,
  ): void {
    void this.fd;
    this.put(key, [target, program == null ? 0 : this.#programFd(program)], flags);
  }

  /** The number that {@link ReadableSlotMap.slot} holds. @internal */
  protected readTarget(): number {
    return this.slot.getUint32(0, this.kernel.littleEndian);
  }

  /** The id of the program; null for none. @internal */
  protected readProgramId(): number | null {
    const id = this.slotBytes < 8 ? 0 : this.slot.getUint32(4, this.kernel.littleEndian);
    return id === 0 ? null : id;
  }

  #programFd(program: FdLike): number {
    const fd = fdOf(program, 'a program');
    if (this.slotBytes < 8) {
      throw tooNarrow(this, 'it has no room for programs');
    }
    if (fd === 0) {
      // The kernel takes that for "no program", and would leave it out without a word.
      throw new RangeError(`map "${this.name}": a program at descriptor 0 cannot be set`);
    }
    return fd;
  }
}

/** Creates such a map. */
export function createRedirect(type: number, options: RedirectOptions): SlotSource<number> {
  checkCreate('create', options);
  const value = bytes(options.programs === false ? 4 : 8);
  return createTyped(type, { key: u32, value }, options);
}

/** A number that is at least 1, or an error that says what it was to be. */
export function positive(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 0x7fff_ffff) {
    throw new RangeError(`${what} is a whole number above 0, not ${describeValue(value)}`);
  }
  return value;
}
