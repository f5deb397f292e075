/**
 * The members of a map definition in `.maps`: one struct whose members spell numbers and types in
 * the only way that survives compilation, as the types of pointers.
 *
 * Format: the macros `__uint`, `__type`, `__array`, `__ulong` of libbpf's `bpf_helpers.h`. What is
 * accepted and refused follows libbpf's `parse_btf_map_def`, with one addition: every number may be
 * given by `__ulong` too.
 */

import { MapDefinitionError } from '../errors.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import type { Btf, MutableMember } from './btf/btf.ts';
import { resolveType, sizeOfType, skipModifiers } from './btf/layout.ts';
import { spellType } from './btf/spell.ts';
import type { BtfMember } from './btf/types.ts';
import type { MapDefinition } from './map-definition.ts';

const U32_MAX = 0xffff_ffffn;
/** Shared by the many maps without initial values. */
const NO_SLOTS: MapDefinition['slots'] = Object.freeze([]);

/** What a definition's members say. */
export interface ParsedMembers {
  /** Complete but for its slots, which are empty. */
  readonly definition: MapDefinition;
  /** Byte offset of `values` in the struct, -1 if there is no such member. */
  readonly valuesOffset: number;
}

/** A definition while its members are read. */
interface Fields {
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  numaNode: number;
  mapExtra: bigint;
  pinning: 'none' | 'by-name';
  keyTypeId: number;
  valueTypeId: number;
  inner: MapDefinition | null;
  valuesOffset: number;
}

/**
 * Reads the members of one map's struct.
 *
 * @param name the map's name, for errors too
 * @param structId the struct that declares it
 * @param names names of members by offset, shared by the maps of an object
 * @param outer whether this is a map of its own and not the template inside another
 * @throws MapDefinitionError naming the map and the member
 */
export function parseMembers(
  btf: Btf,
  name: string,
  structId: number,
  names: Map<number, string>,
  outer: boolean,
): ParsedMembers {
  const fields: Fields = {
    type: 0,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
    numaNode: 0,
    mapExtra: 0n,
    pinning: 'none',
    keyTypeId: 0,
    valueTypeId: 0,
    inner: null,
    valuesOffset: -1,
  };
  // One object for all members: nothing of it is kept.
  const member: MutableMember = { name: '', typeId: 0, bitOffset: 0, bitSize: 0 };
  const count = btf.entriesOf(structId);
  for (let index = 0; index < count; index += 1) {
    btf.readMember(structId, index, names, member);
    if (member.name === 'values') {
      parseValues(btf, name, member, { isLast: index === count - 1, outer, names }, fields);
    } else {
      parseMember(btf, name, member, outer, fields);
    }
  }
  if (fields.type === BPF_MAP_TYPE.UNSPEC) {
    throw new MapDefinitionError(
      name,
      'type',
      'the map has no type; add __uint(type, BPF_MAP_TYPE_...)',
    );
  }
  return { definition: definitionOf(name, fields), valuesOffset: fields.valuesOffset };
}

/** Written out, not spread: an object has thousands of maps, and spreading costs a microsecond. */
function definitionOf(name: string, fields: Fields): MapDefinition {
  return {
    name,
    section: '.maps',
    type: mapTypeName(fields.type),
    typeNumber: fields.type,
    keySize: fields.keySize,
    valueSize: fields.valueSize,
    maxEntries: fields.maxEntries,
    flags: fields.flags,
    numaNode: fields.numaNode,
    mapExtra: fields.mapExtra,
    pinning: fields.pinning,
    keyTypeId: fields.keyTypeId,
    valueTypeId: fields.valueTypeId,
    inner: fields.inner,
    slots: NO_SLOTS,
    legacyTail: null,
  };
}

