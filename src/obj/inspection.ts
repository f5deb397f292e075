/**
 * An object as one plain document: what `skep inspect --json` prints. Its shape is versioned by
 * `format` and described by the zod schema `inspectionSchema` of the package.
 */

import { ObjectError } from '../errors.ts';
import type { Btf } from './btf/btf.ts';
import { spellType } from './btf/spell.ts';
import type { ByteOrder } from './elf.ts';
import type { MapDefinition, MapSlot } from './map-definition.ts';
import type { ObjectFile } from './object.ts';

/** A map, or the template inside one. Sizes in bytes. */
export interface InspectedMap {
  name: string;
  section: string;
  type: string;
  typeNumber: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  numaNode: number;
  /** A decimal string, since it has 64 bits. */
  mapExtra: string;
  pinning: 'none' | 'by-name';
  /** C spelling of the key type; null if only a size is declared. */
  key: string | null;
  value: string | null;
  inner: InspectedMap | null;
  slots: MapSlot[];
}

export interface InspectedVariable {
  name: string;
  /** C spelling of its type; null without BTF. */
  type: string | null;
  offset: number;
  size: number;
}

export interface InspectedData {
  name: string;
  size: number;
  readOnly: boolean;
  variables: InspectedVariable[];
}

export interface InspectedProgram {
  name: string;
  section: string;
  type: string;
  typeNumber: number;
  attachType: string | null;
  attachTypeNumber: number;
  attachTo: string | null;
  sleepable: boolean;
  autoload: boolean;
  instructions: number;
}

export interface Inspection {
  format: 1;
  file: string;
  byteOrder: ByteOrder;
  license: string;
  maps: InspectedMap[];
  data: InspectedData[];
  programs: InspectedProgram[];
}

/**
 * Most characters of the names and types of a document. A file can have one long name thousands of
 * times; what came of it would not fit one JavaScript string.
 */
const MOST_TEXT = 0x80_0000;

/**
 * Describes an object: maps in the order of `.maps`, data sections, programs.
 *
 * @throws ObjectError `ERR_SKEP_DATA` if the variables of a data section are malformed; `ERR_SKEP_ELF`
 *   if names and types have more than 8 Mi characters together
 */
export function inspect(object: ObjectFile): Inspection {
  const document = describe(object);
  if (textOf(document) > MOST_TEXT) {
    throw new ObjectError(
      'ERR_SKEP_ELF',
      `names and types of this object have more than ${MOST_TEXT} characters`,
    );
  }
  return document;
}

/** How many characters there are in what an object can make long. */
function textOf({ maps, data, programs }: Inspection): number {
  let characters = 0;
  for (const map of maps) {
    characters += textOfMap(map);
  }
  for (const { name, variables } of data) {
    characters += name.length;
    for (const variable of variables) {
      characters += variable.name.length + (variable.type?.length ?? 0);
    }
  }
  for (const { name, section, attachTo } of programs) {
    characters += name.length + section.length + (attachTo?.length ?? 0);
  }
  return characters;
}

function textOfMap({ name, key, value, inner, slots }: InspectedMap): number {
  let characters = name.length + (key?.length ?? 0) + (value?.length ?? 0);
  for (const slot of slots) {
    characters += slot.name.length;
  }
  return inner === null ? characters : characters + textOfMap(inner);
}

function describe(object: ObjectFile): Inspection {
  return {
    format: 1,
    file: object.file,
    byteOrder: object.byteOrder,
    license: object.license,
    maps: Array.from(object.maps.values(), (map) => inspectMap(map, object.btf)),
    data: Array.from(object.data.values(), ({ name, size, readOnly, variables }) => ({
      name,
      size,
      readOnly,
      variables: variables.map((variable) => ({
        name: variable.name,
        type: variable.type,
        offset: variable.offset,
        size: variable.size,
      })),
    })),
    programs: Array.from(object.programs.values(), (program) => ({
      name: program.name,
      section: program.section,
      type: program.type,
      typeNumber: program.typeNumber,
      attachType: program.attachType,
      attachTypeNumber: program.attachTypeNumber,
      attachTo: program.attachTo,
      sleepable: program.sleepable,
      autoload: program.autoload,
      instructions: program.instructions,
    })),
  };
}

function inspectMap(map: MapDefinition, btf: Btf | undefined): InspectedMap {
  const spell = (id: number) => (btf === undefined || id === 0 ? null : spellType(btf, id));
  return {
    name: map.name,
    section: map.section,
    type: map.type,
    typeNumber: map.typeNumber,
    keySize: map.keySize,
    valueSize: map.valueSize,
    maxEntries: map.maxEntries,
    flags: map.flags,
    numaNode: map.numaNode,
    mapExtra: map.mapExtra.toString(),
    pinning: map.pinning,
    key: spell(map.keyTypeId),
    value: spell(map.valueTypeId),
    inner: map.inner === null ? null : inspectMap(map.inner, btf),
    slots: map.slots.map((slot) => ({ ...slot })),
  };
}
