/**
 * An object's BTF as the kernel takes it. What clang writes is unfinished: sections have no size,
 * global variables no offset, externs stand where the kernel wants definitions.
 *
 * Rules: what `kernel/bpf/btf.c` checks in BPF_BTF_LOAD, and libbpf's `bpf_object_fixup_btf` and
 * `bpf_object__collect_externs`. Type ids stay what they are in the object.
 */

import { encodeText } from '../bytes/text.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import type { Btf } from './btf/btf.ts';
import type { BtfSection } from './btf/types.ts';
import { type ElfSection, STB, STT, STV } from './elf.ts';
import type { ObjectFile } from './object.ts';

const HEADER_BYTES = 24;
const LINKAGE_STATIC = 0;
const LINKAGE_GLOBAL = 1;
const LINKAGE_EXTERN = 2;
const VLEN_MASK = 0xffffff;

/**
 * Which kinds of type the kernel is shown: all of them, or those of Linux 5.2, for kernels that
 * refuse the newer ones. Sizes and ids are the same, so maps keep their types.
 */
export type BtfDialect = 'full' | 'linux-5.2';

/**
 * Encodes an object's BTF for BPF_BTF_LOAD, in the host's byte order.
 *
 * @throws ObjectError `ERR_SKEP_BTF` if a section that BTF describes is not in the object
 */
export function encodeForKernel(
  object: ObjectFile,
  btf: Btf,
  dialect: BtfDialect = 'full',
): Uint8Array {
  const writer = new BtfWriter(btf);
  const sections = new Map<string, ElfSection>();
  for (const section of object.elf.sections) {
    sections.set(section.name, section);
  }
  const hidden = hiddenFunctions(object);
  for (let id = 1; id < btf.typeCount; id += 1) {
    switch (btf.kindOf(id)) {
      case BTF_KIND.PTR:
        // rustc names pointers, the kernel wants them anonymous.
        writer.set(id, 0, 0);
        break;
      case BTF_KIND.FUNC:
        defineFunction(writer, id, hidden);
        break;
      case BTF_KIND.DATASEC:
        defineSection(writer, object, sections, id);
        break;
      default:
    }
    if (dialect === 'linux-5.2') {
      replaceNewer(writer, id);
    }
  }
  return writer.finish();
}

/**
 * Puts an older kind in the place of a newer one, of the same number of words and the same size in
 * memory, as libbpf's `bpf_object__sanitize_btf` does.
 */
function replaceNewer(writer: BtfWriter, id: number): void {
  const info = writer.get(id, 1);
  const count = info & VLEN_MASK;
  switch (writer.btf.kindOf(id)) {
    case BTF_KIND.FUNC:
      // Global functions: 5.6.
      writer.set(id, 1, kindInfo(BTF_KIND.FUNC, LINKAGE_STATIC));
      break;
    case BTF_KIND.DATASEC:
      // Names that start with `?` (struct_ops that are optional): 6.9.
      if (writer.btf.nameOf(id).startsWith('?')) {
        writer.set(id, 0, writer.placeholderName());
      }
      break;
    case BTF_KIND.FLOAT:
      // 5.13. A struct without members has the size all the same.
      writer.set(id, 0, 0);
      writer.set(id, 1, kindInfo(BTF_KIND.STRUCT, 0));
      break;
    case BTF_KIND.DECL_TAG:
      // 5.16. One more word than the common ones, like an integer.
      writer.set(id, 1, kindInfo(BTF_KIND.INT, 0));
      writer.set(id, 2, 1);
      writer.set(id, 3, 8);
      break;
    case BTF_KIND.TYPE_TAG:
      // 5.17.
      writer.set(id, 0, 0);
      writer.set(id, 1, kindInfo(BTF_KIND.CONST, 0));
      break;
    case BTF_KIND.ENUM:
      // The flag for signed values: 6.0.
      writer.set(id, 1, kindInfo(BTF_KIND.ENUM, count));
      break;
    case BTF_KIND.ENUM64:
      // 6.0. Three words an entry, like a union's members, which start at its first bit.
      writer.set(id, 1, kindInfo(BTF_KIND.UNION, count));
      for (let index = 0; index < count; index += 1) {
        writer.set(id, 4 + index * 3, writer.placeholderByte());
        writer.set(id, 5 + index * 3, 0);
      }
      break;
    default:
  }
}

function kindInfo(kind: number, count: number): number {
  return kind * 2 ** 24 + count;
}

