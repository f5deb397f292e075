/**
 * Ring buffers: records that programs send to user space, in one order for all CPUs.
 *
 * Semantics: `kernel/bpf/ringbuf.c`, `Documentation/bpf/ringbuf.rst`.
 */

import { SkepError } from '../errors.ts';
import type { Watch } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { createMap } from './create-map.ts';
import type { canBeInner } from './inner-map.ts';
import { type OpenByIdOptions, type OpenOptions, openPlace } from './map-handle.ts';
import { RecordMap, type RecordSource } from './record-map.ts';
import { type RecordOptions, recordOptions } from './record-options.ts';
import { RingCursor } from './ring-cursor.ts';
import { type CreateRingOptions, ringAttributes, unmapAll } from './ring-memory.ts';
import { handleOf } from './standalone.ts';
import { checkKind } from './typed-map.ts';

/**
 * `BPF_MAP_TYPE_RINGBUF` (5.8). The memory is shared with the kernel: reading costs no system call.
 *
 * A ring buffer should have one reader. Handles to the same one, in whatever processes, may take turns,
 * and each goes on where the one before it stopped; what happens if they read at the same time is told
 * in docs/ring-buffers.md. It does not count what programs found no room for; they have to.
 *
 * @example
 * const ring = app.ringBuffer('events', { signal: AbortSignal.timeout(1000) });
 * for await (const event of ring) console.log(event);
 */
export class RingBuffer<T> extends RecordMap<T> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.RINGBUF];

  readonly #memory: readonly ArrayBuffer[];
  readonly #cursor: RingCursor;

  /** @internal */
  constructor(source: RecordSource<T>) {
    // Polling tells how it is, not what happened.
    super(source, false);
    checkKind(this, RingBuffer.types);
    if ((this.info().flags & BPF_F.RB_OVERWRITE) !== 0) {
      throw new SkepError(
        'ERR_SKEP_MAP_KIND',
        `map "${this.name}" overwrites what was not read; there is no reader for that`,
      );
    }
    const { kernel, fd } = source;
    const page = kernel.pageSize;
    const memory: ArrayBuffer[] = [];
    try {
      memory.push(kernel.mapMemory(fd, 0, page, true));
      memory.push(kernel.mapMemory(fd, page, page, false));
      memory.push(kernel.mapMemory(fd, 2 * page, 2 * this.sizeBytes, false));
    } catch (error) {
      unmapAll(kernel, memory);
      throw error;
    }
    const [consumer, producer, data] = memory as [ArrayBuffer, ArrayBuffer, ArrayBuffer];
    this.#memory = memory;
    this.#cursor = new RingCursor(this.name, {
      consumer,
      producer,
      data,
      littleEndian: kernel.littleEndian,
    });
  }

  /** Creates a ring buffer. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<T = Uint8Array>(options: CreateRingOptions & RecordOptions<T>): RingBuffer<T> {
    checkCreate('RingBuffer.create', options);
    const kernel = options.kernel ?? linuxKernel();
    const types = recordOptions(options);
    const fd = createMap(kernel, ringAttributes(BPF_MAP_TYPE.RINGBUF, options, kernel));
    return handleOf<RecordSource<T>, RingBuffer<T>>(RingBuffer, {
      ...types,
      kernel,
      fd,
      name: options.name,
    });
  }

  /**
   * Opens a pinned ring buffer. The kernel keeps no types for it.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned<T = Uint8Array>(
    path: string,
    types: RecordOptions<T> = {},
    options: OpenOptions = {},
  ): RingBuffer<T> {
    return handleOf<RecordSource<T>, RingBuffer<T>>(RingBuffer, {
      ...recordOptions(types),
      ...openPlace(path, options),
    });
  }

  /** Opens a ring buffer by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById<T = Uint8Array>(
    id: number,
    types: RecordOptions<T> = {},
    options: OpenByIdOptions = {},
  ): RingBuffer<T> {
    return handleOf<RecordSource<T>, RingBuffer<T>>(RingBuffer, {
      ...recordOptions(types),
      ...openPlace({ id }, options),
    });
  }

  /** Room for records and their headers of 8 bytes. */
  get sizeBytes(): number {
    return this.info().maxEntries;
  }

  /** How many records programs discarded instead of submitting, of those passed so far. */
  get discarded(): number {
    return this.#cursor.discarded;
  }

  /** Bytes that are not given back to the kernel, headers and what is being written included. */
  available(): number {
    return this.cursor().available();
  }

  override cursor(): RingCursor {
    this.fd;
    return this.#cursor;
  }

  /** @internal */
  protected override openWatch(): Watch {
    return this.kernel.watch([this.fd], 'readable');
  }

  /** @internal */
  protected override unmap(): void {
    this.#cursor.close();
    unmapAll(this.kernel, this.#memory);
  }
}
