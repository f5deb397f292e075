/** Maps of values without keys: what queues, stacks and Bloom filters share. */

import { bytes } from '../codec/aggregates.ts';
import { type Codec, Memory } from '../codec/codec.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { createMap, kernelName } from './create-map.ts';
import type { canBeInner } from './inner-map.ts';
import { MapHandle, type MapPlace, type OpenOptions, type OwnedMap } from './map-handle.ts';
import { type CreateOptions, openTyped, type ValueType } from './standalone.ts';
import { checkKind, checkSize } from './typed-map.ts';

export type { ValueType };

/** A map with the codec of its values. */
export interface KeylessSource<V> extends OwnedMap, ValueType<V> {}

/** A map that is given to the kernel, and asked for, without a key. */
export abstract class KeylessMap<V> extends MapHandle {
  declare readonly [canBeInner]: true;

  readonly #value: Codec<V, unknown>;
  readonly #memory: Memory;

  /** @internal */
  constructor(source: KeylessSource<V>, types: readonly number[]) {
    super(source);
    this.#value = source.value as Codec<V, unknown>;
    const valueBytes = source.kernel.valueBytes(source.fd);
    checkKind(this, types);
    checkSize(this, 'values', this.#value, valueBytes);
    this.#memory = new Memory(new Uint8Array(valueBytes), source.kernel.littleEndian);
  }

  /** Gives the kernel a value. @internal */
  protected give(value: V, flags: number): void {
    const fd = this.fd;
    this.#value.write(this.#memory, 0, value);
    this.kernel.update(fd, null, this.#memory.bytes, flags);
  }

  /** Whether the kernel knows a value. @internal */
  protected ask(value: V): boolean {
    const fd = this.fd;
    this.#value.write(this.#memory, 0, value);
    return this.kernel.lookup(fd, null, this.#memory.bytes, 0);
  }

  /** The value that the kernel gives by itself, removed or not; undefined for none. @internal */
  protected receive(remove: boolean): V | undefined {
    const fd = this.fd;
    const { bytes } = this.#memory;
    const found = remove
      ? this.kernel.lookupAndDelete(fd, null, bytes, 0)
      : this.kernel.lookup(fd, null, bytes, 0);
    return found ? this.#value.read(this.#memory, 0) : undefined;
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
