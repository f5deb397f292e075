/**
 * One option of the kernel in `.kconfig`: what its C type can hold, and how a value is written there.
 *
 * Rules: libbpf's `find_kcfg_type`, `set_kcfg_value_tri`, `set_kcfg_value_str` and
 * `set_kcfg_value_num`. The syntax of values is that of the kernel's `.config`
 * (Documentation/kbuild/kconfig-language.rst).
 */

import { encodeText } from '../bytes/text.ts';
import { describeValue, type Memory, ValueError } from '../codec/codec.ts';
import { ObjectError, SkepError } from '../errors.ts';
import type { Btf } from '../obj/btf/btf.ts';
import { resolveType } from '../obj/btf/layout.ts';
import type { DataVariable } from '../obj/data.ts';

/** A value that a caller gives an option: see `kconfigContents`. */
export type OptionValue = string | number | bigint | boolean;

/** An option as an object declares it. */
export interface Option {
  readonly name: string;
  /** What it can hold; `char` is any integer of one byte. */
  readonly kind: 'bool' | 'tristate' | 'char' | 'int' | 'text';
  readonly signed: boolean;
  /** C's spelling of its type. */
  readonly type: string;
  /** Place in `.kconfig`, in bytes. */
  readonly offset: number;
  /** In bytes; for text, with the NUL at its end. */
  readonly size: number;
}

/** `enum libbpf_tristate`, and the only letters that `.config` has as values. */
const LETTERS = ['n', 'y', 'm'];

/**
 * Reads what an option can hold from its C type.
 *
 * @throws ObjectError `ERR_SKEP_DATA` for a type that no option has
 */
export function describeOption(btf: Btf, variable: DataVariable): Option {
  const { name, offset, size, typeId } = variable;
  const type = resolveType(btf, typeId);
  const base = { name, offset, size, type: variable.type ?? '', signed: false };
  if (type.kind === 'array') {
    if (type.length > 0) return { ...base, kind: 'text' };
  } else if (type.kind === 'int' && type.encoding === 'bool') {
    if (size === 1) return { ...base, kind: 'bool' };
  } else if (type.kind === 'int') {
    return { ...base, kind: size === 1 ? 'char' : 'int', signed: type.encoding === 'signed' };
  } else if (type.name === 'libbpf_tristate') {
    return { ...base, kind: 'tristate' };
  }
  throw new ObjectError(
    'ERR_SKEP_DATA',
    `the type \`${base.type}\` of the kernel option "${name}" is none of bool, char, an integer, enum libbpf_tristate, char[]`,
    { section: '.kconfig', offset },
  );
}

/**
 * Writes a value as it stands in the kernel's configuration.
 *
 * @param text what follows `=`
 * @throws SkepError `ERR_SKEP_LOAD` if the option's type cannot hold it
 */
export function writeConfigured(memory: Memory, option: Option, text: string): void {
  const fail = (remedy: string) =>
    new SkepError(
      'ERR_SKEP_LOAD',
      `the kernel has ${option.name}=${text}, which the object's \`${option.type}\` cannot hold; ${remedy}`,
    );
  if (LETTERS.includes(text)) {
    if (!writeLetter(memory, option, text)) {
      const types = text === 'm' ? '' : 'bool, ';
      throw fail(`declare it ${types}enum libbpf_tristate or char`);
    }
  } else if (text.startsWith('"')) {
    if (option.kind !== 'text' || text.length < 2 || !text.endsWith('"')) {
      throw fail('declare it as an array of char');
    }
    // Cut off if it is longer, as libbpf does: what programs compare is mostly a prefix.
    writeText(memory, option, encodeText(text.slice(1, -1)).subarray(0, option.size - 1));
  } else {
    const value = option.kind === 'int' || option.kind === 'char' ? parseNumber(text) : null;
    if (value === null || !inRange(option, value)) {
      throw fail('declare it as an integer of another size or sign');
    }
    writeNumber(memory, option, value);
  }
}

/**
 * Writes a number that is no configuration but known otherwise, such as the kernel's version.
 *
 * @throws SkepError `ERR_SKEP_LOAD` if the option's type cannot hold it
 */
export function writeKnown(memory: Memory, option: Option, value: bigint): void {
  const isNumber = option.kind === 'int' || option.kind === 'char' || option.kind === 'bool';
  if (!isNumber || !inRange(option, value)) {
    throw new SkepError(
      'ERR_SKEP_LOAD',
      `${option.name} is ${value}, which the object's \`${option.type}\` cannot hold`,
    );
  }
  writeNumber(memory, option, value);
}

/**
 * Writes a value that a caller gave. Stricter than with the kernel's: nothing is cut off, and text is
 * the text itself, without quotes.
 *
 * @throws ValueError for one that the option's type cannot hold
 */
