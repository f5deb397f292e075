/**
 * A BTF type table: indexed in one pass when opened, decoded type by type when asked.
 *
 * Format: `Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`. Opening costs one walk over the
 * type section that notes where each type starts; a kernel's 100,000 types take about a
 * millisecond and half a megabyte. Names are hashed when the first one is looked up.
 */

import { StringTable } from '../../bytes/string-table.ts';
import { encodeText } from '../../bytes/text.ts';
import { ObjectError } from '../../errors.ts';
import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import { checkBtf } from './check.ts';
import { decodeType } from './decode.ts';
import { indexSound } from './index-sound.ts';
import { NameIndex } from './name-index.ts';
import { growStarts, keepStarts, takeStarts } from './starts.ts';
import type { BtfKindName, BtfMember, BtfType } from './types.ts';

/** A {@link BtfMember} that is read into again and again. */
export type MutableMember = { -readonly [K in keyof BtfMember]: BtfMember[K] };

/**
 * The names of the members of the struct read last, by place, and where they stand in the strings.
 * Structs of one kind have the same members in the same places mostly.
 */
export interface MemberNames {
  readonly offsets: number[];
  readonly names: string[];
  /**
   * Names that the caller compares with, each for itself: V8 compares pointers where a name is the very
   * string of the source, and texts where it was cut out of a table.
   */
  readonly expected: ReadonlyMap<string, string>;
}

const MAGIC = 0xeb9f;
const SWAPPED_MAGIC = 0x9feb;
const HEADER_BYTES = 24;
/** Name, info, size or type. */
const COMMON_WORDS = 3;
const KIND_SLOTS = 128;
/** Marks a kind that does not exist. */
const NO_KIND = 255;

/** Words behind the common three, by kind: a fixed number, and one number for each of `vlen`. */
const FIXED_WORDS = new Uint8Array(KIND_SLOTS);
const WORDS_EACH = new Uint8Array(KIND_SLOTS).fill(NO_KIND);
for (const [kind, fixed, each] of [
  [BTF_KIND.INT, 1, 0],
  [BTF_KIND.PTR, 0, 0],
  [BTF_KIND.ARRAY, 3, 0],
  [BTF_KIND.STRUCT, 0, 3],
  [BTF_KIND.UNION, 0, 3],
  [BTF_KIND.ENUM, 0, 2],
  [BTF_KIND.FWD, 0, 0],
  [BTF_KIND.TYPEDEF, 0, 0],
  [BTF_KIND.VOLATILE, 0, 0],
  [BTF_KIND.CONST, 0, 0],
  [BTF_KIND.RESTRICT, 0, 0],
  [BTF_KIND.FUNC, 0, 0],
  [BTF_KIND.FUNC_PROTO, 0, 2],
  [BTF_KIND.VAR, 1, 0],
  [BTF_KIND.DATASEC, 0, 3],
  [BTF_KIND.FLOAT, 0, 0],
  [BTF_KIND.DECL_TAG, 1, 0],
  [BTF_KIND.TYPE_TAG, 0, 0],
  [BTF_KIND.ENUM64, 0, 3],
] as const) {
  FIXED_WORDS[kind] = fixed;
  WORDS_EACH[kind] = each;
}

const HOST_IS_LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const VOID: BtfType = { kind: 'void', id: 0, name: '' };

/**
 * The types of one BTF blob. Type ids are small integers from 1; 0 is void. The table keeps a view
 * of the bytes where byte order and alignment allow it, so they must not change while it is used.
 *
 * The BTF of a kernel module is split: its ids and string offsets go on where those of its base, the
 * kernel's, end. Such a table answers for the types of its base too.
 */
export class Btf {
  readonly littleEndian: boolean;
  /** Number of types, void included: valid ids are below it. */
  readonly typeCount: number;
  /** What this table is split from; undefined for one that stands alone. */
  readonly base: Btf | undefined;
  /** Lower ids are the base's; 0 for a table that stands alone, as void is its own. */
  readonly firstId: number;
  /**
   * The table's own strings; the first of them has the offset {@link stringsStart}.
   *
   * @internal
   */
  readonly strings: StringTable;
  /**
   * Lower offsets of strings are the base's; 0 for a table that stands alone.
   *
   * @internal
   */
  readonly stringsStart: number;
  /**
   * The type section as words in the host's byte order; everything in it is 32-bit. May be a
   * mapping that must not be written to.
   *
   * @internal
   */
  readonly words: Uint32Array;
  /**
   * Index of the first word of each type in {@link words}, by id less {@link firstId}.
   *
   * @internal
   */
  readonly starts: Uint32Array;
  readonly #section: string;
  #decoded: Map<number, BtfType> | undefined;
  #names: NameIndex | undefined;

