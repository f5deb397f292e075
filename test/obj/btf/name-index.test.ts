/** Names of a table to ids, for tables as large as a kernel's: what is found, and what it takes. */

import { describe, expect, it } from 'vitest';
import type { Btf } from '../../../src/obj/btf/btf.ts';
import { BtfBuilder } from '../core/build-btf.ts';

const NAMES = 60_000;
/** Names that several types have. */
const SHARED = 500;

/** Typedefs with names of their own and types without any between them; then some that share theirs. */
function largeTable(): Btf {
  const builder = new BtfBuilder();
  const int = builder.int('int', 4);
  for (let index = 0; index < NAMES; index += 1) {
    builder.typedef(`name_${index}`, int);
    builder.pointer(int);
  }
  for (let index = 0; index < SHARED; index += 1) {
    builder.enum('shared', ['only']);
    builder.typedef('shared', int);
  }
  return builder.build();
}

/** The bytes of typed arrays that a call leaves behind. */
function arrayBytes<T>(call: () => T): { readonly result: T; readonly bytes: number } {
  const before = process.memoryUsage().arrayBuffers;
  const result = call();
  return { result, bytes: process.memoryUsage().arrayBuffers - before };
}

describe('a table with tens of thousands of names', () => {
  const btf = largeTable();

  it('holds four bytes for each type, and six more for each name once one was looked up', () => {
    const types = btf.typeCount;
    expect(btf.starts.byteLength).toBe(types * 4);
    const { result, bytes } = arrayBytes(() => btf.find('name_7', 'typedef'));
    expect(btf.nameOf(result)).toBe('name_7');
    expect(bytes).toBeGreaterThan(NAMES * 4);
    expect(bytes).toBeLessThan((NAMES + 2 * SHARED) * 6);
  });

  it('finds every name, and none that is not there', () => {
    for (let index = 0; index < NAMES; index += 1) {
      expect(btf.nameOf(btf.find(`name_${index}`))).toBe(`name_${index}`);
    }
    expect(btf.find(`name_${NAMES}`)).toBe(0);
    expect(btf.find('name_7', 'struct')).toBe(0);
    expect(btf.find('')).toBe(0);
  });

  it('finds the first of a kind where many have the name', () => {
    const first = btf.find('shared');
    expect(btf.kindOf(first)).toBe(6);
    expect(btf.find('shared', 'enum')).toBe(first);
    expect(btf.find('shared', 'typedef')).toBe(first + 1);
  });
});

describe('names that are longer than 256 bytes', () => {
  const builder = new BtfBuilder();
  const int = builder.int('int', 4);
  const long = 'n'.repeat(257);
  for (const name of [long, 'n'.repeat(256), `${long}n`, long, `x${long}`]) {
    builder.typedef(name, int);
    builder.enum(name, ['only']);
  }
  const btf = builder.build();

  it('are found by all their bytes, the first of each kind', () => {
    expect(btf.find(long)).toBe(int + 1);
    expect(btf.find(long, 'enum')).toBe(int + 2);
    expect(btf.find('n'.repeat(256), 'typedef')).toBe(int + 3);
    expect(btf.find(`${long}n`, 'enum')).toBe(int + 6);
    expect(btf.find(`x${long}`)).toBe(int + 9);
  });

  it('are not found if there are none', () => {
    expect(btf.find(`${long}nn`)).toBe(0);
    expect(btf.find(`y${long}`)).toBe(0);
    expect(btf.find(long, 'struct')).toBe(0);
  });
});
