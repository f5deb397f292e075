/**
 * Writes objects that no compiler writes, of any size: as many sections, symbols, relocations and types
 * as wanted, in time that grows with their number. Little endian. It shares no code with skep.
 */

import { joined, viewOf } from './image.ts';
import { KIND } from './types.ts';

const HEADER_BYTES = 64;

/** Strings behind each other, each once. */
class Strings {
  readonly #parts: Uint8Array[] = [Uint8Array.of(0)];
  readonly #offsets = new Map<string, number>([['', 0]]);
  #bytes = 1;

  /** Adds a text, if it is not there; its offset. */
  add(text: string): number {
    let offset = this.#offsets.get(text);
    if (offset === undefined) {
      offset = this.addBytes(new TextEncoder().encode(text));
      this.#offsets.set(text, offset);
    }
    return offset;
  }

  addBytes(bytes: Uint8Array): number {
    const offset = this.#bytes;
    this.#parts.push(bytes, Uint8Array.of(0));
    this.#bytes += bytes.length + 1;
    return offset;
  }

  write(): Uint8Array {
    return joined(...this.#parts);
  }
}

/** A table of types. */
export class TypesBuilder {
  readonly strings = new Strings();
  readonly #words: number[] = [];
  #count = 0;

  /** Adds a type; its id. `words` are those behind name and info. */
  add(kind: number, vlen: number, name: string | number, ...words: number[]): number {
    const offset = typeof name === 'string' ? this.strings.add(name) : name;
    this.#words.push(offset, kind * 2 ** 24 + vlen);
    for (const word of words) {
      this.#words.push(word);
    }
    this.#count += 1;
    return this.#count;
  }

  /** The id that the next type gets. */
  get next(): number {
    return this.#count + 1;
  }

  int(name = 'int', bytes = 4): number {
    return this.add(KIND.INT, 0, name, bytes, bytes * 8);
  }

  /** A type with entries: a struct of members, an enum of values, a section of variables. */
  addList(
    kind: number,
    name: string,
    third: number,
    entries: readonly (readonly number[])[],
  ): number {
    this.#words.push(this.strings.add(name), kind * 2 ** 24 + entries.length, third);
    for (const entry of entries) {
      this.#words.push(...entry);
    }
    this.#count += 1;
    return this.#count;
  }