  private constructor(bytes: Uint8Array, section: string, base?: Btf, isChecked = false) {
    this.#section = section;
    const header = readHeader(bytes, section, base !== undefined);
    this.littleEndian = header.littleEndian;
    this.base = base;
    this.firstId = base === undefined ? 0 : base.typeCount;
    this.stringsStart = base === undefined ? 0 : base.stringsStart + base.strings.bytes.length;
    this.words = readWords(bytes, header);
    this.strings = new StringTable(
      bytes.subarray(header.stringsStart, header.stringsStart + header.stringsBytes),
    );
    const sound = isChecked ? indexSound(this.words, header.stringsBytes) : undefined;
    this.starts = sound ?? this.#indexTypes();
    this.typeCount = this.firstId + this.starts.length;
    if (isChecked && sound === undefined) {
      checkBtf(this);
    }
  }

  /**
   * Indexes a BTF blob without looking into its types. Use `checkBtf` to have every
   * reference in it checked as well; types that are decoded are checked in any case.
   *
   * @param section how errors call the place the bytes come from
   * @param base what the blob is split from: the kernel's table for that of a module
   * @throws ObjectError `ERR_SKEP_BTF`
   */
  static parse(bytes: Uint8Array, section = '.BTF', base?: Btf): Btf {
    return new Btf(bytes, section, base);
  }

  /**
   * {@link Btf.parse} and `checkBtf` at once, of a table that stands alone: a third of the time.
   *
   * @throws ObjectError `ERR_SKEP_BTF`
   * @internal
   */
  static parseChecked(bytes: Uint8Array): Btf {
    return new Btf(bytes, '.BTF', undefined, true);
  }

