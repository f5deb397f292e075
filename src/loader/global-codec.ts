/** How a global variable is read and written. */

import { bytes } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import { codecOf } from '../codec/from-btf.ts';
import type { DataVariable } from '../obj/data.ts';
import type { ObjectFile } from '../obj/object.ts';

/**
 * The codec of a variable: by its type, or as bytes if the object has no BTF, or if it is larger than
 * its type (structs that end in an array without length).
 *
 * @throws ObjectError `ERR_SKEP_BTF` for a type that has no values
 */
export function globalCodec(object: ObjectFile, variable: DataVariable): Codec<unknown, unknown> {
  const { btf } = object;
  if (btf !== undefined && variable.typeId !== 0) {
    const codec = codecOf(btf, variable.typeId);
    if (codec.sizeBytes === variable.size) {
      return codec;
    }
  }
  return bytes(variable.size) as Codec<unknown, unknown>;
}
