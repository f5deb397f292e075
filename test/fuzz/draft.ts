/** An input while it is edited: a real object in parts, or plain bytes. */

import { filesBelow, fixtureBytes } from '../support/fixtures.ts';
import { Image, type ImageSection, textAt, viewOf } from './image.ts';
import { isBtf, Types } from './types.ts';

/** A name by position, as text of bytes. */
export const NAMES: readonly Uint8Array[] = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  'length',
  'values',
  'type',
  '.maps',
  '.BTF',
  '\u001b[31m',
  '"><b>%%{#`',
  '\u202e\u0000x',
  'ünï___cödé',
  'a___b___c',
  'CONFIG_X',
  'y'.repeat(300),
  'z'.repeat(10_000),
]
  .map((text) => new TextEncoder().encode(text))
  .concat([Uint8Array.of(0xff, 0xfe, 0x80), Uint8Array.of(0xc3)]);

/** Numbers that break arithmetic and bounds more often than others. */
const WORDS = [
  ...[0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 64, 0x7f, 0xff, 0x100, 0xff00, 0xffff, 0x1_0000],
  ...[0xff_ffff, 0x100_0000, 0x7fff_fff8, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff],
];

/** A number from 32 bits of a recipe: one that hurts, one near `around`, one below it, or any. */
export function valueFrom(bits: number, around: number): number {
  const rest = bits >>> 2;
  switch (bits & 3) {
    case 0:
      return WORDS[rest % WORDS.length]!;
    case 1:
      return Math.max(0, around + (rest % 5) - 2);
    case 2:
      return rest % (around + 1);
    default:
      return rest;
  }
}

/** Like {@link valueFrom}, for fields of 64 bits. */
export function longFrom(bits: number, around: number): bigint {
  if ((bits & 0x1f) === 0x10) {
    return [1n << 53n, 1n << 63n, (1n << 64n) - 8n, 1n << 32n][(bits >>> 5) & 3]!;
  }
  return BigInt(valueFrom(bits, around));
}

const read = new Map<string, Uint8Array>();

/** The bytes of a fixture, which nobody must change. */
export function baseBytes(name: string): Uint8Array {
  let bytes = read.get(name);
  if (bytes === undefined) {
    // No Buffer: slice() of one gives a view.
    bytes = new Uint8Array(fixtureBytes(name));
    read.set(name, bytes);
  }
  return bytes;
}

/** The paths of real objects below a folder of fixtures, those that are not too large. */
export function objectsBelow(folder: string, end: string, mostBytes = 32_768): string[] {
  return filesBelow(folder, end)
    .map((name) => `${folder}/${name}${end}`)
    .filter((name) => baseBytes(name).length <= mostBytes);
}

/** An object, or types alone, in parts; an object's types are taken apart when an edit asks for them. */
export class Draft {
  /** Without sections for types that stand alone. */
  readonly image: Image;
  #types: Types | undefined;
  #btf: ImageSection | undefined;
  readonly #isAlone: boolean;

  constructor(bytes: Uint8Array) {
    this.image = new Image(bytes);
    this.#isAlone = isBtf(bytes);
    if (this.#isAlone) {
      this.#types = new Types(bytes);
    }
  }

  /** The object's types; undefined if it has none. */
  get types(): Types | undefined {
    this.#btf ??= this.image.named('.BTF');
    if (this.#btf !== undefined && this.#btf.data.length >= 24) {
      this.#types ??= new Types(this.#btf.data);
    }
    return this.#types;
  }

  /** The file. */
  write(): Uint8Array {
    if (this.#isAlone) {
      return this.#types!.write();
    }
    if (this.#types !== undefined && this.#btf !== undefined) {
      this.#btf.data = this.#types.write();
    }
    return this.image.write();
  }

  /** Gives another name to all that has this one: symbols, types, members. */
  rename(from: string, to: Uint8Array): void {
    const { image, types } = this;
    const names = image.symbolNames;
    const [symbols] = image.ofType(2);
    if (names !== undefined && symbols !== undefined) {
      const offset = names.data.length;
      names.data = Uint8Array.from([...names.data, ...to, 0]);
      const view = viewOf(symbols.data);
      for (let at = 0; at + 24 <= symbols.data.length; at += 24) {
        if (textAt(names.data, view.getUint32(at, image.littleEndian)) === from) {
          view.setUint32(at, offset, image.littleEndian);
        }
      }
    }
    if (types !== undefined) {
      const offset = types.addString(to);
      for (const type of types.types) {
        for (const at of types.nameWords(type)) {
          if (type[at] !== 0 && textAt(types.strings, type[at]!) === from) {
            type[at] = offset;
          }
        }
      }
    }
  }
}