/**
 * Functions of `.text` that other objects cannot see. The kernel verifies global functions by
 * themselves, for any arguments; these are verified where they are called, as static ones (libbpf's
 * `mark_btf_static`).
 */
function hiddenFunctions({ elf, symbols }: ObjectFile): ReadonlySet<string> {
  const text = elf.sections.find(({ name }) => name === '.text');
  const hidden = new Set<string>();
  for (const symbol of text === undefined ? [] : (symbols[text.index] ?? [])) {
    const visibility = elf.symbols.visibility(symbol);
    const isHidden = visibility === STV.HIDDEN || visibility === STV.INTERNAL;
    if (isHidden && elf.symbols.type(symbol) === STT.FUNC) {
      hidden.add(elf.symbols.name(symbol));
    }
  }
  return hidden;
}

/** Functions are static or global; with named parameters. */
function defineFunction(writer: BtfWriter, id: number, hidden: ReadonlySet<string>): void {
  const { btf } = writer;
  const info = writer.get(id, 1);
  const linkage = info & VLEN_MASK;
  if (linkage === LINKAGE_EXTERN) {
    writer.set(id, 1, (info & ~VLEN_MASK) | LINKAGE_GLOBAL);
  } else if (linkage === LINKAGE_GLOBAL && hidden.size > 0 && hidden.has(btf.nameOf(id))) {
    writer.set(id, 1, (info & ~VLEN_MASK) | LINKAGE_STATIC);
  }
  const prototype = btf.sizeOrType(id);
  const parameters = writer.get(prototype, 1) & VLEN_MASK;
  for (let index = 0; index < parameters; index += 1) {
    const at = 3 + index * 2;
    if (writer.get(prototype, at) === 0 && writer.get(prototype, at + 1) !== 0) {
      writer.set(prototype, at, writer.placeholderName());
    }
  }
}

function defineSection(
  writer: BtfWriter,
  object: ObjectFile,
  sections: ReadonlyMap<string, ElfSection>,
  id: number,
): void {
  const described = writer.btf.type(id) as BtfSection;
  if (described.name === '.ksyms') {
    defineKernelSymbols(writer, described);
    return;
  }
  const offsets = new Map<string, number>();
  let size: number;
  if (described.name === '.kconfig') {
    const layout = object.data.get('.kconfig');
    size = layout?.size ?? 0;
    for (const variable of layout?.variables ?? []) {
      offsets.set(variable.name, variable.offset);
    }
  } else {
    const section = sections.get(described.name);
    if (section === undefined || section.size === 0) {
      throw writer.btf.error(
        `it describes a section "${described.name}", which the object does not have or which is empty`,
      );
    }
    size = section.size;
    globalOffsets(writer, object, section, described, offsets);
  }
  writer.set(id, 2, size);
  placeVariables(writer, described, offsets);
}

/** Offsets of the global variables of a section; hidden ones become static, as libbpf has them. */
function globalOffsets(
  writer: BtfWriter,
  object: ObjectFile,
  section: ElfSection,
  described: BtfSection,
  offsets: Map<string, number>,
): void {
  const { symbols } = object.elf;
  const hidden = new Set<string>();
  for (const symbol of object.symbols[section.index] ?? []) {
    if (symbols.type(symbol) !== STT.OBJECT || symbols.binding(symbol) === STB.LOCAL) {
      continue;
    }
    const name = symbols.name(symbol);
    offsets.set(name, symbols.value(symbol));
    const visibility = symbols.visibility(symbol);
    if (visibility === STV.HIDDEN || visibility === STV.INTERNAL) {
      hidden.add(name);
    }
  }
  for (const { typeId } of described.variables) {
    if (hidden.has(writer.btf.nameOf(typeId))) {
      writer.set(typeId, 3, LINKAGE_STATIC);
    }
  }
}

/** Writes the entries of a section back, with their offsets, in order. */
function placeVariables(
  writer: BtfWriter,
  described: BtfSection,
  offsets: ReadonlyMap<string, number>,
): void {
  const { btf } = writer;
  const entries = described.variables.map(({ typeId, offset, sizeBytes }) => {
    const isVariable = btf.kindOf(typeId) === BTF_KIND.VAR;
    if (isVariable && writer.get(typeId, 3) === LINKAGE_EXTERN) {
      writer.set(typeId, 3, LINKAGE_GLOBAL);
    }
    const isStatic = isVariable && btf.words[btf.starts[typeId]! + 3] === LINKAGE_STATIC;
    return {
      typeId,
      offset: (isStatic ? undefined : offsets.get(btf.nameOf(typeId))) ?? offset,
      sizeBytes,
    };
  });
  entries.sort((a, b) => a.offset - b.offset);
  entries.forEach(({ typeId, offset, sizeBytes }, index) => {
    writer.set(described.id, 3 + index * 3, typeId);
    writer.set(described.id, 4 + index * 3, offset);
    writer.set(described.id, 5 + index * 3, sizeBytes);
  });
}

