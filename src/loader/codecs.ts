/** The codecs of a map's keys and values, from what its object says of them. */

import { bytes } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import { type BtfCodecOptions, codecOf } from '../codec/from-btf.ts';
import { u32 } from '../codec/numbers.ts';
import type { MapInfo } from '../kernel/kernel.ts';
import { lpmKey, lpmKeyOf } from '../maps/lpm-key-codec.ts';
import type { MapDefinition } from '../obj/map-definition.ts';
import type { ObjectFile } from '../obj/object.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';

/** How a map's keys and values look. */
export interface MapCodecs {
  readonly key: Codec<unknown, never>;
  readonly value: Codec<unknown, never>;
}

/**
 * The codecs of a map of an object; of a data section, by its name. What has no type in BTF is moved
 * as bytes. Of per-CPU maps, it is the codec of one CPU's value.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for a type that has no values
 */
export function codecsOf(
  object: ObjectFile,
  name: string,
  info: MapInfo,
  options: BtfCodecOptions = {},
): MapCodecs {
  return definedCodecs(object, object.maps.get(name), info, options);
}

/** Like {@link codecsOf}, for a definition, which may be that of an inner map. */
export function definedCodecs(
  object: ObjectFile,
  definition: MapDefinition | undefined,
  info: Pick<MapInfo, 'type' | 'keySize' | 'valueSize'>,
  options: BtfCodecOptions = {},
): MapCodecs {
  if (info.type === BPF_MAP_TYPE.PERF_EVENT_ARRAY) {
    // Its values are descriptors; what programs send through it has no type of its own.
    return { key: u32 as Codec<unknown, never>, value: bytes(0) as Codec<unknown, never> };
  }
  const keyCodec = info.type === BPF_MAP_TYPE.LPM_TRIE ? lpmCodec : codec;
  return {
    key: keyCodec(object, definition?.keyTypeId ?? 0, info.keySize, options),
    value: codec(object, definition?.valueTypeId ?? 0, info.valueSize, options),
  };
}

function codec(
  object: ObjectFile,
  typeId: number,
  size: number,
  options: BtfCodecOptions,
): Codec<unknown, never> {
  const { btf } = object;
  return btf === undefined || typeId === 0
    ? (bytes(size) as Codec<unknown, never>)
    : (codecOf(btf, typeId, options) as Codec<unknown, never>);
}

/** Tries have keys of their own where a struct would tell no more. */
function lpmCodec(
  object: ObjectFile,
  typeId: number,
  size: number,
  options: BtfCodecOptions,
): Codec<unknown, never> {
  const { btf } = object;
  if (btf === undefined || typeId === 0) {
    return lpmKey(size - 4);
  }
  return lpmKeyOf(btf, typeId) ?? codec(object, typeId, size, options);
}
