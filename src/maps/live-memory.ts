/**
 * The memory of a map in this process, shared with the programs that use it: values are read and
 * written without a system call, while programs do the same.
 *
 * What may be mapped, and how: `bpf_map_mmap` in `kernel/bpf/syscall.c`, `array_map_mmap` in
 * `kernel/bpf/arraymap.c`.
 */

import { type Codec, Memory } from '../codec/codec.ts';
import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { NumberArray, NumberLayout } from './number-view.ts';

/** Up to here single words are faster than a view of what is to be copied. */
const WORDWISE_BYTES = 128;

/** A value's bytes on their way, as numbers of each size. */
class Scratch {
  readonly memory: Memory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;

  constructor(sizeBytes: number, littleEndian: boolean) {
    const buffer = new ArrayBuffer(Math.ceil(Math.max(sizeBytes, 1) / 8) * 8);
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.memory = new Memory(this.u8, littleEndian);
  }
}

/**
 * A mapping. Values of 1, 2, 4 or 8 bytes that lie at a multiple of their size are moved in one
 * piece: no program sees half of one, and none is read half changed. (A `DataView` moves single bytes
 * until it is compiled.) Larger values are copied as memcpy(3) does.
 *
 * No view of memory that may not be written is ever handed out: writing to it would end the process.
 */
export class LiveMemory {
  /** Whether it may be written. */
  readonly writable: boolean;
  readonly #kernel: Kernel;
  /** What is mapped, for messages. */
  readonly #name: string;
  readonly #buffer: ArrayBuffer;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #u64: BigUint64Array;
  /** Absent while it is in use: a value's own getters may read here while it is written. */
  #scratch: Scratch | undefined;

  /** @internal */
  constructor(kernel: Kernel, name: string, buffer: ArrayBuffer, writable: boolean) {
    this.#kernel = kernel;
    this.#name = name;
    this.writable = writable;
    this.#buffer = buffer;
    this.#u8 = new Uint8Array(buffer);
    this.#u16 = new Uint16Array(buffer);
    this.#u32 = new Uint32Array(buffer);
    this.#u64 = new BigUint64Array(buffer);
  }

  /**
   * Maps the first `length` bytes of a map: for reading only if it is frozen, or read-only for
   * programs (`BPF_F_RDONLY_PROG`). The descriptor may be closed afterwards.
   *
   * @param length in bytes; a multiple of the page size
   * @throws SyscallError `EINVAL`, `ENOTSUPP` for a map that has no memory to share; `EINVAL` also
   *   for a descriptor that can only read, `EACCES` for one that can only write
   */
  static map(kernel: Kernel, fd: number, name: string, length: number): LiveMemory {
    try {
      return new LiveMemory(kernel, name, kernel.mapMemory(fd, 0, length, true), true);
    } catch (error) {
      if (!isDenied(error)) {
        throw named(error, name);
      }
    }
    try {
      return new LiveMemory(kernel, name, kernel.mapMemory(fd, 0, length, false), false);
    } catch (error) {
      throw named(error, name, LIMITED);
    }
  }

  /** Whether {@link LiveMemory.unmap} was called. */
  get unmapped(): boolean {
    return this.#u8.length === 0;
  }

  /** The value at an offset in bytes. */
  read<T>(codec: Codec<T, never>, at: number): T {
    this.checkMapped();
    const scratch = this.#borrow(codec.sizeBytes);
    this.#load(scratch, at, codec.sizeBytes);
    const value = codec.read(scratch.memory, 0);
    this.#scratch = scratch;
    return value;
  }

  /**
   * Writes the value at an offset in bytes. A value that does not fit its type changes nothing.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the memory is read-only
   */
  write<I>(codec: Codec<unknown, I>, at: number, value: I): void {
    this.checkMapped();
    this.checkWritable();
    const scratch = this.#borrow(codec.sizeBytes);
    codec.write(scratch.memory, 0, value);
    this.#store(scratch, at, codec.sizeBytes);
    this.#scratch = scratch;
  }

