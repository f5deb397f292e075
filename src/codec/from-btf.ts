/**
 * Codecs from BTF: the compiler's own layout, so that nothing has to be written down twice.
 *
 * | C | JavaScript |
 * | --- | --- |
 * | integers of up to 32 bits | number |
 * | integers of 64 and 128 bits, pointers | bigint |
 * | `bool` | boolean |
 * | `float`, `double` | number |
 * | enums | the name, or the number where it has none |
 * | `char[N]` | string up to the first NUL (or bytes, by option) |
 * | `__u8[N]` | Uint8Array |
 * | other arrays | array |
 * | structs, unions | object; members of anonymous ones count as the outer one's |
 */

import type { Btf } from '../obj/btf/btf.ts';
import { resolveType } from '../obj/btf/layout.ts';
import { spellType } from '../obj/btf/spell.ts';
import type {
  BtfArray,
  BtfComposite,
  BtfEnum,
  BtfEnum64,
  BtfInt,
  BtfMember,
} from '../obj/btf/types.ts';
import { array, bytes, enumeration, text } from './aggregates.ts';
import type { Codec } from './codec.ts';
import {
  bool,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  i128,
  pointer,
  u8,
  u16,
  u32,
  u64,
  u128,
} from './numbers.ts';
import { type Member, structOf, unionOf } from './struct.ts';

/** How values are to look. */
export interface BtfCodecOptions {
  /** What `char` arrays become: text, or all their bytes. */
  readonly characters?: 'text' | 'bytes';
}

/** A codec whose values are not known to the compiler of TypeScript. */
export type AnyCodec = Codec<unknown, unknown>;

const UNSIGNED: Readonly<Record<number, AnyCodec>> = {
  1: u8,
  2: u16,
  4: u32,
  8: u64,
  16: u128,
} as never;
const SIGNED: Readonly<Record<number, AnyCodec>> = {
  1: i8,
  2: i16,
  4: i32,
  8: i64,
  16: i128,
} as never;

/**
 * Structs that are the kernel's own affair inside a value: it skips them when values are copied, so
 * they are neither read nor written. From `btf_parse_fields` in `kernel/bpf/btf.c`.
 */
const KERNEL_FIELDS: ReadonlySet<string> = new Set([
  'bpf_spin_lock',
  'bpf_res_spin_lock',
  'bpf_timer',
  'bpf_wq',
  'bpf_list_head',
  'bpf_list_node',
  'bpf_rb_root',
  'bpf_rb_node',
  'bpf_refcount',
  'bpf_task_work',
]);

/** How deep structs and arrays may be in each other: more than the kernel takes (MAX_RESOLVE_DEPTH, 32). */
const MAX_DEPTH = 64;
/**
 * How many values one read may make: some for each byte of the type, and some. A few hundred bytes of
 * hostile BTF are enough for more than there is time for, as each union can contain another one twice. Of
 * the kernel's 22,000 structs and unions `security_list_options` has most for its size, 273 in 8 bytes, and
 * `H323_UU_PDU` most of all for a large one, 17,217 in 4,576.
 */
const MAX_VALUES = 0x1000;
const MAX_VALUES_PER_BYTE = 8;

/** A codec, and what reading by it takes. */
interface Compiled {
  readonly codec: AnyCodec;
  /** How many structs and arrays there are around its innermost value. */
  readonly depth: number;
  /** How many values one read makes. */
  readonly values: number;
}

const compiled = new WeakMap<Btf, Map<string, Compiled>>();

/**
 * The codec of a type. Made once per type and table, and kept.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for types that have no values (void, functions, structs that
 *   are only declared), for those that contain themselves or nest more than 64 deep, and for unions
 *   that show the same bytes so many times that nobody could read them
 */
export function codecOf(btf: Btf, typeId: number, options: BtfCodecOptions = {}): AnyCodec {
  let cache = compiled.get(btf);
  if (cache === undefined) {
    cache = new Map();
    compiled.set(btf, cache);
  }
  return new Compiler(btf, options.characters ?? 'text', cache).compile(typeId).codec;
}

class Compiler {
  readonly #btf: Btf;
  readonly #characters: 'text' | 'bytes';
  readonly #cache: Map<string, Compiled>;
  /** Structs and arrays that are being compiled: one that turns up again contains itself. */
  readonly #open = new Set<number>();

  constructor(btf: Btf, characters: 'text' | 'bytes', cache: Map<string, Compiled>) {
    this.#btf = btf;
    this.#characters = characters;
    this.#cache = cache;
  }

  compile(typeId: number): Compiled {
    const key = `${typeId} ${this.#characters}`;
    let made = this.#cache.get(key);
    if (made === undefined) {
      made = this.#make(typeId);
      this.#check(typeId, made);
      this.#cache.set(key, made);
    }
    return made;
  }