function parseMember(
  btf: Btf,
  map: string,
  member: BtfMember,
  outer: boolean,
  fields: Fields,
): void {
  switch (member.name) {
    case 'type':
      fields.type = u32Of(btf, map, member);
      return;
    case 'max_entries':
      fields.maxEntries = u32Of(btf, map, member);
      return;
    case 'map_flags':
      fields.flags = u32Of(btf, map, member);
      return;
    case 'numa_node':
      fields.numaNode = u32Of(btf, map, member);
      return;
    case 'map_extra':
      fields.mapExtra = numberOf(btf, map, member);
      return;
    case 'key_size':
      fields.keySize = agreed(map, member, 'key', fields.keySize, u32Of(btf, map, member));
      return;
    case 'key':
      fields.keyTypeId = pointerTarget(btf, map, member);
      fields.keySize = agreed(
        map,
        member,
        'key',
        fields.keySize,
        typeSize(btf, map, member, fields.keyTypeId),
      );
      return;
    case 'value_size':
      fields.valueSize = agreed(map, member, 'value', fields.valueSize, u32Of(btf, map, member));
      return;
    case 'value':
      fields.valueTypeId = pointerTarget(btf, map, member);
      fields.valueSize = agreed(
        map,
        member,
        'value',
        fields.valueSize,
        typeSize(btf, map, member, fields.valueTypeId),
      );
      return;
    case 'pinning':
      fields.pinning = pinningOf(btf, map, member, outer);
      return;
    default:
      throw unknownMember(map, member);
  }
}

/** A number as `__uint` or `__ulong` writes it. */
function numberOf(btf: Btf, map: string, member: BtfMember): bigint {
  const type = resolveType(btf, member.typeId);
  if (type.kind === 'ptr') {
    // `int (*name)[N]`. The array is taken as it stands: a typedef there is none of the macros.
    const array = btf.type(type.typeId);
    if (array.kind === 'array') {
      return BigInt(array.length);
    }
    throw new MapDefinitionError(
      map,
      member.name,
      `expected a pointer to an array (__uint), found a pointer to ${describe(btf, type.typeId)}`,
      { typeId: member.typeId },
    );
  }
  if (type.kind === 'enum' || type.kind === 'enum64') {
    const [only, second] = type.values;
    if (only === undefined || second !== undefined) {
      throw new MapDefinitionError(
        map,
        member.name,
        `expected an enum with one value (__ulong), found ${type.values.length}`,
        { typeId: member.typeId },
      );
    }
    return BigInt.asUintN(type.kind === 'enum' ? 32 : 64, BigInt(only.value));
  }
  throw new MapDefinitionError(
    map,
    member.name,
    `expected a number (__uint or __ulong), found ${describe(btf, member.typeId)}`,
    { typeId: member.typeId },
  );
}

function u32Of(btf: Btf, map: string, member: BtfMember): number {
  // The form that nearly every member has, without making objects of its types.
  if (btf.kindOf(member.typeId) === BTF_KIND.PTR) {
    const length = btf.arrayLength(btf.sizeOrType(member.typeId));
    if (length !== undefined) {
      return length;
    }
  }
  const value = numberOf(btf, map, member);
  if (value > U32_MAX) {
    throw new MapDefinitionError(map, member.name, `${value} does not fit 32 bits`);
  }
  return Number(value);
}

/** `__type(name, T)`: the id of T, typedefs kept. The pointer itself must not hide in a typedef. */
function pointerTarget(btf: Btf, map: string, member: BtfMember): number {
  if (btf.kindOf(member.typeId) !== BTF_KIND.PTR) {
    throw new MapDefinitionError(
      map,
      member.name,
      `expected a pointer (__type), found ${describe(btf, member.typeId)}`,
      { typeId: member.typeId },
    );
  }
  return btf.sizeOrType(member.typeId);
}

function typeSize(btf: Btf, map: string, member: BtfMember, typeId: number): number {
  try {
    return sizeOfType(btf, typeId);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MapDefinitionError(map, member.name, `the size of its type is not known: ${why}`, {
      typeId,
      cause,
    });
  }
}

