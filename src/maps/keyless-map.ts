/** Maps of values without keys: what queues, stacks and Bloom filters share. */

import { bytes } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { createMap, kernelName } from './create-map.ts';
import { EntryRoom } from './entry-room.ts';
import type { canBeInner } from './inner-map.ts';
import { MapHandle, type MapPlace, type OpenOptions, type OwnedMap } from './map-handle.ts';
import { misfit } from './misfit.ts';
import { refusedCall } from './refused-call.ts';
import { type CreateOptions, openTyped, type ValueType } from './standalone.ts';
import { checkKind, checkSize } from './typed-map.ts';

export type { ValueType };

/** A map with the codec of its values. */
export interface KeylessSource<V> extends OwnedMap, ValueType<V> {}

/** A map that is given to the kernel, and asked for, without a key. */
export abstract class KeylessMap<V, VI = Input<V>> extends MapHandle {
  declare readonly [canBeInner]: true;

  readonly #value: Codec<V, unknown>;
  readonly #room: EntryRoom;

  /** @internal */
  constructor(source: KeylessSource<V>, types: readonly number[]) {
    super(source);
    this.#value = source.value as Codec<V, unknown>;
    const valueBytes = source.kernel.valueBytes(source.fd);
    checkKind(this, types);
    checkSize(this, 'values', this.#value, valueBytes);
    this.#room = new EntryRoom(0, valueBytes, source.kernel.littleEndian);
  }

  /** Gives the kernel a value. @internal */
  protected give(value: VI, flags: number): void {
    // First, so that a closed handle is told from a bad value; and again behind its getters.
    void this.fd;
    const room = this.#room.borrow();
    try {
      this.#value.write(room.value, 0, value);
      this.kernel.update(this.fd, null, room.value.bytes, flags);
    } catch (error) {
      throw refusedCall(misfit(error, this.name, 'value'), this.name);
    } finally {
      room.busy = false;
    }
  }

  /** Whether the kernel knows a value. @internal */
  protected ask(value: VI): boolean {
    void this.fd;
    const room = this.#room.borrow();
    try {
      this.#value.write(room.value, 0, value);
      return this.kernel.lookup(this.fd, null, room.value.bytes, 0);
    } catch (error) {
      throw refusedCall(misfit(error, this.name, 'value'), this.name);
    } finally {
      room.busy = false;
    }
  }

  /** The value that the kernel gives by itself, removed or not; undefined for none. @internal */
  protected receive(remove: boolean): V | undefined {
    const { fd, kernel } = this;
    const room = this.#room.borrow();
    const { bytes } = room.value;
    try {
      const found = remove
        ? kernel.lookupAndDelete(fd, null, bytes, 0)
        : kernel.lookup(fd, null, bytes, 0);
      return found ? this.#value.read(room.value, 0) : undefined;
    } catch (error) {
      throw refusedCall(error, this.name);
    } finally {
      room.busy = false;
    }
  }
}

/** Creates a map without keys. */
export function createKeyless<V>(
  type: number,
  value: Codec<V, never>,
  options: CreateOptions,
  mapExtra = 0n,
): KeylessSource<V> {
  const kernel: Kernel = options.kernel ?? linuxKernel();
  const fd = createMap(kernel, {
    type,
    keySize: 0,
    valueSize: value.sizeBytes,
    maxEntries: options.maxEntries,
    flags: options.flags ?? 0,
    name: kernelName(options.name ?? ''),
    numaNode: 0,
    mapExtra,
    innerMapFd: null,
    btf: null,
  });
  return { kernel, fd, value, name: options.name };
}

/** Opens a map without keys. @param types undefined: those that the kernel keeps, else bytes */
export function openKeyless<V>(
  place: MapPlace,
  types: ValueType<V> | undefined,
  options: OpenOptions,
): KeylessSource<V> {
  const both = types === undefined ? undefined : { key: bytes(0), value: types.value };
  return openTyped<unknown, V>(place, both, options);
}
