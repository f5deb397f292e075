/**
 * An ELF file taken apart, so that its parts can be changed and grow, and put together again. It shares
 * no code with skep and checks nothing: it reads objects that are right and writes ones that are not.
 *
 * Format: System V gABI; `elf.h`.
 */

/** The fields of a section header, in the order of the file; 32 or 64 bits each. */
export const SECTION_FIELDS = [
  ['name', 0, 4],
  ['type', 4, 4],
  ['flags', 8, 8],
  ['addr', 16, 8],
  ['offset', 24, 8],
  ['size', 32, 8],
  ['link', 40, 4],
  ['info', 44, 4],
  ['alignment', 48, 8],
  ['entrySize', 56, 8],
] as const;

const HEADER_BYTES = 64;
export const SYMBOL_BYTES = 24;
export const REL_BYTES = 16;
const NOBITS = 8;

/** A section: its header as it will be written, and what it holds. */
export interface ImageSection {
  /** The 64 bytes of its header; offset and size are filled in when the file is written. */
  readonly header: Uint8Array;
  data: Uint8Array;
  /** What the header is to claim instead of where the data are. */
  claimedOffset?: bigint;
  /** What the header is to claim instead of how many there are. */
  claimedSize?: bigint;
}

/** A file in parts. */
export class Image {
  readonly littleEndian: boolean;
  readonly header: Uint8Array;
  readonly sections: ImageSection[];

  /** Takes a well-formed file apart; its bytes are copied. Of bytes that are no ELF nothing is taken. */
  constructor(bytes: Uint8Array) {
    this.littleEndian = bytes[5] !== 2;
    this.header = bytes.slice(0, HEADER_BYTES);
    this.sections = [];
    if (!isElf(bytes)) {
      return;
    }
    const view = viewOf(bytes);
    const table = Number(view.getBigUint64(0x28, this.littleEndian));
    const count = view.getUint16(0x3c, this.littleEndian);
    for (let index = 0; index < count; index += 1) {
      const header = bytes.slice(table + index * HEADER_BYTES, table + (index + 1) * HEADER_BYTES);
      const fields = viewOf(header);
      const isEmpty = fields.getUint32(4, this.littleEndian) === NOBITS;
      const offset = Number(fields.getBigUint64(24, this.littleEndian));
      const size = Number(fields.getBigUint64(32, this.littleEndian));
      const section: ImageSection = {
        header,
        data: isEmpty ? new Uint8Array(0) : bytes.slice(offset, offset + size),
      };
      if (isEmpty) {
        section.claimedSize = BigInt(size);
      }
      this.sections.push(section);
    }
  }

  /** A field of a section's header. */
  field(section: ImageSection, name: (typeof SECTION_FIELDS)[number][0]): number {
    const [, at, bytes] = SECTION_FIELDS.find(([each]) => each === name)!;
    const view = viewOf(section.header);
    return bytes === 4
      ? view.getUint32(at, this.littleEndian)
      : Number(view.getBigUint64(at, this.littleEndian));
  }

  setField(section: ImageSection, index: number, value: bigint): void {
    const [name, at, bytes] = SECTION_FIELDS[index % SECTION_FIELDS.length]!;
    if (name === 'offset') {
      section.claimedOffset = value;
    } else if (name === 'size') {
      section.claimedSize = value;
    }
    this.put(section.header, at, bytes, value);
  }

  /** Sections of a type (`SHT_*`). */
  ofType(...types: readonly number[]): ImageSection[] {
    return this.sections.filter((section) => types.includes(this.field(section, 'type')));
  }

  /** The section of a name; undefined if there is none. */
  named(name: string): ImageSection | undefined {
    return this.sections.find((section) => this.nameOf(section) === name);
  }

  nameOf(section: ImageSection): string {
    const names = this.sections[viewOf(this.header).getUint16(0x3e, this.littleEndian)];
    return names === undefined ? '' : textAt(names.data, this.field(section, 'name'));
  }

  /** The table that has the names of symbols. */
  get symbolNames(): ImageSection | undefined {
    const [symbols] = this.ofType(2);
    return symbols === undefined ? undefined : this.sections[this.field(symbols, 'link')];
  }

  /** The table that has the names of sections. */
  get sectionNames(): ImageSection | undefined {
    return this.sections[viewOf(this.header).getUint16(0x3e, this.littleEndian)];
  }

  /** Writes a number into bytes, in the byte order of the file, if there is room for it. */
  put(bytes: Uint8Array, at: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (at + size > bytes.length) {
      return;
    }
    const view = viewOf(bytes);
    switch (size) {
      case 1:
        view.setUint8(at, Number(BigInt.asUintN(8, value)));
        break;
      case 2:
        view.setUint16(at, Number(BigInt.asUintN(16, value)), this.littleEndian);
        break;
      case 4:
        view.setUint32(at, Number(BigInt.asUintN(32, value)), this.littleEndian);
        break;
      case 8:
        view.setBigUint64(at, BigInt.asUintN(64, value), this.littleEndian);
    }
  }

  /** Puts the file together. */
  write(): Uint8Array {
    let end = HEADER_BYTES;
    const offsets = this.sections.map(({ data }) => {
      const offset = end;
      end = (end + data.length + 7) & ~7;
      return offset;
    });
    const table = end;
    const bytes = new Uint8Array(table + this.sections.length * HEADER_BYTES);
    bytes.set(this.header);
    this.put(bytes, 0x28, 8, BigInt(table));
    this.put(bytes, 0x3c, 2, BigInt(this.sections.length));
    for (const [index, section] of this.sections.entries()) {
      const offset = offsets[index]!;
      const at = table + index * HEADER_BYTES;
      bytes.set(section.data, offset);
      bytes.set(section.header, at);
      this.put(bytes, at + 24, 8, section.claimedOffset ?? BigInt(offset));
      this.put(bytes, at + 32, 8, section.claimedSize ?? BigInt(section.data.length));
    }
    return bytes;
  }
}

/** Whether bytes start as those of an ELF file do. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && bytes[0] === 0x7f && bytes[1] === 0x45;
}

/** A view of all bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The text at an offset of a table of strings, a character for each byte. */
export function textAt(table: Uint8Array, offset: number): string {
  let text = '';
  for (let at = offset; at < table.length && table[at] !== 0; at += 1) {
    text += String.fromCharCode(table[at]!);
  }
  return text;
}

/** Bytes behind bytes. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