/** A size may be given twice if both agree; 0 counts as not given. */
function agreed(map: string, member: BtfMember, what: string, before: number, now: number): number {
  if (before !== 0 && before !== now) {
    throw new MapDefinitionError(
      map,
      member.name,
      `conflicting ${what} size: ${now} here, but ${before} in an earlier member`,
    );
  }
  return now;
}

function pinningOf(btf: Btf, map: string, member: BtfMember, outer: boolean): 'none' | 'by-name' {
  const value = u32Of(btf, map, member);
  if (!outer) {
    throw new MapDefinitionError(
      map,
      member.name,
      'an inner map cannot be pinned; pin the outer map',
    );
  }
  if (value > 1) {
    throw new MapDefinitionError(
      map,
      member.name,
      `unknown pinning ${value}; LIBBPF_PIN_NONE is 0, LIBBPF_PIN_BY_NAME is 1`,
    );
  }
  return value === 1 ? 'by-name' : 'none';
}

/** `__array(values, ...)`: the inner template of a map of maps, or a program array's functions. */
function parseValues(
  btf: Btf,
  map: string,
  member: BtfMember,
  where: {
    readonly isLast: boolean;
    readonly outer: boolean;
    readonly names: Map<number, string>;
  },
  fields: Fields,
): void {
  const fail = (problem: string, typeId?: number) =>
    new MapDefinitionError(map, 'values', problem, { typeId });
  if (!where.outer) {
    throw fail('maps of maps nest one level only: an inner map has no values of its own');
  }
  if (!where.isLast) {
    throw fail('values must be the last member');
  }
  const ofMaps =
    fields.type === BPF_MAP_TYPE.ARRAY_OF_MAPS || fields.type === BPF_MAP_TYPE.HASH_OF_MAPS;
  if (!ofMaps && fields.type !== BPF_MAP_TYPE.PROG_ARRAY) {
    throw fail(
      fields.type === 0
        ? 'type must be declared before values'
        : `only array_of_maps, hash_of_maps and prog_array have values, not ${mapTypeName(fields.type)}`,
    );
  }
  fields.valueSize = agreed(map, member, 'value', fields.valueSize, 4);
  const array = btf.type(member.typeId);
  if (array.kind !== 'array' || array.length !== 0) {
    throw fail(
      `expected an array of length 0 (__array), found ${describe(btf, member.typeId)}`,
      member.typeId,
    );
  }
  const element = resolveType(btf, array.elementTypeId);
  if (element.kind !== 'ptr') {
    throw fail(
      `expected an array of pointers, found one of ${describe(btf, array.elementTypeId)}`,
      array.elementTypeId,
    );
  }
  const target = btf.type(skipModifiers(btf, element.typeId));
  if (!ofMaps) {
    if (target.kind !== 'func_proto') {
      throw fail(
        `a prog_array holds functions, found pointers to ${describe(btf, element.typeId)}`,
        element.typeId,
      );
    }
  } else if (target.kind === 'struct') {
    fields.inner = parseMembers(btf, `${map}.inner`, target.id, where.names, false).definition;
  } else {
    throw fail(
      `expected pointers to the struct of a map, found pointers to ${describe(btf, element.typeId)}`,
      element.typeId,
    );
  }
  fields.valuesOffset = member.bitOffset / 8;
}

const KNOWN_MEMBERS =
  'type, key, value, key_size, value_size, max_entries, map_flags, map_extra, numa_node, pinning, values';

function unknownMember(map: string, member: BtfMember): MapDefinitionError {
  return new MapDefinitionError(
    map,
    member.name,
    `there is no such member of a map; there are ${KNOWN_MEMBERS}`,
    { typeId: member.typeId },
  );
}

function describe(btf: Btf, typeId: number): string {
  return `\`${spellType(btf, typeId)}\` (type [${typeId}])`;
}
