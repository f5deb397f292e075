/** The template of a map of maps, as its object declares it. */

import type { BtfCodecOptions } from '../codec/from-btf.ts';
import { SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { InnerTemplate } from '../maps/inner-template.ts';
import type { RawMap } from '../maps/raw-map.ts';
import type { ObjectFile } from '../obj/object.ts';
import { definedCodecs } from './codecs.ts';
import { loadObjectBtf } from './object-btf.ts';
import { shapeOf } from './shapes.ts';

/**
 * What an object says of the inner maps of one of its maps; undefined for other maps, and where it
 * says nothing. It holds for a map that was found at its pin too, which is checked against it.
 *
 * @param maps handles to the object's maps, which are borrowed: those in slots of this one are read
 *   back through them
 * @throws ObjectError `ERR_SKEP_BTF` if keys or values of inner maps have a type without values
 */
export function innerTemplateOf(
  object: ObjectFile,
  name: string,
  kernel: Kernel,
  maps: ReadonlyMap<string, RawMap>,
  options: BtfCodecOptions = {},
): InnerTemplate | undefined {
  const definition = object.maps.get(name);
  if (definition === undefined || definition.inner === null) {
    return undefined;
  }
  const shape = shapeOf(definition.inner, kernel);
  const inSlots = new Set(definition.slots.map((slot) => slot.name));
  return {
    shape,
    ...definedCodecs(object, definition.inner, shape, options),
    loadBtf: () => loadBtf(object, kernel),
    known: [...inSlots].flatMap((slot) => maps.get(slot) ?? []),
  };
}

/** The object's types once more: a load closes them, as its maps hold them themselves. */
function loadBtf(object: ObjectFile, kernel: Kernel): number | null {
  try {
    return loadObjectBtf(kernel, object)?.fd ?? null;
  } catch (error) {
    // As in a load: most maps work without, and the others say so when they are created.
    if (!(error instanceof SyscallError)) {
      throw error;
    }
    return null;
  }
}
