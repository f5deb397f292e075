/**
 * User ring buffers: records that user space sends to programs, which take them by
 * `bpf_user_ringbuf_drain`.
 *
 * Semantics: `kernel/bpf/ringbuf.c`. The memory is that of a ring buffer with the roles exchanged:
 * the consumer's page is the kernel's, the producer's page and the data are ours to write.
 */

import { type Codec, Memory } from '../codec/codec.ts';
import { SkepError } from '../errors.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { createMap } from './create-map.ts';
import type { canBeInner } from './inner-map.ts';
import {
  MapHandle,
  type OpenByIdOptions,
  type OpenOptions,
  type OwnedMap,
  openPlace,
} from './map-handle.ts';
import { type CreateRingOptions, ringAttributes, unmapAll } from './ring-memory.ts';
import { SharedPosition } from './shared-position.ts';
import { handleOf } from './standalone.ts';
import { checkKind } from './typed-map.ts';
import { Waiting } from './waiting.ts';

const HEADER_BYTES = 8;
/** `BPF_RINGBUF_BUSY_BIT` as a signed number, and `BPF_RINGBUF_DISCARD_BIT`. */
const BUSY = -0x8000_0000;
const DISCARDED = 0x4000_0000;
/**
 * `DYNPTR_MAX_SIZE`: programs get records as dynptrs. `bpf_user_ringbuf_drain` answers a longer one
 * with `E2BIG`, and never passes it.
 */
const LONGEST = (1 << 24) - 1;

/** How values become records. Without a codec they are `Uint8Array`s of any length. */
export interface UserRecordOptions<T> {
  readonly value?: Codec<unknown, T>;
}

/** An open map with the type of its records. */
export interface UserRingSource<T> extends OwnedMap, UserRecordOptions<T> {}

/** Room in the ring for a record that is being written. */
export interface Reservation {
  /** The record, to be written. What is in there is left over from others. Empty once it is sent. */
  readonly bytes: Uint8Array;
  /** Sends it; twice does nothing. */
  submit(): void;
  /** Gives it up; programs pass over it. */
  discard(): void;
}

/**
 * `BPF_MAP_TYPE_USER_RINGBUF` (6.1). Sending costs no system call, and wakes nobody: programs take
 * records when they run. Handles to the same one may take turns. Those of several threads or processes
 * must not send at the same moment: they would overwrite each other's records.
 *
 * @example
 * const commands = app.map('commands', UserRingBuffer<Command>);
 * if (!commands.push({ kind: 'RESET', target: 7 })) await commands.wait();
 */
