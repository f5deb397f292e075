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
import type { Btf, MemberNames, MutableMember } from './btf/btf.ts';
import { resolveType, sizeOfType, skipModifiers } from './btf/layout.ts';
import { spellType } from './btf/spell.ts';
import type { BtfMember } from './btf/types.ts';
import type { MapDefinition } from './map-definition.ts';

const U32_MAX = 0xffff_ffffn;
/** Shared by the many maps without initial values. */
const NO_SLOTS: MapDefinition['slots'] = Object.freeze([]);

const MEMBERS = [
  'type',
  'key',
  'value',
  'key_size',
  'value_size',
  'max_entries',
  'map_flags',
  'map_extra',
  'numa_node',
  'pinning',
  'values',
] as const;
const EXPECTED: ReadonlyMap<string, string> = new Map(MEMBERS.map((name) => [name, name]));
const WHAT = `there are ${MEMBERS.join(', ')}`;

/** A definition while its members are read: in place, as an object may have thousands of maps. */
type Fields = { -readonly [K in keyof MapDefinition]: MapDefinition[K] };

/** What the reading of an object's maps keeps from map to map. */
export class MemberReader {
  readonly btf: Btf;
  /** Byte offset of `values` in the struct read last, -1 if there is no such member. */
  valuesOffset = -1;
  readonly #recent: MemberNames = { offsets: [], names: [], expected: EXPECTED };
  /** One object for all members: nothing of it is kept. */
  readonly #member: MutableMember = { name: '', typeId: 0, bitOffset: 0, bitSize: 0 };

  constructor(btf: Btf) {
    this.btf = btf;
  }

  /**
   * Reads the members of one map's struct.
   *
   * @param name the map's name, for errors too
   * @param structId the struct that declares it
   * @param outer whether this is a map of its own and not the template inside another
   * @returns the definition, complete but for its slots, which are empty
   * @throws MapDefinitionError naming the map and the member
   */
  read(name: string, structId: number, outer: boolean): MapDefinition {
    const { btf } = this;
    const member = this.#member;
    const fields = emptyDefinition(name);
    let valuesOffset = -1;
    const count = btf.entriesOf(structId);
    for (let index = 0; index < count; index += 1) {
      if (index === MEMBERS.length) {
        // In C names differ; maps that share a struct would all have to read it to its end.
        throw new MapDefinitionError(name, undefined, `its struct has ${count} members; ${WHAT}`, {
          typeId: structId,
        });
      }
      btf.readMember(structId, index, this.#recent, member);
      if (member.name === 'values') {
        valuesOffset = member.bitOffset / 8;
        parseValues(this, name, member, { isLast: index === count - 1, outer }, fields);
      } else {
        parseMember(btf, name, member, outer, fields);
      }
    }
    if (fields.typeNumber === BPF_MAP_TYPE.UNSPEC) {
      throw new MapDefinitionError(
        name,
        'type',
        'the map has no type; add __uint(type, BPF_MAP_TYPE_...)',
      );
    }
    fields.type = mapTypeName(fields.typeNumber);
    this.valuesOffset = valuesOffset;
    return fields;
  }
}

function emptyDefinition(name: string): Fields {
  return {
    name,
    section: '.maps',
    type: '',
    typeNumber: 0,
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
      fields.typeNumber = u32Of(btf, map, member);
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
  reader: MemberReader,
  map: string,
  member: BtfMember,
  where: { readonly isLast: boolean; readonly outer: boolean },
  fields: Fields,
): void {
  const { btf } = reader;
  const fail = (problem: string, typeId?: number) =>
    new MapDefinitionError(map, 'values', problem, { typeId });
  if (!where.outer) {
    throw fail('maps of maps nest one level only: an inner map has no values of its own');
  }
  if (!where.isLast) {
    throw fail('values must be the last member');
  }
  const ofMaps =
    fields.typeNumber === BPF_MAP_TYPE.ARRAY_OF_MAPS ||
    fields.typeNumber === BPF_MAP_TYPE.HASH_OF_MAPS;
  if (!ofMaps && fields.typeNumber !== BPF_MAP_TYPE.PROG_ARRAY) {
    throw fail(
      fields.typeNumber === 0
        ? 'type must be declared before values'
        : `only array_of_maps, hash_of_maps and prog_array have values, not ${mapTypeName(fields.typeNumber)}`,
    );
  }
  fields.valueSize = agreed(map, member, 'value', fields.valueSize, 4);
  // By ids: what is decoded here would be read once.
  if (btf.arrayLength(member.typeId) !== 0) {
    throw fail(
      `expected an array of length 0 (__array), found ${describe(btf, member.typeId)}`,
      member.typeId,
    );
  }
  const elementId = btf.arrayElement(member.typeId);
  const pointerId = skipModifiers(btf, elementId);
  if (btf.kindOf(pointerId) !== BTF_KIND.PTR) {
    throw fail(
      `expected an array of pointers, found one of ${describe(btf, elementId)}`,
      elementId,
    );
  }
  const pointedId = btf.sizeOrType(pointerId);
  const targetId = skipModifiers(btf, pointedId);
  const targetKind = btf.kindOf(targetId);
  if (!ofMaps) {
    if (targetKind !== BTF_KIND.FUNC_PROTO) {
      throw fail(
        `a prog_array holds functions, found pointers to ${describe(btf, pointedId)}`,
        pointedId,
      );
    }
  } else if (targetKind === BTF_KIND.STRUCT) {
    fields.inner = reader.read(`${map}.inner`, targetId, false);
  } else {
    throw fail(
      `expected pointers to the struct of a map, found pointers to ${describe(btf, pointedId)}`,
      pointedId,
    );
  }
}

function unknownMember(map: string, member: BtfMember): MapDefinitionError {
  return new MapDefinitionError(map, member.name, `there is no such member of a map; ${WHAT}`, {
    typeId: member.typeId,
  });
}

function describe(btf: Btf, typeId: number): string {
  return `\`${spellType(btf, typeId)}\` (type [${typeId}])`;
}
