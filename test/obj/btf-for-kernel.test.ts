/**
 * Types for kernels that do not know all of them, against what libbpf gives to such kernels:
 * fixtures/expected/libbpf-older.json, recorded by fixtures/oracle/record.sh.
 */

import { describe, expect, it } from 'vitest';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import { type BtfPart, partsOf } from '../../src/obj/btf-for-kernel-older.ts';
import { fixtureJson, fixturePath } from '../support/fixtures.ts';
import { hasPart, PARTS } from '../support/older-kernel.ts';

interface Recorded {
  readonly object: string;
  readonly unknown: readonly BtfPart[];
  /** The bytes for BPF_BTF_LOAD as hexadecimal digits. */
  readonly types: string;
}

// Without functions alone, libbpf keeps the tags of functions, which no kernel takes. None is so.
const recorded = fixtureJson<Recorded[]>('expected/libbpf-older.json').filter(
  ({ unknown }) => unknown.join() !== 'functions',
);
const open = (name: string) => ObjectFile.open(fixturePath(`${name}.bpf.o`));

/** The types of an object by id. What is added behind them has other ids and names in libbpf. */
function typesOf(btf: Btf, count: number): unknown {
  const types = Array.from({ length: count }, (_, id) => btf.type(id));
  const text = JSON.stringify(types, (key, value: unknown) => {
    const isAdded = key === 'typeId' && Number(value) >= count;
    return isAdded ? 'added' : typeof value === 'bigint' ? `${value}` : value;
  });
  // Parameters without a name become values without one in libbpf, which kernels from 5.0 on refuse.
  return JSON.parse(
    text
      .replaceAll('"dummy_ksym"', '"unnamed"')
      .replaceAll('"name":"","value":', '"name":"unnamed","value":'),
  );
}

describe('types for a kernel that does not know all of them', () => {
  it.each(recorded)('are those that libbpf gives: $object without $unknown', (record) => {
    const object = open(record.object);
    const ours = Btf.parse(encodeForKernel(object, object.btf!, new Set(record.unknown)));
    const theirs = Btf.parse(new Uint8Array(Buffer.from(record.types, 'hex')));
    const { typeCount } = object.btf!;
    expect(typesOf(ours, typeCount)).toEqual(typesOf(theirs, typeCount));
  });

  it('are the whole where nothing is unknown', () => {
    const object = open('run/newer-types');
    expect(encodeForKernel(object, object.btf!, new Set())).toEqual(
      encodeForKernel(object, object.btf!),
    );
  });
});

describe('the parts that types have', () => {
  it.each([
    'run/newer-types',
    'run/struct-ops',
    'run/packets',
    'objects/demo',
    'objects/types/hash',
    'objects/data/ksyms',
  ])('of %s are found', (name) => {
    const object = open(name);
    // As the kernel gets them: functions of others are global then.
    const whole = Btf.parse(encodeForKernel(object, object.btf!));
    expect([...partsOf(object.btf!)].sort()).toEqual(
      PARTS.filter((part) => hasPart(whole, part)).sort(),
    );
  });
});