export class UserRingBuffer<T> extends MapHandle {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.USER_RINGBUF];

  readonly #value: Codec<unknown, T> | null;
  /** Where a value is put together, so that one that does not fit takes no room. */
  readonly #draft: Memory;
  readonly #memory: readonly ArrayBuffer[];
  readonly #consumer: SharedPosition;
  readonly #producer: SharedPosition;
  readonly #headers: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #size: number;
  readonly #waiting: Waiting;
  /** Ends reservations that are open. */
  readonly #open = new Set<() => void>();
  /** The least that somebody waits for, in bytes with the header. */
  #needed = 0;

  /** @internal */
  constructor(source: UserRingSource<T>) {
    super(source);
    checkKind(this, UserRingBuffer.types);
    const { kernel, fd, value } = source;
    const { littleEndian, pageSize } = kernel;
    // Objects declare records without a type as values of no bytes.
    this.#value = value === undefined || value.sizeBytes === 0 ? null : value;
    this.#draft = new Memory(new Uint8Array(this.#value?.sizeBytes ?? 0), littleEndian);
    const memory: ArrayBuffer[] = [];
    try {
      memory.push(kernel.mapMemory(fd, 0, pageSize, false));
      memory.push(kernel.mapMemory(fd, pageSize, pageSize, true));
      memory.push(kernel.mapMemory(fd, 2 * pageSize, 2 * this.sizeBytes, true));
    } catch (error) {
      unmapAll(kernel, memory);
      throw error;
    }
    const [consumer, producer, data] = memory as [ArrayBuffer, ArrayBuffer, ArrayBuffer];
    this.#memory = memory;
    this.#size = this.sizeBytes;
    this.#consumer = new SharedPosition(consumer, 0, littleEndian);
    this.#producer = new SharedPosition(producer, 0, littleEndian);
    this.#headers = new Int32Array(data);
    this.#bytes = new Uint8Array(data);
    this.#waiting = new Waiting({
      open: () => kernel.watch([this.fd], 'writable'),
      ready: () => this.closed || this.#free() >= this.#needed,
      mayBeMissed: false,
    });
  }

  /** Creates a user ring buffer. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<T = Uint8Array>(
    options: CreateRingOptions & UserRecordOptions<T>,
  ): UserRingBuffer<T> {
    checkCreate('UserRingBuffer.create', options);
    const kernel = options.kernel ?? linuxKernel();
    const fd = createMap(kernel, ringAttributes(BPF_MAP_TYPE.USER_RINGBUF, options, kernel));
    return handleOf<UserRingSource<T>, UserRingBuffer<T>>(UserRingBuffer, {
      ...recordType(options),
      kernel,
      fd,
      name: options.name,
    });
  }

  /**
   * Opens a pinned user ring buffer. The kernel keeps no types for it.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned<T = Uint8Array>(
    path: string,
    types: UserRecordOptions<T> = {},
    options: OpenOptions = {},
  ): UserRingBuffer<T> {
    return handleOf<UserRingSource<T>, UserRingBuffer<T>>(UserRingBuffer, {
      ...recordType(types),
      ...openPlace(path, options),
    });
  }

  /** Opens a user ring buffer by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById<T = Uint8Array>(
    id: number,
    types: UserRecordOptions<T> = {},
    options: OpenByIdOptions = {},
  ): UserRingBuffer<T> {
    return handleOf<UserRingSource<T>, UserRingBuffer<T>>(UserRingBuffer, {
      ...recordType(types),
      ...openPlace({ id }, options),
    });
  }

  /** Room for records and their headers of 8 bytes. */
  get sizeBytes(): number {
    return this.info().maxEntries;
  }

  /** Bytes that programs have not taken yet, headers included. */
  pending(): number {
    this.fd;
    return this.#pending();
  }

  /**
   * Sends a record.
   *
   * @returns false if there is no room for it now
   * @throws ValueError if the value does not fit its type; nothing is sent
   * @throws RangeError if the record is longer than the whole ring, or than 2^24 - 1 bytes
   */
  push(value: T): boolean {
    this.fd;
    const bytes = this.#encode(value);
    const at = this.#reserve(bytes.length);
    if (at < 0) {
      return false;
    }
    this.#bytes.set(bytes, at + HEADER_BYTES);
    this.#finish(at, bytes.length);
    return true;
  }

  /**
   * Reserves room for a record of so many bytes, to be written in place. Programs see nothing of what
   * was reserved later before it is submitted or discarded.
   *
   * @returns null if there is no room for it now
   * @throws RangeError if it is longer than the whole ring, or than 2^24 - 1 bytes
   */
  reserve(length: number): Reservation | null {
    this.fd;
    const at = this.#reserve(length);
    if (at < 0) {
      return null;
    }
    const start = at + HEADER_BYTES;
    let bytes = this.#bytes.subarray(start, start + length);
    const finish = (header: number) => {
      if (this.#open.delete(discard)) {
        this.#finish(at, header);
        bytes = NOTHING;
      }
    };
    const discard = () => finish(length | DISCARDED);
    this.#open.add(discard);
    return {
      get bytes() {
        return bytes;
      },
      submit: () => finish(length),
      discard,
    };
  }

  /**
   * Resolves when there is room for a record, at once if there is.
   *
   * @param options.length of the record in bytes; that of the type by default
   * @throws the signal's reason if that is aborted first; SkepError `ERR_SKEP_CLOSED` if the map is
   *   closed first
   */
  async wait(
    options: { readonly length?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const length = options.length ?? this.#draft.bytes.length;
    const needed = this.#takes(length);
    const check = () => {
      if (this.closed) {
        throw new SkepError('ERR_SKEP_CLOSED', `map "${this.name}" is closed`);
      }
    };
    check();
    while (this.#free() < needed) {
      this.#needed = Math.min(this.#needed || needed, needed);
      await this.#waiting.promise(options.signal, check);
      check();
      // Who needs more asks again, after those who need less.
      this.#needed = 0;
    }
    options.signal?.throwIfAborted();
  }

  /** Closes the handle. What was sent stays for programs to take; open reservations are discarded. */
  override close(): void {
    if (this.closed) {
      return;
    }
    const tell = this.#waiting.end();
    // Left busy, they would keep programs from everything behind them.
    for (const discard of [...this.#open]) {
      discard();
    }
    // Whatever fails: the descriptor is closed, and nobody waits for ever.
    try {
      unmapAll(this.kernel, this.#memory);
    } finally {
      try {
        super.close();
      } finally {
        tell();
      }
    }
  }

  #encode(value: T): Uint8Array {
    if (this.#value !== null) {
      this.#value.write(this.#draft, 0, value);
      return this.#draft.bytes;
    }
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(`map "${this.name}": a record without a type is a Uint8Array`);
    }
    return value;
  }

  /** The offset of a record's header, which says that it is busy; -1 if there is no room. */
  #reserve(length: number): number {
    const bytes = this.#takes(length);
    if (this.#free() < bytes) {
      return -1;
    }
    // Asked each time: another handle may have sent something meanwhile.
    const position = this.#producer.load();
    const at = position & (this.#size - 1);
    Atomics.store(this.#headers, at >>> 2, length | BUSY);
    this.#headers[(at >>> 2) + 1] = 0;
    this.#producer.move((position + bytes) | 0, position);
    return at;
  }

  #finish(at: number, header: number): void {
    Atomics.store(this.#headers, at >>> 2, header);
  }

  #free(): number {
    return this.#size - this.#pending();
  }

  #pending(): number {
    return (this.#producer.load() - this.#consumer.load()) >>> 0;
  }

  /** Bytes that a record of this length takes, with its header. */
  #takes(length: number): number {
    if (!Number.isInteger(length) || length < 0) {
      throw new RangeError(`the length of a record is a whole number, not ${String(length)}`);
    }
    const bytes = Math.ceil((length + HEADER_BYTES) / 8) * 8;
    if (length > LONGEST) {
      throw new RangeError(
        `map "${this.name}": programs take records of ${LONGEST} bytes at most, not of ${length}`,
      );
    }
    if (bytes > this.#size) {
      throw new RangeError(
        `map "${this.name}" has ${this.#size} bytes, too few for a record of ${length}`,
      );
    }
    return bytes;
  }
}

const NOTHING = new Uint8Array(0);

function recordType<T>({ value }: UserRecordOptions<T>): UserRecordOptions<T> {
  return value === undefined ? {} : { value };
}