  /**
   * A typed array over `length` numbers from an offset in bytes. Its length is 0 once the memory is
   * unmapped.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the memory is read-only
   */
  numbers(layout: NumberLayout, at: number, length: number): NumberArray {
    this.checkMapped();
    this.checkWritable();
    return this.#view(layout, at, length);
  }

  /** Like {@link LiveMemory.numbers}, for code that keeps it to itself and does not write. @internal */
  readOnlyNumbers(layout: NumberLayout, at: number, length: number): NumberArray {
    this.checkMapped();
    return this.#view(layout, at, length);
  }

  /** Ends the mapping. Twice does nothing. */
  unmap(): void {
    this.#kernel.unmapMemory(this.#buffer);
  }

  /** @throws SkepError `ERR_SKEP_CLOSED` if it is unmapped */
  checkMapped(): void {
    if (this.#u8.length === 0) {
      throw new SkepError('ERR_SKEP_CLOSED', `map "${this.#name}" is closed`);
    }
  }

  /** @throws SkepError `ERR_SKEP_MAP_KIND` if the memory is read-only */
  checkWritable(): void {
    if (!this.writable) {
      throw new SkepError(
        'ERR_SKEP_MAP_KIND',
        `map "${this.#name}" is read-only (frozen, or read-only for programs): it gives copies only`,
      );
    }
  }

  #view(layout: NumberLayout, at: number, length: number): NumberArray {
    return new layout.kind(this.#buffer, at, length);
  }

  #borrow(sizeBytes: number): Scratch {
    const scratch = this.#scratch;
    this.#scratch = undefined;
    return scratch === undefined || scratch.u8.length < sizeBytes
      ? new Scratch(sizeBytes, this.#kernel.littleEndian)
      : scratch;
  }

  #load(to: Scratch, at: number, sizeBytes: number): void {
    switch (at % sizeBytes === 0 ? sizeBytes : 0) {
      case 1:
        to.u8[0] = this.#u8[at]!;
        return;
      case 2:
        to.u16[0] = this.#u16[at / 2]!;
        return;
      case 4:
        to.u32[0] = this.#u32[at / 4]!;
        return;
      case 8:
        to.u64[0] = this.#u64[at / 8]!;
        return;
    }
    if (at % 8 !== 0 || sizeBytes > WORDWISE_BYTES) {
      to.u8.set(this.#u8.subarray(at, at + sizeBytes));
      return;
    }
    // Mappings are whole pages, so the last word is there even if the value ends inside it.
    for (let word = 0; word * 8 < sizeBytes; word += 1) {
      to.u64[word] = this.#u64[at / 8 + word]!;
    }
  }

  #store(from: Scratch, at: number, sizeBytes: number): void {
    // The value's own getters, which ran meanwhile, may have unmapped it: then the views are empty.
    this.checkMapped();
    switch (at % sizeBytes === 0 ? sizeBytes : 0) {
      case 1:
        this.#u8[at] = from.u8[0]!;
        return;
      case 2:
        this.#u16[at / 2] = from.u16[0]!;
        return;
      case 4:
        this.#u32[at / 4] = from.u32[0]!;
        return;
      case 8:
        this.#u64[at / 8] = from.u64[0]!;
        return;
    }
    this.#u8.set(from.u8.subarray(0, sizeBytes), at);
  }
}

/**
 * What refuses memory for reading after it refused it for writing. mmap(2) takes `VM_SHARED` from what
 * a descriptor cannot write, and BPF maps share their memory or have none.
 */
const LIMITED =
  'only a handle that can both read and write has memory; open it with ArrayMap instead';

/** `EPERM`: frozen. `EACCES`: the map is read-only for programs, or the descriptor is. */
function isDenied(error: unknown): boolean {
  return error instanceof SyscallError && ['EPERM', 'EACCES'].includes(error.errnoName);
}

function named(error: unknown, name: string, hint?: string): unknown {
  if (!(error instanceof SyscallError)) {
    return error;
  }
  const { command, errno, errnoName } = error;
  return new SyscallError(`map "${name}"`, {
    command,
    errno,
    errnoName,
    hint: hint ?? error.hint,
    cause: error,
  });
}