  /** The number (`BTF_KIND_*`) of a type's kind; 0 for void. */
  kindOf(id: number): number {
    if (id < this.firstId) {
      return this.base!.kindOf(id);
    }
    return id === 0 ? 0 : (this.words[this.#start(id) + 1]! >>> 24) & 0x7f;
  }

  /** A type's third word, raw: its size in bytes or the id that it refers to, by kind. */
  sizeOrType(id: number): number {
    if (id < this.firstId) {
      return this.base!.sizeOrType(id);
    }
    return id === 0 ? 0 : this.words[this.#start(id) + 2]!;
  }

  /** How many members, values or entries a type has (`vlen`). */
  entriesOf(id: number): number {
    if (id < this.firstId) {
      return this.base!.entriesOf(id);
    }
    return id === 0 ? 0 : this.words[this.#start(id) + 1]! & 0xffffff;
  }

  /**
   * Reads a member of a struct or union into an object that the caller keeps for that: for walks over
   * thousands of structs that are read once.
   *
   * @param recent kept by the caller from struct to struct
   */
  readMember(id: number, index: number, recent: MemberNames, into: MutableMember): void {
    if (id < this.firstId) {
      // Offsets of names are the same in both.
      this.base!.readMember(id, index, recent, into);
      return;
    }
    const at = this.#start(id) + COMMON_WORDS + index * 3;
    const { words } = this;
    const nameOffset = words[at]!;
    if (recent.offsets[index] !== nameOffset) {
      const name = this.string(nameOffset);
      recent.names[index] = recent.expected.get(name) ?? name;
      recent.offsets[index] = nameOffset;
    }
    const hasBitfields = words[this.#start(id) + 1]! >>> 31 === 1;
    into.name = recent.names[index]!;
    into.typeId = words[at + 1]!;
    into.bitOffset = hasBitfields ? words[at + 2]! & 0xffffff : words[at + 2]!;
    into.bitSize = hasBitfields ? words[at + 2]! >>> 24 : 0;
  }

  /** The linkage of a variable as stored: 0 static, 1 global, 2 extern. */
  linkageOf(id: number): number {
    return this.detailOf(id);
  }

  /** The word behind a type's common three, raw: what it says depends on the kind. */
  detailOf(id: number): number {
    return id < this.firstId
      ? this.base!.detailOf(id)
      : this.words[this.#start(id) + COMMON_WORDS]!;
  }

  /** The id of a variable that a `datasec` lists. */
  listedType(id: number, index: number): number {
    if (id < this.firstId) {
      return this.base!.listedType(id, index);
    }
    return this.words[this.#start(id) + COMMON_WORDS + index * 3]!;
  }

  /** The length of an array type; undefined for any other type. */
  arrayLength(id: number): number | undefined {
    if (id < this.firstId) {
      return this.base!.arrayLength(id);
    }
    return this.kindOf(id) === BTF_KIND.ARRAY ? this.words[this.#start(id) + 5] : undefined;
  }

  /** The id of an array type's elements. */
  arrayElement(id: number): number {
    return this.detailOf(id);
  }

  /** A type's name, '' if it has none. */
  nameOf(id: number): string {
    if (id < this.firstId) {
      return this.base!.nameOf(id);
    }
    return id === 0 ? '' : this.string(this.words[this.#start(id)]!);
  }

  /**
   * The type with this id, decoded on first use and kept.
   *
   * @throws ObjectError `ERR_SKEP_BTF` if there is no such type, or it refers to a type or a name
   *   that does not exist
   */
  type(id: number): BtfType {
    if (id < this.firstId) {
      return this.base!.type(id);
    }
    if (id === 0) {
      return VOID;
    }
    this.#decoded ??= new Map();
    let type = this.#decoded.get(id);
    if (type === undefined) {
      type = decodeType(this, id, this.#start(id));
      this.#decoded.set(id, type);
    }
    return type;
  }

  /** Like {@link Btf.type}, without keeping what was decoded: for types that are read once. */
  decode(id: number): BtfType {
    if (id < this.firstId) {
      return this.base!.decode(id);
    }
    return id === 0 ? VOID : (this.#decoded?.get(id) ?? decodeType(this, id, this.#start(id)));
  }

  /**
   * The id of the first type with this name, of this kind if one is given; 0 if there is none.
   * The first call hashes all names (6 ms for a kernel); each further call is a hash look-up.
   */
  find(name: string, kind?: BtfKindName): number {
    const found = this.base?.find(name, kind) ?? 0;
    if (found !== 0) {
      return found;
    }
    this.#names ??= new NameIndex(this);
    return this.#names.find(encodeText(name), kind === undefined ? 0 : kindNumber(kind));
  }

  /** The ids of all types of a kind, in order. Looks at every type. */
  idsOfKind(kind: BtfKindName): number[] {
    const wanted = kindNumber(kind);
    const out = this.base?.idsOfKind(kind) ?? [];
    const { words, starts, firstId, typeCount } = this;
    for (let id = Math.max(firstId, 1); id < typeCount; id += 1) {
      if (((words[starts[id - firstId]! + 1]! >>> 24) & 0x7f) === wanted) {
        out.push(id);
      }
    }
    return out;
  }

  /** The string at an offset of the string section. @throws ObjectError if there is none */
  string(offset: number): string {
    if (offset === 0) {
      return '';
    }
    if (offset < this.stringsStart) {
      return this.base!.string(offset);
    }
    const text = this.strings.at(offset - this.stringsStart);
    if (text === undefined) {
      throw this.error(
        `there is no string at offset ${offset} (${this.stringsStart + this.strings.bytes.length} bytes)`,
      );
    }
    return text;
  }

  /** An `ERR_SKEP_BTF` error that names the place this table was read from. */
  error(problem: string): ObjectError {
    return btfError(this.#section, problem);
  }

  #start(id: number): number {
    const start = this.starts[id - this.firstId];
    if (start === undefined || id === 0) {
      throw this.error(`there is no type [${id}]; ids end at ${this.typeCount - 1}`);
    }
    return start;
  }

  #indexTypes(): Uint32Array {
    const { words } = this;
    const end = words.length;
    const starts = takeStarts(end);
    const { first } = starts;
    let { array } = starts;
    array[first] = 0;
    // Void is the first type of a table that stands alone.
    let count = this.firstId === 0 ? 1 : 0;
    let at = 0;
    while (at < end) {
      if (at + COMMON_WORDS > end) {
        throw this.error(
          `type [${this.firstId + count}] is cut off at the end of the type section`,
        );
      }
      const info = words[at + 1]!;
      const kind = (info >>> 24) & 0x7f;
      const each = WORDS_EACH[kind]!;
      if (each === NO_KIND) {
        throw this.error(`type [${this.firstId + count}] has the unknown kind ${kind}`);
      }
      if (first + count === array.length) {
        array = growStarts(starts);
      }
      array[first + count] = at;
      count += 1;
      at += COMMON_WORDS + FIXED_WORDS[kind]! + each * (info & 0xffffff);
    }
    if (at !== end) {
      throw this.error(
        `type [${this.firstId + count - 1}] reaches behind the end of the type section`,
      );
    }
    return keepStarts(starts, count);
  }
}

/** The number of a kind. */
export function kindNumber(kind: BtfKindName): number {
  return KIND_NUMBERS[kind];
}

const KIND_NUMBERS: Readonly<Record<BtfKindName, number>> = {
  void: 0,
  int: BTF_KIND.INT,
  ptr: BTF_KIND.PTR,
  array: BTF_KIND.ARRAY,
  struct: BTF_KIND.STRUCT,
  union: BTF_KIND.UNION,
  enum: BTF_KIND.ENUM,
  fwd: BTF_KIND.FWD,
  typedef: BTF_KIND.TYPEDEF,
  volatile: BTF_KIND.VOLATILE,
  const: BTF_KIND.CONST,
  restrict: BTF_KIND.RESTRICT,
  func: BTF_KIND.FUNC,
  func_proto: BTF_KIND.FUNC_PROTO,
  var: BTF_KIND.VAR,
  datasec: BTF_KIND.DATASEC,
  float: BTF_KIND.FLOAT,
  decl_tag: BTF_KIND.DECL_TAG,
  type_tag: BTF_KIND.TYPE_TAG,
  enum64: BTF_KIND.ENUM64,
};

interface Header {
  readonly littleEndian: boolean;
  readonly typesStart: number;
  readonly typesBytes: number;
  readonly stringsStart: number;
  readonly stringsBytes: number;
}

/**
 * Reads and checks `struct btf_header`; the rules are those of libbpf's `btf_parse_hdr` and
 * `btf_parse_str_sec`. The strings of split BTF need not start with the empty one, or be there at all.
 */
function readHeader(bytes: Uint8Array, section: string, isSplit: boolean): Header {
  if (bytes.length < HEADER_BYTES) {
    throw btfError(section, `${bytes.length} bytes are fewer than a BTF header (${HEADER_BYTES})`);
  }
  const magic = bytes[0]! | (bytes[1]! << 8);
  const littleEndian = magic === MAGIC;
  if (!littleEndian && magic !== SWAPPED_MAGIC) {
    throw btfError(section, `the magic number is 0x${magic.toString(16)}, not 0xeb9f`);
  }
  if (bytes[2] !== 1 || bytes[3] !== 0) {
    throw btfError(
      section,
      `version ${bytes[2]} with flags ${bytes[3]} is not known; version 1 without flags is`,
    );
  }
  const headerBytes = wordAt(bytes, 4, littleEndian);
  const typesOffset = wordAt(bytes, 8, littleEndian);
  const typesStart = headerBytes + typesOffset;
  const typesBytes = wordAt(bytes, 12, littleEndian);
  const stringsStart = headerBytes + wordAt(bytes, 16, littleEndian);
  const stringsBytes = wordAt(bytes, 20, littleEndian);
  if (headerBytes < HEADER_BYTES || headerBytes > bytes.length) {
    throw btfError(section, `the header claims ${headerBytes} bytes of ${bytes.length}`);
  }
  if (stringsStart + stringsBytes > bytes.length) {
    throw btfError(
      section,
      `the string section (${stringsBytes} bytes at ${stringsStart}) reaches behind the end (${bytes.length})`,
    );
  }
  if (typesStart + typesBytes > stringsStart) {
    throw btfError(
      section,
      `the type section (${typesBytes} bytes at ${typesStart}) reaches into the strings at ${stringsStart}`,
    );
  }
  if (typesOffset % 4 !== 0 || typesBytes % 4 !== 0) {
    throw btfError(section, 'the type section is not aligned to 4 bytes');
  }
  const hasNone = stringsBytes === 0 && isSplit;
  if (
    !hasNone &&
    (stringsBytes === 0 ||
      (bytes[stringsStart] !== 0 && !isSplit) ||
      bytes[stringsStart + stringsBytes - 1] !== 0)
  ) {
    throw btfError(section, 'the string section does not start and end with a NUL');
  }
  return { littleEndian, typesStart, typesBytes, stringsStart, stringsBytes };
}

/** Five of these cost less than a DataView. */
function wordAt(bytes: Uint8Array, at: number, littleEndian: boolean): number {
  const high = (bytes[at + (littleEndian ? 3 : 0)]! << 8) | bytes[at + (littleEndian ? 2 : 1)]!;
  const low = (bytes[at + (littleEndian ? 1 : 2)]! << 8) | bytes[at + (littleEndian ? 0 : 3)]!;
  return high * 0x10000 + low;
}

/** The type section as host-order words: a view where that is possible, else a copy. */
function readWords(bytes: Uint8Array, header: Header): Uint32Array {
  const count = header.typesBytes / 4;
  const start = bytes.byteOffset + header.typesStart;
  const sameOrder = header.littleEndian === HOST_IS_LITTLE;
  if (sameOrder && start % 4 === 0) {
    return new Uint32Array(bytes.buffer, start, count);
  }
  const view = new DataView(bytes.buffer, start, header.typesBytes);
  const words = new Uint32Array(count);
  for (let index = 0; index < count; index += 1) {
    words[index] = view.getUint32(index * 4, header.littleEndian);
  }
  return words;
}

function btfError(section: string, problem: string): ObjectError {
  return new ObjectError('ERR_SKEP_BTF', `BTF in ${section}: ${problem}`, { section });
}
