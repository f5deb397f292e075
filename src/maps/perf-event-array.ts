/**
 * Perf event arrays: records that programs send to user space, one buffer for each CPU. For kernels
 * before 5.8; a ring buffer does the same better.
 *
 * Semantics: `kernel/bpf/arraymap.c` (`perf_event_array_map_ops`), `kernel/events/ring_buffer.c`.
 */

import { SkepError } from '../errors.ts';
import type { Kernel, Watch } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { createMap, kernelName } from './create-map.ts';
import type { canBeInner } from './inner-map.ts';
import { type OpenByIdOptions, type OpenOptions, openPlace } from './map-handle.ts';
import { PerfBuffer, PerfCursor } from './perf-cursor.ts';
import { RecordMap, type RecordSource } from './record-map.ts';
import { type RecordOptions, recordOptions } from './record-options.ts';
import { unmapAll } from './ring-memory.ts';
import { ringBufferBytes } from './ring-size.ts';
import { handleOf } from './standalone.ts';
import { checkKind } from './typed-map.ts';

const DEFAULT_BYTES_PER_CPU = 1 << 16;

/** How a perf event array is read. */
export interface PerfOptions<T> extends RecordOptions<T> {
  /** Room for records of each CPU; rounded up to a power of two of whole pages. 64 KiB by default. */
  readonly bytesPerCpu?: number;
  /** How many records of a CPU wake a reader that waits. 1 by default. */
  readonly wakeupEvents?: number;
}

/** An open map with how it is read. */
export interface PerfSource<T> extends RecordSource<T>, PerfOptions<T> {}

/** What a perf event array is created with. */
export interface CreatePerfOptions<T> extends PerfOptions<T> {
  /** The number of possible CPUs by default. */
  readonly maxEntries?: number;
  /** The kernel's name for it: 15 of the characters `[A-Za-z0-9_.]` at most. */
  readonly name?: string;
  /** The kernel to create it in; the running one by default. */
  readonly kernel?: Kernel;
}

/** What was opened to read: nothing but memory is kept of a buffer once its event is in the map. */
interface Opened {
  readonly fds: readonly number[];
  readonly memory: readonly ArrayBuffer[];
  readonly buffers: readonly PerfBuffer[];
  readonly cursor: PerfCursor;
}

/**
 * `BPF_MAP_TYPE_PERF_EVENT_ARRAY` (4.3, for records 4.4).
 *
 * Reading starts with {@link PerfEventArray.start}, or the first time that something is read: a
 * perf event is opened for each CPU that is online, and put into the map. What programs send before
 * is lost. Records of one CPU are in order, those of several are not. The kernel pads records to a
 * multiple of 8 bytes less 4, and does not say by how much.
 *
 * @example
 * using events = app.perfEventArray('events', { signal });
 * for await (const event of events) console.log(event, events.lost);
 */