  #make(typeId: number): Compiled {
    const type = resolveType(this.#btf, typeId);
    switch (type.kind) {
      case 'int':
        return single(integer(type));
      case 'float':
        return single(
          type.sizeBytes === 4 ? f32 : type.sizeBytes === 8 ? f64 : opaque(type.sizeBytes),
        );
      case 'ptr':
        return single(pointer as AnyCodec);
      case 'enum':
      case 'enum64':
        return single(enumOf(type));
      case 'array':
        return this.#within(type, () => this.#array(type));
      case 'struct':
      case 'union':
        return this.#within(type, () => this.#composite(type, typeId));
      default:
        throw this.#btf.error(
          `\`${spellType(this.#btf, typeId)}\` (type [${typeId}]) has no values`,
        );
    }
  }

  /** Goes down into a type that consists of others. */
  #within(type: BtfArray | BtfComposite, make: () => Compiled): Compiled {
    if (this.#open.has(type.id)) {
      throw this.#btf.error(`${type.kind} ${type.name} (type [${type.id}]) contains itself`);
    }
    if (this.#open.size >= MAX_DEPTH) {
      throw this.#tooDeep(type.id);
    }
    this.#open.add(type.id);
    const made = make();
    this.#open.delete(type.id);
    return made;
  }

  /** What is within was compiled before, perhaps, so that nobody has gone down into it now. */
  #check(typeId: number, { codec, depth, values }: Compiled): void {
    if (depth > MAX_DEPTH) {
      throw this.#tooDeep(typeId);
    }
    if (values > MAX_VALUES + codec.sizeBytes * MAX_VALUES_PER_BYTE) {
      throw this.#btf.error(
        `type [${typeId}] has ${codec.sizeBytes} bytes, which its unions show as more than ${MAX_VALUES} values`,
      );
    }
  }

  #tooDeep(typeId: number): Error {
    return this.#btf.error(
      `type [${typeId}] nests more than ${MAX_DEPTH} deep, too deep to have values`,
    );
  }

  #array(type: BtfArray): Compiled {
    const element = resolveType(this.#btf, type.elementTypeId);
    if (element.kind === 'int' && element.sizeBytes === 1 && element.encoding !== 'bool') {
      if (element.name === 'char' || element.encoding === 'char') {
        return single(
          this.#characters === 'text' ? (text(type.length) as AnyCodec) : opaque(type.length),
        );
      }
      if (element.encoding === 'unsigned') {
        return single(opaque(type.length));
      }
    }
    const { codec, depth, values } = this.compile(type.elementTypeId);
    // Any number of elements without size is no element at all.
    const length = codec.sizeBytes === 0 ? 0 : type.length;
    return {
      codec: array(codec, length) as AnyCodec,
      depth: depth + 1,
      values: values * length + 1,
    };
  }

  #composite(type: BtfComposite, typeId: number): Compiled {
    const members: Member[] = [];
    let alignment = 1;
    let depth = 0;
    let values = 1;
    for (const member of type.members) {
      const placed = this.#member(type, member);
      if (placed !== null) {
        members.push(placed);
        alignment = Math.max(alignment, placed.codec.alignment);
        const inner = this.compile(member.typeId);
        depth = Math.max(depth, inner.depth);
        values += inner.values;
      }
    }
    const name = type.name === '' ? type.kind : spellType(this.#btf, typeId);
    const make = type.kind === 'struct' ? structOf : unionOf;
    const codec = make(name, type.sizeBytes, alignment, members) as AnyCodec;
    return { codec, depth: depth + 1, values };
  }

  #member(parent: BtfComposite, member: BtfMember): Member | null {
    const type = resolveType(this.#btf, member.typeId);
    if (type.kind === 'struct' && KERNEL_FIELDS.has(type.name)) {
      return null;
    }
    const { codec } = this.compile(member.typeId);
    const { bitOffset, bitSize } = member;
    const end = bitOffset + (bitSize || codec.sizeBytes * 8);
    if (end > parent.sizeBytes * 8) {
      throw this.#btf.error(
        `member ${member.name} of ${parent.kind} ${parent.name} (type [${parent.id}]) reaches behind its end`,
      );
    }
    const isBits = bitSize > 0 || bitOffset % 8 !== 0;
    if (!isBits) {
      return { name: member.name, codec: codec as Codec<unknown, never>, offset: bitOffset / 8 };
    }
    if (
      codec.sizeBytes > 8 ||
      (type.kind !== 'int' && type.kind !== 'enum' && type.kind !== 'enum64')
    ) {
      throw this.#btf.error(
        `member ${member.name} of ${parent.kind} ${parent.name} (type [${parent.id}]) is a bitfield of a type that is no integer`,
      );
    }
    const bits = bitSize || codec.sizeBytes * 8;
    const signed = type.kind === 'int' ? type.encoding === 'signed' : type.signed;
    return {
      name: member.name,
      codec: codec as Codec<unknown, never>,
      offset: Math.floor(bitOffset / 8),
      bitfield: { shift: bitOffset % 8, bits, signed },
    };
  }
}

/** What is one value. */
function single(codec: AnyCodec): Compiled {
  return { codec, depth: 0, values: 1 };
}

function integer(type: BtfInt): AnyCodec {
  if (type.encoding === 'bool' && type.sizeBytes === 1) {
    return bool as AnyCodec;
  }
  const isSigned = type.encoding === 'signed';
  return (isSigned ? SIGNED : UNSIGNED)[type.sizeBytes] ?? opaque(type.sizeBytes);
}

function enumOf(type: BtfEnum | BtfEnum64): AnyCodec {
  const base = (type.signed ? SIGNED : UNSIGNED)[type.sizeBytes];
  if (base === undefined) {
    return opaque(type.sizeBytes);
  }
  const values = new Map<string, number | bigint>();
  for (const { name, value } of type.values) {
    values.set(name, type.sizeBytes > 4 ? BigInt(value) : Number(value));
  }
  const name = type.name === '' ? 'enum' : `enum ${type.name}`;
  return enumeration(base as Codec<number | bigint>, values, name) as AnyCodec;
}

/** What has no JavaScript form of its own is moved as bytes. */
function opaque(length: number): AnyCodec {
  return bytes(length) as AnyCodec;
}