export function writeGiven(memory: Memory, option: Option, given: OptionValue): void {
  const { kind, size } = option;
  if (kind === 'text') {
    const bytes = typeof given === 'string' ? encodeText(given, 'escape') : undefined;
    if (bytes === undefined || bytes.length >= size || bytes.includes(0)) {
      throw wrong(option, `text of ${size - 1} bytes at most`, given);
    }
    writeText(memory, option, bytes);
    return;
  }
  const letter = typeof given === 'boolean' ? (given ? 'y' : 'n') : given;
  if (typeof letter === 'string' && LETTERS.includes(letter)) {
    if (!writeLetter(memory, option, letter)) {
      throw wrong(option, wantedNumber(option), given);
    }
    return;
  }
  const value = givenNumber(option, letter);
  if (kind === 'tristate') {
    throw wrong(option, 'a boolean, "y", "m" or "n"', given);
  }
  if (value === null || !inGivenRange(option, value)) {
    throw wrong(option, wantedNumber(option), given);
  }
  writeNumber(memory, option, value);
}

function givenNumber(option: Option, given: string | number | bigint): bigint | null {
  if (typeof given === 'string') {
    // A character stands for itself; `.config` has no numbers for options of type char.
    return option.kind === 'char' && given.length === 1
      ? BigInt(given.charCodeAt(0))
      : option.kind === 'int'
        ? parseSigned(given)
        : null;
  }
  return typeof given === 'bigint' ? given : Number.isSafeInteger(given) ? BigInt(given) : null;
}

/** Whether a number is one of the type's own; {@link inRange} takes what has been through 64 bits. */
function inGivenRange(option: Option, value: bigint): boolean {
  const bits = option.kind === 'bool' ? 1 : option.size * 8;
  const wrapped = option.signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  return wrapped === value;
}

function wantedNumber({ kind, size, signed }: Option): string {
  switch (kind) {
    case 'bool':
      return 'a boolean, "y" or "n"';
    case 'char':
      return `one character, or an integer of 8 bits${signed ? '' : ' without sign'}`;
    default:
      return `an integer of ${size * 8} bits${signed ? '' : ' without sign'}`;
  }
}

function wrong(option: Option, wanted: string, given: unknown): ValueError {
  return new ValueError(`expected ${wanted}, got ${describeValue(given)}`, [option.name]);
}

/** `y`, `m`, `n`; false if the type has none. */
function writeLetter(memory: Memory, option: Option, letter: string): boolean {
  switch (option.kind) {
    case 'bool':
      if (letter === 'm') return false;
      writeNumber(memory, option, letter === 'y' ? 1n : 0n);
      return true;
    case 'tristate':
      writeNumber(memory, option, BigInt(LETTERS.indexOf(letter)));
      return true;
    case 'char':
      writeNumber(memory, option, BigInt(letter.charCodeAt(0)));
      return true;
    default:
      return false;
  }
}

function writeText(memory: Memory, option: Option, bytes: Uint8Array): void {
  memory.bytes.fill(0, option.offset, option.offset + option.size);
  memory.bytes.set(bytes, option.offset);
}

function writeNumber(memory: Memory, { offset, size }: Option, value: bigint): void {
  const { view, littleEndian } = memory;
  switch (size) {
    case 1:
      view.setUint8(offset, Number(BigInt.asUintN(8, value)));
      break;
    case 2:
      view.setUint16(offset, Number(BigInt.asUintN(16, value)), littleEndian);
      break;
    case 4:
      view.setUint32(offset, Number(BigInt.asUintN(32, value)), littleEndian);
      break;
    default:
      view.setBigUint64(offset, BigInt.asUintN(64, value), littleEndian);
  }
}

/** `is_kcfg_value_in_range`: a 64-bit number, whose sign is a matter of who looks at it. */
function inRange({ kind, size, signed }: Option, value: bigint): boolean {
  if (kind === 'bool') return value <= 1n;
  if (size === 8) return true;
  const bits = BigInt(size * 8);
  const half = 1n << (bits - 1n);
  return signed ? BigInt.asUintN(64, value + half) >> bits === 0n : value >> bits === 0n;
}

/** strtoull(3) with base 0: 64 bits, a minus in front negates them; null for what is no number. */
function parseNumber(text: string): bigint | null {
  const value = parseSigned(text);
  return value === null ? null : BigInt.asUintN(64, value);
}

/** A number in C's words: decimal, 0x..., or octal with a 0 in front. */
function parseSigned(text: string): bigint | null {
  const match = /^([-+]?)(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)$/i.exec(text);
  if (match === null) return null;
  const [, sign, digits] = match;
  const value = BigInt(/^0[0-7]/.test(digits!) ? `0o${digits}` : digits!);
  return value >> 64n !== 0n ? null : sign === '-' ? -value : value;
}