/**
 * `.ksyms` has no memory: its externs become 4-byte integers, one behind the other, so that what
 * the kernel checks about sections holds. Nothing reads them.
 */
function defineKernelSymbols(writer: BtfWriter, described: BtfSection): void {
  const { btf } = writer;
  described.variables.forEach(({ typeId }, index) => {
    let variable = typeId;
    if (btf.kindOf(typeId) === BTF_KIND.VAR) {
      writer.set(typeId, 2, writer.placeholderInt());
      writer.set(typeId, 3, LINKAGE_GLOBAL);
    } else {
      variable = writer.placeholderVariable();
    }
    writer.set(described.id, 3 + index * 3, variable);
    writer.set(described.id, 4 + index * 3, index * 4);
    writer.set(described.id, 5 + index * 3, 4);
  });
  writer.set(described.id, 2, described.variables.length * 4);
}

/** A copy of a type table that can be changed in place and added to. */
class BtfWriter {
  readonly btf: Btf;
  readonly #words: Uint32Array;
  readonly #added: number[] = [];
  #addedTypes = 0;
  #addedStrings = '';
  #name = 0;
  #int = 0;
  #byte = 0;
  #variable = 0;

  constructor(btf: Btf) {
    this.btf = btf;
    this.#words = btf.words.slice();
  }

  get(id: number, word: number): number {
    return this.#words[this.btf.starts[id]! + word]!;
  }

  set(id: number, word: number, value: number): void {
    this.#words[this.btf.starts[id]! + word] = value;
  }

  /** Offset of a name for what the kernel wants named. */
  placeholderName(): number {
    if (this.#name === 0) {
      this.#name = this.btf.strings.bytes.length;
      this.#addedStrings = 'unnamed\0';
    }
    return this.#name;
  }

  /** Id of a 1-byte integer type. */
  placeholderByte(): number {
    if (this.#byte === 0) {
      this.#byte = this.#add([this.placeholderName(), kindInfo(BTF_KIND.INT, 0), 1, 8]);
    }
    return this.#byte;
  }

  /** Id of a 4-byte integer type. */
  placeholderInt(): number {
    if (this.#int === 0) {
      this.#int = this.#add([this.placeholderName(), kindInfo(BTF_KIND.INT, 0), 4, 32]);
    }
    return this.#int;
  }

  /** Id of a global variable of that type. */
  placeholderVariable(): number {
    if (this.#variable === 0) {
      const type = this.placeholderInt();
      this.#variable = this.#add([
        this.placeholderName(),
        kindInfo(BTF_KIND.VAR, 0),
        type,
        LINKAGE_GLOBAL,
      ]);
    }
    return this.#variable;
  }

  /** The blob: header, types, strings. */
  finish(): Uint8Array {
    const strings = this.btf.strings.bytes;
    const more = encodeText(this.#addedStrings);
    const typeBytes = (this.#words.length + this.#added.length) * 4;
    const stringBytes = strings.length + more.length;
    const out = new Uint8Array(HEADER_BYTES + typeBytes + stringBytes);
    const words = new Uint32Array(out.buffer, 0, (HEADER_BYTES + typeBytes) / 4);
    // Magic, version and flags are a 16-bit and two 8-bit fields: written by themselves.
    new Uint16Array(out.buffer, 0, 1)[0] = 0xeb9f;
    out[2] = 1;
    words.set([HEADER_BYTES, 0, typeBytes, typeBytes, stringBytes], 1);
    words.set(this.#words, HEADER_BYTES / 4);
    words.set(this.#added, HEADER_BYTES / 4 + this.#words.length);
    out.set(strings, HEADER_BYTES + typeBytes);
    out.set(more, HEADER_BYTES + typeBytes + strings.length);
    return out;
  }

  #add(words: readonly number[]): number {
    this.#added.push(...words);
    this.#addedTypes += 1;
    return this.btf.typeCount + this.#addedTypes - 1;
  }
}
