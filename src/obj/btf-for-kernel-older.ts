/**
 * BTF for kernels that do not know all of it: each part that is unknown is replaced by itself, by an
 * older kind with the same number of words and the same size in memory. Ids stay what they are.
 *
 * Rules: libbpf's `bpf_object__sanitize_btf`. What kernels check of the older kinds:
 * `btf_*_check_meta` in kernel/bpf/btf.c.
 */

import { BTF_KIND } from '../uapi/btf-kinds.ts';
import type { Btf } from './btf/btf.ts';
import { type BtfWriter, kindInfo, LINKAGE_STATIC } from './btf-for-kernel-writer.ts';

/**
 * A part of BTF that came after its first version (4.18), oldest first: functions (5.0), variables and
 * data sections (5.2), global functions (5.6), floating point (5.13), declaration tags (5.16), type tags
 * (5.17), 64-bit and signed enums (6.0), names of sections that start with `?` (6.9).
 */
export type BtfPart =
  | 'functions'
  | 'data sections'
  | 'global functions'
  | 'float'
  | 'declaration tags'
  | 'type tags'
  | 'enum64'
  | 'section names with ?';

/** The parts by the kinds that belong to nothing else. */
const PART_OF_KIND: Readonly<Record<number, BtfPart>> = {
  [BTF_KIND.FUNC]: 'functions',
  [BTF_KIND.FUNC_PROTO]: 'functions',
  [BTF_KIND.VAR]: 'data sections',
  [BTF_KIND.DATASEC]: 'data sections',
  [BTF_KIND.FLOAT]: 'float',
  [BTF_KIND.DECL_TAG]: 'declaration tags',
  [BTF_KIND.TYPE_TAG]: 'type tags',
  [BTF_KIND.ENUM64]: 'enum64',
};

/** The flag of an enum with signed values. */
const KIND_FLAG = 2 ** 31;

/** Which of the parts some types have. */
export function partsOf(btf: Btf): ReadonlySet<BtfPart> {
  const parts = new Set<BtfPart>();
  for (let id = 1; id < btf.typeCount; id += 1) {
    const kind = btf.kindOf(id);
    const part = PART_OF_KIND[kind];
    if (part !== undefined) {
      parts.add(part);
    }
    const info = btf.words[btf.starts[id]! + 1]!;
    if (kind === BTF_KIND.FUNC && info !== kindInfo(kind, LINKAGE_STATIC)) {
      // Those of other objects (extern) are written as global.
      parts.add('global functions');
    } else if (kind === BTF_KIND.ENUM && info >= KIND_FLAG) {
      parts.add('enum64');
    } else if (kind === BTF_KIND.DATASEC && btf.nameOf(id).startsWith('?')) {
      parts.add('section names with ?');
    }
  }
  return parts;
}

/** Puts older kinds in the place of everything that belongs to some parts. */
export function replaceParts(writer: BtfWriter, unknown: ReadonlySet<BtfPart>): void {
  const parts = new Set(unknown);
  if (parts.has('functions') || parts.has('data sections')) {
    // What they are tags of may have gone.
    parts.add('declaration tags');
  }
  // With types that are added on the way.
  for (let id = 1; id < writer.typeCount; id += 1) {
    replaceOne(writer, id, parts);
  }
}

function replaceOne(writer: BtfWriter, id: number, parts: ReadonlySet<BtfPart>): void {
  const kind = writer.kindOf(id);
  const part = PART_OF_KIND[kind];
  if (part !== undefined && parts.has(part)) {
    REPLACE[kind]!(writer, id);
    return;
  }
  switch (kind) {
    case BTF_KIND.FUNC:
      if (parts.has('global functions')) {
        writer.set(id, 1, kindInfo(BTF_KIND.FUNC, LINKAGE_STATIC));
      }
      break;
    case BTF_KIND.DATASEC: {
      const name = writer.btf.nameOf(id);
      if (parts.has('section names with ?') && name.startsWith('?')) {
        writer.set(id, 0, writer.addName(`_${name.slice(1)}`));
      }
      break;
    }
    case BTF_KIND.ENUM:
      if (parts.has('enum64')) {
        writer.set(id, 1, kindInfo(BTF_KIND.ENUM, writer.count(id)));
      }
      break;
    default:
  }
}

/** What each kind becomes. */
const REPLACE: Readonly<Record<number, (writer: BtfWriter, id: number) => void>> = {
  [BTF_KIND.FUNC]: (writer, id) => writer.set(id, 1, kindInfo(BTF_KIND.TYPEDEF, 0)),
  [BTF_KIND.FUNC_PROTO]: prototypeToEnum,
  [BTF_KIND.VAR]: toByte,
  [BTF_KIND.DECL_TAG]: toByte,
  [BTF_KIND.DATASEC]: sectionToStruct,
  [BTF_KIND.FLOAT](writer, id) {
    // A struct without members has the size all the same; "float" is a keyword, and no name of one.
    writer.set(id, 0, 0);
    writer.set(id, 1, kindInfo(BTF_KIND.STRUCT, 0));
  },
  [BTF_KIND.TYPE_TAG](writer, id) {
    // Modifiers have no name.
    writer.set(id, 0, 0);
    writer.set(id, 1, kindInfo(BTF_KIND.CONST, 0));
  },
  [BTF_KIND.ENUM64]: enumToUnion,
};

/** An integer has one word more than the common ones too. 1 byte fits wherever a variable was. */
function toByte(writer: BtfWriter, id: number): void {
  writer.set(id, 1, kindInfo(BTF_KIND.INT, 0));
  writer.set(id, 2, 1);
  writer.set(id, 3, 8);
}

/** Two words for each parameter, as for each value of an enum, which has to have a name. */
function prototypeToEnum(writer: BtfWriter, id: number): void {
  const count = writer.count(id);
  writer.set(id, 1, kindInfo(BTF_KIND.ENUM, count));
  writer.set(id, 2, 4);
  for (let at = 3; at < 3 + count * 2; at += 2) {
    if (writer.get(id, at) === 0) {
      writer.set(id, at, writer.placeholderName());
    }
  }
}

/**
 * Three words for each variable, as for each member: type, offset and size become name, type and offset
 * in bits. Names of structs are identifiers.
 */
function sectionToStruct(writer: BtfWriter, id: number): void {
  const count = writer.count(id);
  const name = writer.btf.nameOf(id).replaceAll(/[^A-Za-z0-9_]/g, '_');
  writer.set(id, 0, writer.addName(name));
  writer.set(id, 1, kindInfo(BTF_KIND.STRUCT, count));
  for (let at = 3; at < 3 + count * 3; at += 3) {
    const type = writer.get(id, at);
    const offset = writer.get(id, at + 1);
    writer.set(id, at, writer.get(type, 0));
    writer.set(id, at + 1, type);
    writer.set(id, at + 2, offset * 8);
  }
}

/** Three words for each value, as for each member of a union, which starts at its first bit. */
function enumToUnion(writer: BtfWriter, id: number): void {
  const count = writer.count(id);
  writer.set(id, 1, kindInfo(BTF_KIND.UNION, count));
  for (let at = 3; at < 3 + count * 3; at += 3) {
    writer.set(id, at + 1, writer.placeholderByte());
    writer.set(id, at + 2, 0);
  }
}
