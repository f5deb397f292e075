/** Maps of maps without an object: created with a template, or opened from a pin or by id. */

import type { Codec } from '../codec/codec.ts';
import { linuxKernel } from '../kernel/linux.ts';
import type { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { createMap, kernelName } from './create-map.ts';
import type { CreatingKind, InnerKind } from './inner-kinds.ts';
import { shapeOfMap } from './inner-template.ts';
import { type MapPlace, type OpenOptions, openPlace } from './map-handle.ts';
import type { OuterSource } from './outer-map.ts';
import { type CreateOptions, kernelCodecs } from './standalone.ts';

/** What the inner maps of a map are: the class of their handles, and their types. */
export interface InnerTypes<C extends InnerKind, K, V, KI = never, VI = never> {
  readonly kind: C;
  readonly key?: Codec<K, KI>;
  readonly value?: Codec<V, VI>;
}

/** The template of a map of maps: a class of handles, and what that class creates a map with. */
export type InnerOptions<C extends CreatingKind, K, V, KI = never, VI = never> = InnerTypes<
  C,
  K,
  V,
  KI,
  VI
> &
  Omit<Parameters<C['create']>[0], 'kernel'>;

/**
 * Creates a template, and a map of maps by it. The kernel copies what it needs to know of the
 * template, which is closed again.
 *
 * @param maker the function that was called, for messages
 */
export function createOuter<K, C extends CreatingKind, IK, IV>(
  maker: string,
  type: typeof BPF_MAP_TYPE.ARRAY_OF_MAPS | typeof BPF_MAP_TYPE.HASH_OF_MAPS,
  key: Codec<K, never>,
  inner: InnerOptions<C, IK, IV>,
  options: CreateOptions,
): OuterSource<K> {
  checkInner(maker, inner);
  const kernel = options.kernel ?? linuxKernel();
  const template = inner.kind.create({ ...inner, kernel } as never);
  try {
    const shape = shapeOfMap(template.info());
    const fd = createMap(kernel, {
      type,
      keySize: key.sizeBytes,
      valueSize: 4,
      maxEntries: options.maxEntries,
      flags: options.flags ?? 0,
      name: kernelName(options.name ?? ''),
      numaNode: 0,
      mapExtra: 0n,
      innerMapFd: template.fd,
      btf: null,
    });
    return { kernel, fd, key, name: options.name, inner: { shape, ...codecsOf(inner) } };
  } finally {
    template.close();
  }
}

/** The types of a map of maps: of its keys, and of its inner maps. */
export interface OuterTypes<K, C extends InnerKind, IK, IV, KI = never, IKI = never, IVI = never> {
  readonly key: Codec<K, KI>;
  readonly inner: InnerTypes<C, IK, IV, IKI, IVI>;
}

/**
 * Opens a map of maps. What its inner maps are created with, an inner map has to show.
 *
 * @param types undefined: by what the kernel keeps with each inner map; keys have no types there
 */
export function openOuter<K, C extends InnerKind, IK, IV>(
  place: MapPlace,
  types: OuterTypes<K, C, IK, IV> | undefined,
  options: OpenOptions,
): OuterSource<K> {
  const map = openPlace(place, options);
  if (types !== undefined) {
    return { ...map, key: types.key, inner: { shape: null, ...codecsOf(types.inner) } };
  }
  const { key } = kernelCodecs(map, options);
  return { ...map, key: key as Codec<K, never>, inner: { shape: null, live: options } };
}

function checkInner(maker: string, inner: unknown): void {
  const kind = (inner as { kind?: { create?: unknown } } | undefined)?.kind;
  if (typeof kind?.create !== 'function') {
    throw new TypeError(
      `${maker}: the option "inner" is the template: { kind: HashMap, ... } with what HashMap.create takes, or another class; ${inner === undefined ? 'it is missing' : 'its kind is no such class'}`,
    );
  }
}

function codecsOf({ kind, key, value }: InnerTypes<InnerKind, unknown, unknown>) {
  return { kind, key, value };
}
