/**
 * Names of the maps of data sections, as libbpf makes them (`internal_map_name`), so that tools show
 * the same for both: the start of the object's name, then the section's.
 */

import { kernelName } from '../maps/create-map.ts';

const NAME_LENGTH = 15;
const SHORTEST_SUFFIX = 7;

/**
 * The kernel's name for the map of a data section.
 *
 * @param file where the object came from; its base name up to the first dot names the object
 * @param section the section's name, e.g. `.rodata`
 */
export function dataKernelName(file: string, section: string): string {
  // A custom section such as `.data.config` says enough by itself.
  if (section.indexOf('.', 1) !== -1) {
    return kernelName(section);
  }
  const object = file.slice(file.lastIndexOf('/') + 1).split('.')[0]!;
  const suffixLength = Math.min(NAME_LENGTH, Math.max(SHORTEST_SUFFIX, section.length));
  const prefix = object.slice(0, NAME_LENGTH - suffixLength);
  return kernelName(prefix + section.slice(0, suffixLength));
}