export class PerfEventArray<T> extends RecordMap<T> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.PERF_EVENT_ARRAY];

  readonly #bytesPerCpu: number;
  readonly #wakeupEvents: number;
  #opened: Opened | null = null;

  /** @internal */
  constructor(source: PerfSource<T>) {
    // `perf_poll` says that there is something only once, to whoever asks first.
    super(source, true);
    checkKind(this, PerfEventArray.types);
    const { bytesPerCpu = DEFAULT_BYTES_PER_CPU, wakeupEvents = 1 } = source;
    this.#bytesPerCpu = ringBufferBytes(positive('bytesPerCpu', bytesPerCpu), this.kernel.pageSize);
    this.#wakeupEvents = positive('wakeupEvents', wakeupEvents);
  }

  /** Creates a perf event array. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<T = Uint8Array>(options: CreatePerfOptions<T> = {}): PerfEventArray<T> {
    checkCreate('PerfEventArray.create', options);
    const kernel = options.kernel ?? linuxKernel();
    const types = perfOptions(options);
    const fd = createMap(kernel, {
      type: BPF_MAP_TYPE.PERF_EVENT_ARRAY,
      keySize: 4,
      valueSize: 4,
      maxEntries: options.maxEntries ?? kernel.possibleCpus(),
      flags: 0,
      name: kernelName(options.name ?? ''),
      numaNode: 0,
      mapExtra: 0n,
      innerMapFd: null,
      btf: null,
    });
    return handleOf<PerfSource<T>, PerfEventArray<T>>(PerfEventArray, {
      ...types,
      kernel,
      fd,
      name: options.name,
    });
  }

  /**
   * Opens a pinned perf event array. Reading it takes the records from whoever read it before.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned<T = Uint8Array>(
    path: string,
    types: PerfOptions<T> = {},
    options: OpenOptions = {},
  ): PerfEventArray<T> {
    return handleOf<PerfSource<T>, PerfEventArray<T>>(PerfEventArray, {
      ...perfOptions(types),
      ...openPlace(path, options),
    });
  }

  /** Opens a perf event array by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById<T = Uint8Array>(
    id: number,
    types: PerfOptions<T> = {},
    options: OpenByIdOptions = {},
  ): PerfEventArray<T> {
    return handleOf<PerfSource<T>, PerfEventArray<T>>(PerfEventArray, {
      ...perfOptions(types),
      ...openPlace({ id }, options),
    });
  }

  /** How many records found no room, as far as the kernel told; it tells with the next record. */
  get lost(): number {
    return this.#opened?.buffers.reduce((sum, { lost }) => sum + lost, 0) ?? 0;
  }

  /** {@link PerfEventArray.lost} by CPU, for those that are read. */
  lostPerCpu(): Map<number, number> {
    return new Map(this.#opened?.buffers.map(({ cpu, lost }) => [cpu, lost]));
  }

  /**
   * Starts to receive records of the CPUs that are online now. Nothing if that was done.
   *
   * @throws SyscallError if the kernel gives no perf events (`EPERM`, `EACCES`: needs CAP_PERFMON)
   */
  start(): this {
    this.cursor();
    return this;
  }

  override cursor(): PerfCursor {
    const fd = this.fd;
    this.#opened ??= this.#open(fd);
    return this.#opened.cursor;
  }

  /**
   * Puts a perf event into the map, for programs that read counters, or for a reader of one's own. The
   * map keeps its own reference; the descriptor stays the caller's.
   *
   * @throws SyscallError `E2BIG` for an index beyond the map, `EINVAL` for descriptors of other things
   */
  set(index: number, event: number | { readonly fd: number }): this {
    const fd = this.fd;
    const value = typeof event === 'number' ? event : event.fd;
    this.kernel.update(fd, this.#word('an index', index), this.#word('a descriptor', value), 0);
    return this;
  }

  /** Takes an event out of the map; false if there is none. */
  delete(index: number): boolean {
    return this.kernel.delete(this.fd, this.#word('an index', index));
  }

  /** @internal */
  protected override openWatch(): Watch {
    this.cursor();
    return this.kernel.watch(this.#opened!.fds, 'readable');
  }

  /** Takes its events out of the map again. @internal */
  protected override unmap(): void {
    const opened = this.#opened;
    if (opened !== null) {
      opened.cursor.close();
      this.#takeOut(opened.buffers);
      this.#discard(opened.fds, opened.memory);
    }
  }

  #open(fd: number): Opened {
    const { kernel } = this;
    const fds: number[] = [];
    const memory: ArrayBuffer[] = [];
    const buffers: PerfBuffer[] = [];
    try {
      for (const cpu of kernel.onlineCpus()) {
        if (cpu >= this.info().maxEntries) break;
        const event = kernel.openOutputEvent(cpu, this.#wakeupEvents);
        fds.push(event);
        const mapping = kernel.mapMemory(event, 0, kernel.pageSize + this.#bytesPerCpu, true);
        memory.push(mapping);
        kernel.update(fd, this.#word('a CPU', cpu), this.#word('a descriptor', event), 0);
        buffers.push(new PerfBuffer(cpu, mapping, kernel.pageSize, kernel.littleEndian));
      }
    } catch (error) {
      this.#takeOut(buffers);
      this.#discard(fds, memory);
      throw error;
    }
    if (buffers.length === 0) {
      throw new SkepError('ERR_SKEP_MAP_KIND', `map "${this.name}" has no room for any CPU`);
    }
    return {
      fds,
      memory,
      buffers,
      cursor: new PerfCursor(this.name, buffers, kernel.littleEndian),
    };
  }

  #takeOut(buffers: readonly PerfBuffer[]): void {
    for (const { cpu } of buffers) {
      try {
        this.delete(cpu);
      } catch {
        // The map may be frozen by now. The kernel takes out what a closed handle put in.
      }
    }
  }

  #discard(fds: readonly number[], memory: readonly ArrayBuffer[]): void {
    unmapAll(this.kernel, memory);
    for (const fd of fds) {
      this.kernel.close(fd);
    }
  }

  #word(what: string, value: number): Uint8Array {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new TypeError(
        `map "${this.name}": ${what} is an integer of 32 bits, not ${String(value)}`,
      );
    }
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, this.kernel.littleEndian);
    return bytes;
  }
}

/** Of options that may hold more, what concerns reading. */
export function perfOptions<T>(options: PerfOptions<T>): PerfOptions<T> {
  const { bytesPerCpu, wakeupEvents } = options;
  return {
    ...recordOptions(options),
    ...(bytesPerCpu === undefined ? {} : { bytesPerCpu }),
    ...(wakeupEvents === undefined ? {} : { wakeupEvents }),
  };
}

function positive(name: string, value: number): number {
  if (!Number.isInteger(value) || value <= 0 || value > 0x7fff_ffff) {
    throw new RangeError(`${name} is a positive number of 31 bits, not ${String(value)}`);
  }
  return value;
}
