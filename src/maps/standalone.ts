/**
 * Typed maps without an object: created, or opened from a pin or by id, with codecs given by the
 * caller, or by the types that the kernel keeps.
 */

import type { Codec } from '../codec/codec.ts';
import type { BtfCodecOptions } from '../codec/from-btf.ts';
import { u32 } from '../codec/numbers.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { isCodec } from './create-checks.ts';
import { createMap, kernelName } from './create-map.ts';
import { watchForLeak } from './leaks.ts';
import { liveCodecs } from './live-types.ts';
import {
  type MapHandle,
  type MapPlace,
  type OpenOptions,
  type OwnedMap,
  openPlace,
} from './map-handle.ts';
import type { TypedSource } from './typed-map.ts';

/** The types of keys and values: `K` and `V` is what is read, `KI` and `VI` what is taken. */
export interface Types<K, V, KI = never, VI = never> {
  readonly key: Codec<K, KI>;
  readonly value: Codec<V, VI>;
}

/** The type of values, where keys have none or one of their own. */
export interface ValueType<V, VI = never> {
  readonly value: Codec<V, VI>;
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

/**
 * Opens a map as a typed one.
 *
 * @param types undefined: those that the kernel keeps with the map, bytes where it has none
 * @throws TypeError for types that are no codecs, before anything is opened
 * @throws SyscallError `EPERM` if the kernel would have to be asked for types, without CAP_SYS_ADMIN
 */
export function openTyped<K, V>(
  place: MapPlace,
  types: Types<K, V> | undefined,
  options: OpenOptions,
): TypedSource<K, V> {
  if (types !== undefined && !(isCodec(types.key) && isCodec(types.value))) {
    throw new TypeError(
      'the types of a map are codecs, as in { key: u32, value: u64 }; options come behind them',
    );
  }
  const map = openPlace(place, options);
  if (types !== undefined) {
    return { ...map, key: types.key, value: types.value };
  }
  return { ...map, ...(kernelCodecs(map, options) as Types<K, V>) };
}

/** Opens a map whose keys are indices; see {@link openTyped}. */
export function openIndexed<V>(
  place: MapPlace,
  types: ValueType<V> | undefined,
  options: OpenOptions,
): TypedSource<number, V> {
  const both = types === undefined ? undefined : { key: u32, value: types.value };
  return openTyped<number, V>(place, both, options);
}

/** The codecs of an open map by the kernel's types; the map is closed if there is no telling. */
export function kernelCodecs(
  { kernel, fd }: OwnedMap,
  options: BtfCodecOptions,
): Types<unknown, unknown> {
  try {
    return liveCodecs(kernel, kernel.mapInfo(fd), options);
  } catch (error) {
    kernel.close(fd);
    throw error;
  }
}

/** Makes a handle of an open map, and closes the map if that fails. */
export function handleOf<
  S extends { readonly kernel: Kernel; readonly fd: number },
  M extends MapHandle,
>(kind: new (source: S) => M, source: S): M {
  let handle: M;
  try {
    handle = new kind(source);
  } catch (error) {
    source.kernel.close(source.fd);
    throw error;
  }
  watchForLeak(handle, handleOf);
  return handle;
}
