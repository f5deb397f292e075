/** Types that are loaded: what both kernels refuse, and with which number. */

import { expect, it } from 'vitest';
import { hasCode } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { describeKernels } from '../support/kernels.ts';

const INT = 1 << 24;
const PTR = 2 << 24;
const ARRAY = 3 << 24;
const STRUCT = 4 << 24;
const UNION = 5 << 24;
const ENUM = 6 << 24;
const FWD = 7 << 24;
const TYPEDEF = 8 << 24;
const CONST = 10 << 24;
const FUNC = 12 << 24;
const PROTO = 13 << 24;
const VAR = 14 << 24;
const SECTION = 15 << 24;
const FLOAT = 16 << 24;
const TAG = 17 << 24;
const FLAG = 0x8000_0000;
const WHOLE = 0xffff_ffff;

/** `KSYM_NAME_LEN`. */
const LONGEST_NAME = 512;
const STRINGS = `\0a\0b\0in-t\0${'9'.padStart(LONGEST_NAME + 1, 'n')}\0`;
/** Offsets of names: `a`, `b`, `in-t`, one that is too long, one that is not, a digit. */
const [A, B, BAD, TOO_LONG] = [1, 3, 5, 10];
const [LONG, DIGIT] = [TOO_LONG + 1, TOO_LONG + LONGEST_NAME];
const int = [A, INT, 4, 32];
const short = [A, INT, 2, 16];
const proto = [0, PROTO, 0];
const EINVAL = 'EINVAL';

/** What a type looks like; of those before it, the first has the id 1. */
const TYPES: [string, string, ...(readonly number[])[]][] = [
  ['nothing', EINVAL],
  ['an integer', 'ok', int],
  ['one with a name that is none', 'ok', [BAD, INT, 4, 32]],
  ['an integer with more bits than bytes', EINVAL, [A, INT, 4, 33]],
  ['an integer with entries', EINVAL, [A, INT | 1, 4, 32]],
  ['an integer with a flag', EINVAL, [A, (INT | FLAG) >>> 0, 4, 32]],
  ['an integer of no encoding', 'ENOTSUPP', [A, INT, 4, 0x0f00_0020]],
  ['an integer of bits that mean nothing', EINVAL, [A, INT, 4, 0x1000_0020]],
  ['an integer with a long name', 'ok', [TOO_LONG, INT, 4, 32]],
  ['a pointer to itself', 'EEXIST', [0, PTR, 1]],
  ['a pointer to nothing', 'ok', [0, PTR, 0]],
  ['a pointer with a name', EINVAL, int, [A, PTR, 1]],
  ['a pointer to a function', 'ok', proto, [A, FUNC, 1], [0, PTR, 2]],
  ['a pointer to a function that follows', EINVAL, proto, [0, PTR, 3], [A, FUNC, 1]],
  ['a name for itself', 'EEXIST', [A, TYPEDEF, 1]],
  ['two names for each other', 'EEXIST', [A, TYPEDEF, 2], [B, TYPEDEF, 1]],
  ['a name without a name', EINVAL, int, [0, TYPEDEF, 1]],
  ['a name of 512 bytes', 'ok', int, [LONG, TYPEDEF, 1]],
  ['a name of 513 bytes', EINVAL, int, [TOO_LONG, TYPEDEF, 1]],
  ['a name that begins with a digit', EINVAL, int, [DIGIT, TYPEDEF, 1]],
  ['a constant with a name', EINVAL, int, [A, CONST, 1]],
  ['a constant nothing', 'ok', [0, CONST, 0]],
  ['a struct', 'ok', int, [A, STRUCT | 2, 8, A, 1, 0, B, 1, 32]],
  ['a struct with a member of 513 bytes', EINVAL, int, [A, STRUCT | 1, 4, TOO_LONG, 1, 0]],
  ['a struct that ends too early', EINVAL, int, [A, STRUCT | 1, 2, A, 1, 0]],
  ['a struct with members behind it', EINVAL, int, [A, STRUCT | 1, 4, A, 1, 64]],
  ['a struct with members out of order', EINVAL, int, [A, STRUCT | 2, 8, A, 1, 32, B, 1, 0]],
  ['a struct with a member of nothing', EINVAL, [A, STRUCT | 1, 4, A, 0, 0]],
  ['a struct that contains itself', 'EEXIST', [A, STRUCT | 1, 4, A, 1, 0]],
  [
    'a struct that contains itself by a name',
    'EEXIST',
    [A, STRUCT | 1, 4, A, 2, 0],
    [A, TYPEDEF, 1],
  ],
  ['a struct that points to itself', 'ok', [A, STRUCT | 1, 8, A, 2, 0], [0, PTR, 1]],
  [
    'a struct of bits',
    'ok',
    int,
    [A, (STRUCT | FLAG | 2) >>> 0, 4, A, 1, 3 << 24, B, 1, (29 << 24) | 3],
  ],
  ['a struct of too many bits', EINVAL, int, [A, (STRUCT | FLAG | 1) >>> 0, 8, A, 1, 33 << 24]],
  [
    'a struct of bits of a pointer',
    EINVAL,
    [0, PTR, 0],
    [A, (STRUCT | FLAG | 1) >>> 0, 8, A, 1, 3 << 24],
  ],
  ['a struct with half a byte before a pointer', EINVAL, [0, PTR, 0], [A, STRUCT | 1, 16, A, 1, 4]],
  ['a union', 'ok', int, [A, UNION | 2, 4, A, 1, 0, B, 1, 0]],
  ['a union with an offset', EINVAL, int, [A, UNION | 1, 8, A, 1, 32]],
  ['a declaration', 'ok', [A, FWD, 0]],
  ['a declaration without a name', EINVAL, [0, FWD, 0]],
  ['a struct of a declared struct', EINVAL, [A, FWD, 0], [A, STRUCT | 1, 4, A, 1, 0]],
  ['an enum', 'ok', [A, ENUM | 1, 4, B, 7]],
  ['an enum of 3 bytes', EINVAL, [A, ENUM | 1, 3, B, 7]],
  ['an enum without names', EINVAL, [A, ENUM | 1, 4, 0, 7]],
  ['an array', 'ok', int, [0, ARRAY, 0, 1, 1, 4]],
  ['an array of nothing', EINVAL, int, [0, ARRAY, 0, 0, 1, 4]],
  ['an array by pointers', EINVAL, int, [0, PTR, 1], [0, ARRAY, 0, 1, 2, 4]],
  ['an array of itself', 'EEXIST', int, [0, ARRAY, 0, 2, 1, 4]],
  ['an array with a size of its own', EINVAL, int, [0, ARRAY, 4, 1, 1, 4]],
  ['a float', 'ok', [A, FLOAT, 8]],
  ['a float of 3 bytes', EINVAL, [A, FLOAT, 3]],
  ['a function', 'ok', proto, [A, FUNC, 1]],
  ['a function that is declared', EINVAL, proto, [A, FUNC | 2, 1]],
  ['a function without a name', EINVAL, proto, [0, FUNC, 1]],
  [
    'a function with an argument without a name',
    EINVAL,
    int,
    [0, PROTO | 1, 0, 0, 1],
    [A, FUNC, 2],
  ],
  ['a prototype with more arguments', 'ok', int, [0, PROTO | 2, 1, A, 1, 0, 0]],
  ['a prototype with nothing between arguments', EINVAL, int, [0, PROTO | 2, 1, 0, 0, A, 1]],
  ['a prototype that returns itself', EINVAL, [0, PROTO, 1]],
  [
    'a prototype that takes one that takes itself',
    EINVAL,
    int,
    [0, PROTO | 1, 0, A, 3],
    [0, PROTO | 1, 0, A, 3],
  ],
  ['a prototype that takes a struct without a name', 'ok', [0, STRUCT, 4], [0, PROTO | 1, 0, 0, 1]],
  ['a prototype that takes itself', EINVAL, [0, PROTO | 1, 0, A, 1]],
  ['a variable', 'ok', int, [A, VAR, 1, 1]],
  ['a variable of a linkage that there is not', EINVAL, int, [A, VAR, 1, 5]],
  ['a variable that is declared', EINVAL, int, [A, VAR, 1, 2]],
  ['a variable of a variable', EINVAL, int, [A, VAR, 1, 1], [B, VAR, 2, 1]],
  ['a section', 'ok', int, [A, VAR, 1, 1], [B, SECTION | 1, 4, 2, 0, 4]],
  ['a section of 512 bytes', 'ok', int, [A, VAR, 1, 1], [LONG, SECTION | 1, 4, 2, 0, 4]],
  ['a section of 513 bytes', EINVAL, int, [A, VAR, 1, 1], [TOO_LONG, SECTION | 1, 4, 2, 0, 4]],
  ['a section of no bytes', EINVAL, [B, SECTION, 0]],
  ['a section with variables behind it', EINVAL, int, [A, VAR, 1, 1], [B, SECTION | 1, 4, 2, 4, 4]],
  ['a section with little room', EINVAL, int, [A, VAR, 1, 1], [B, SECTION | 1, 4, 2, 0, 2]],
  ['a section of types', EINVAL, int, [B, SECTION | 1, 4, 1, 0, 4]],
  ['a tag on a struct', 'ok', [A, STRUCT, 0], [B, TAG, 1, WHOLE]],
  ['a tag on an integer', EINVAL, int, [B, TAG, 1, WHOLE]],
  ['a tag on a member that there is not', EINVAL, [A, STRUCT, 0], [B, TAG, 1, 0]],
  ['integers of 2 bytes in a struct of 3', EINVAL, short, [A, STRUCT | 2, 3, A, 1, 0, B, 1, 16]],
  [
    'a long chain of constants',
    'E2BIG',
    ...Array.from({ length: 40 }, (_, index) => [0, CONST, index === 39 ? 0 : index + 2]),
  ],
];

