/** Typed maps without an object: created, or opened from a pin, with codecs given by the caller. */

import type { Codec } from '../codec/codec.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { createMap, kernelName } from './create-map.ts';
import { type MapHandle, type OpenOptions, openPin } from './map-handle.ts';
import type { TypedSource } from './typed-map.ts';

/** The types of keys and values. */
export interface Types<K, V> {
  readonly key: Codec<K, never>;
  readonly value: Codec<V, never>;
}

/** What every map is created with. */
export interface CreateOptions {
  readonly maxEntries: number;
  /** `BPF_F_*` creation flags. */
  readonly flags?: number;
  /** The kernel's name for it: 15 of the characters `[A-Za-z0-9_.]` at most. */
  readonly name?: string;
  /** The kernel to create it in; the running one by default. */
  readonly kernel?: Kernel;
}

/**
 * Creates a map in the kernel.
 *
 * @param valueSize of one CPU's value in per-CPU maps
 */
export function createTyped<K, V>(
  type: number,
  types: Types<K, V>,
  options: CreateOptions,
  valueSize = types.value.sizeBytes,
): TypedSource<K, V> {
  const kernel = options.kernel ?? linuxKernel();
  const fd = createMap(kernel, {
    type,
    keySize: types.key.sizeBytes,
    valueSize,
    maxEntries: options.maxEntries,
    flags: options.flags ?? 0,
    name: kernelName(options.name ?? ''),
    numaNode: 0,
    mapExtra: 0n,
    innerMapFd: null,
    btf: null,
  });
  return { kernel, fd, ...types, name: options.name };
}

/** Opens a pin as a typed map. */
export function openTyped<K, V>(
  path: string,
  types: Types<K, V>,
  options: OpenOptions,
): TypedSource<K, V> {
  return { ...openPin(path, options), ...types };
}

/** Makes a handle of an open map, and closes the map if that fails. */
export function handleOf<
  S extends { readonly kernel: Kernel; readonly fd: number },
  M extends MapHandle,
>(kind: new (source: S) => M, source: S): M {
  try {
    return new kind(source);
  } catch (error) {
    source.kernel.close(source.fd);
    throw error;
  }
}