  write(): Uint8Array {
    const strings = this.strings.write();
    const typeBytes = this.#words.length * 4;
    const words = Uint32Array.from([24, 0, typeBytes, typeBytes, strings.length]);
    const start = Uint8Array.of(0x9f, 0xeb, 1, 0);
    return joined(
      start,
      new Uint8Array(words.buffer),
      new Uint8Array(Uint32Array.from(this.#words).buffer),
      strings,
    );
  }
}

/** Fields of a section header; zero where nothing is said. */
export interface SectionFields {
  readonly type?: number;
  readonly flags?: number;
  readonly link?: number;
  readonly info?: number;
  readonly entrySize?: number;
  /** Offset of the name, for names inside of others. */
  readonly name?: number;
  /** Contents of another section, by index, instead of its own. */
  readonly sameAs?: number;
}

interface Written {
  readonly name: number;
  readonly data: Uint8Array;
  readonly fields: SectionFields;
}

/** A symbol; `info` is binding and type. */
export interface SymbolFields {
  readonly info: number;
  readonly section: number;
  readonly value?: number;
  readonly size?: number;
  /** Offset of the name, for names inside of others. */
  readonly name?: number;
}

/** `info` of symbols. */
export const GLOBAL = { OBJECT: 0x11, FUNC: 0x12, NOTYPE: 0x10 } as const;

/** An object of any size. Section 1 has all names, 2 all symbols. */
export class ObjectBuilder {
  readonly names = new Strings();
  readonly types = new TypesBuilder();
  readonly #sections: Written[] = [];
  readonly #symbols: (SymbolFields & { readonly nameOffset: number })[] = [];

  /** Adds a section of contents (`SHT_PROGBITS` by default); its index. */
  section(name: string, data: Uint8Array, fields: SectionFields = {}): number {
    const offset = fields.name ?? this.names.add(name);
    this.#sections.push({ name: offset, data, fields: { type: 1, ...fields } });
    return this.#sections.length + 2;
  }

  /** Adds a section of code. */
  code(name: string, data: Uint8Array): number {
    return this.section(name, data, { flags: 6 });
  }

  /** Adds a symbol; its index. */
  symbol(name: string, fields: SymbolFields): number {
    this.#symbols.push({ ...fields, nameOffset: fields.name ?? this.names.add(name) });
    return this.#symbols.length;
  }

  /** Adds relocations of a section: offset and symbol each. */
  relocations(section: number, entries: readonly (readonly [number, number])[]): number {
    const data = new Uint8Array(entries.length * 16);
    const view = viewOf(data);
    for (const [index, [offset, symbol]] of entries.entries()) {
      view.setBigUint64(index * 16, BigInt(offset), true);
      view.setUint32(index * 16 + 8, 1, true);
      view.setUint32(index * 16 + 12, symbol, true);
    }
    return this.section('.rel', data, { type: 9, link: 2, info: section, entrySize: 16 });
  }

  /** The bytes of the object. */
  write(): Uint8Array {
    if (this.types.next > 1) {
      this.section('.BTF', this.types.write());
    }
    const strtab = {
      name: this.names.add('.strtab'),
      data: this.names.write(),
      fields: { type: 3 },
    };
    const symtab = {
      name: 0,
      data: this.#symbolTable(),
      fields: { type: 2, link: 1, entrySize: 24 },
    };
    const sections: readonly Written[] = [strtab, symtab, ...this.#sections];
    const offsets: number[] = [];
    let end = HEADER_BYTES;
    for (const { data } of sections) {
      offsets.push(end);
      end = (end + data.length + 7) & ~7;
    }
    const bytes = new Uint8Array(end + (sections.length + 1) * HEADER_BYTES);
    writeHeader(bytes, end, sections.length + 1);
    for (const [index, section] of sections.entries()) {
      bytes.set(section.data, offsets[index]!);
      const same = section.fields.sameAs === undefined ? index : section.fields.sameAs - 1;
      const place = { offset: offsets[same]!, size: sections[same]!.data.length };
      writeSectionHeader(bytes, end + (index + 1) * HEADER_BYTES, section, place);
    }
    return bytes;
  }

  #symbolTable(): Uint8Array {
    const data = new Uint8Array((this.#symbols.length + 1) * 24);
    const view = viewOf(data);
    for (const [index, { nameOffset, info, section, value, size }] of this.#symbols.entries()) {
      const at = (index + 1) * 24;
      view.setUint32(at, nameOffset, true);
      view.setUint8(at + 4, info);
      view.setUint16(at + 6, section, true);
      view.setBigUint64(at + 8, BigInt(value ?? 0), true);
      view.setBigUint64(at + 16, BigInt(size ?? 0), true);
    }
    return data;
  }
}

function writeHeader(bytes: Uint8Array, table: number, count: number): void {
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = viewOf(bytes);
  view.setUint16(16, 1, true);
  view.setUint16(18, 247, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(0x28, BigInt(table), true);
  view.setUint16(0x34, HEADER_BYTES, true);
  view.setUint16(0x3a, HEADER_BYTES, true);
  view.setUint16(0x3c, count < 0xff00 ? count : 0, true);
  view.setUint16(0x3e, 1, true);
  if (count >= 0xff00) {
    view.setBigUint64(table + 32, BigInt(count), true);
  }
}

function writeSectionHeader(
  bytes: Uint8Array,
  at: number,
  { name, fields }: Written,
  { offset, size }: { readonly offset: number; readonly size: number },
): void {
  const view = viewOf(bytes);
  view.setUint32(at, name, true);
  view.setUint32(at + 4, fields.type ?? 0, true);
  view.setBigUint64(at + 8, BigInt(fields.flags ?? 0), true);
  view.setBigUint64(at + 24, BigInt(offset), true);
  view.setBigUint64(at + 32, BigInt(size), true);
  view.setUint32(at + 40, fields.link ?? 0, true);
  view.setUint32(at + 44, fields.info ?? 0, true);
  view.setBigUint64(at + 56, BigInt(fields.entrySize ?? 0), true);
}

/** So many instructions `exit`, the ones at some places replaced. */
export function instructions(
  count: number,
  others: Readonly<Record<number, readonly number[]>> = {},
) {
  const code = new Uint8Array(count * 8);
  for (let slot = 0; slot < count; slot += 1) {
    code.set(others[slot] ?? [0x95], slot * 8);
  }
  return code;
}