function encode(kernel: Kernel, types: readonly (readonly number[])[]): Uint8Array {
  const words = types.flat();
  const bytes = new Uint8Array(24 + words.length * 4 + STRINGS.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, kernel.littleEndian);
  view.setUint8(2, 1);
  const header = [24, 0, words.length * 4, words.length * 4, STRINGS.length];
  for (const [index, word] of [...header, ...words].entries()) {
    view.setUint32(4 + index * 4, word, kernel.littleEndian);
  }
  bytes.set(new TextEncoder().encode(STRINGS), 24 + words.length * 4);
  return bytes;
}

function outcomeOf(kernel: Kernel, types: readonly (readonly number[])[]): string {
  try {
    kernel.close(kernel.loadBtf(encode(kernel, types)));
  } catch (error) {
    expect(hasCode(error, 'ERR_SKEP_SYSCALL'), String(error)).toBe(true);
    return (error as { errnoName: string }).errnoName;
  }
  return 'ok';
}

describeKernels('types that are loaded', (place) => {
  it.each(TYPES)('are checked: %s (%s)', (_, wanted, ...types) => {
    expect(outcomeOf(place.kernel, types)).toBe(wanted);
  });

  it('may be sections with any characters that can be printed', (context) => {
    place.needsLinux(context, '6.12', 'names of sections that are no identifiers');
    const variable = [A, VAR, 1, 1];
    const section = [BAD, SECTION | 1, 4, 2, 0, 4];
    expect(outcomeOf(place.kernel, [int, variable, section])).toBe('ok');
  });
});
