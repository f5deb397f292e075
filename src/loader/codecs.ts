/** The codecs of a map's keys and values, from what its object says of them. */

import { bytes } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import { codecOf } from '../codec/from-btf.ts';
import type { MapInfo } from '../kernel/kernel.ts';
import type { ObjectFile } from '../obj/object.ts';

/** How a map's keys and values look. */
export interface MapCodecs {
  readonly key: Codec<unknown, never>;
  readonly value: Codec<unknown, never>;
}

/**
 * The codecs of a map of an object; of a data section, by its name. What has no type in BTF is moved
 * as bytes.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for a type that has no values
 */
export function codecsOf(object: ObjectFile, name: string, info: MapInfo): MapCodecs {
  const definition = object.maps.get(name);
  return {
    key: codec(object, definition?.keyTypeId ?? 0, info.keySize),
    value: codec(object, definition?.valueTypeId ?? 0, info.valueSize),
  };
}

function codec(object: ObjectFile, typeId: number, size: number): Codec<unknown, never> {
  const { btf } = object;
  return btf === undefined || typeId === 0
    ? (bytes(size) as Codec<unknown, never>)
    : (codecOf(btf, typeId) as Codec<unknown, never>);
}
