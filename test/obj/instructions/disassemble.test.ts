/**
 * Disassembly against the kernel's: the instructions of loaded programs as Linux 6.18 lists them in the
 * verifier's log (fixtures/expected/libbpf-insns).
 */

import { describe, expect, it } from 'vitest';
import { disassemble, disassembleInstruction } from '../../../src/obj/instructions/disassemble.ts';
import { Instructions } from '../../../src/obj/instructions/instructions.ts';
import { listProgram } from '../../../src/obj/instructions/listing.ts';
import { operationOf } from '../../../src/obj/instructions/operation.ts';
import { linkProgram } from '../../../src/obj/link.ts';
import type { LinkedRelocation } from '../../../src/obj/relocations.ts';
import { openFixture } from '../../support/fixtures.ts';
import { recordedInsns } from '../../support/libbpf-insns.ts';

/** What the kernel has in the place of a name; undefined: the number from the object. */
function kernelOperand(relocation: LinkedRelocation): string | undefined {
  switch (relocation.kind) {
    case 'kfunc':
      return relocation.extern.name;
    case 'ksym':
      return relocation.extern.isWeak ? undefined : '<address>';
    case 'core':
      return undefined;
    case 'arena':
      // Where the fixture wants its arena; the verifier prints addresses of the program's memory.
      return `0x${(0x1000_0000_0000 + relocation.offset).toString(16)}`;
    default:
      return '<address>';
  }
}

function line(slot: number, opcode: number, text: string): string {
  return `${slot}: (${opcode.toString(16).padStart(2, '0')}) ${text}`;
}

const programs = [...recordedInsns].flatMap(([fixture, record]) =>
  record.programs
    .filter(({ verifier }) => verifier.length > 0)
    .map(({ name, verifier }) => ({ fixture, name, verifier })),
);

/** Opcode, registers, offset, immediate of one instruction. */
function single(opcode: number, registers: number, offset: number, imm: number): Instructions {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, opcode);
  view.setUint8(1, registers);
  view.setInt16(2, offset, true);
  view.setInt32(4, imm, true);
  return new Instructions(bytes, 'little');
}

describe('an instruction as text', () => {
  it('was recorded for every operation that a program can contain', () => {
    const seen = new Set<string>();
    for (const { fixture, name } of programs) {
      const { instructions } = linkProgram(openFixture(fixture), name);
      for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
        const { name: operation, bits, fromRegister } = operationOf(instructions, slot);
        seen.add(`${operation} ${bits} ${fromRegister ? 'register' : 'immediate'}`);
      }
    }
    expect(programs.length).toBeGreaterThan(100);
    expect([...seen].some((one) => one.startsWith('unknown'))).toBe(false);
    // 26 of arithmetic with two forms and widths, 11 jumps likewise, memory, atomics and the rest.
    expect(seen.size).toBeGreaterThan(150);
  });

  it.each(programs)('is the kernel’s: $fixture: $name', ({ fixture, name, verifier }) => {
    const linked = linkProgram(openFixture(fixture), name);
    const operands = new Map(linked.relocations.map((one) => [one.slot, kernelOperand(one)]));
    const changed = new Set(
      linked.relocations.filter(({ kind }) => kind === 'core').map(({ slot }) => slot),
    );
    const found = disassemble(linked.instructions, (slot) => operands.get(slot))
      .filter(({ slot }) => !changed.has(slot))
      .map(({ slot, opcode, text }) => line(slot, opcode, text));
    expect(found).toEqual(verifier.filter((text) => !changed.has(Number.parseInt(text, 10))));
  });

  it.each(['programs/isa', 'programs/linking', 'programs/relocations', 'programs/subprograms'])(
    'is the same in both byte orders: %s',
    (fixture) => {
      const big = openFixture(`${fixture}.eb`);
      for (const [name] of openFixture(fixture).programs) {
        const text = disassemble(linkProgram(openFixture(fixture), name).instructions);
        expect(disassemble(linkProgram(big, name).instructions)).toEqual(text);
      }
    },
  );

  it('exists for every opcode', () => {
    for (let opcode = 0; opcode < 256; opcode += 1) {
      const text = disassembleInstruction(single(opcode, 0x21, 4, 7), 0);
      const isKnown = operationOf(single(opcode, 0x21, 4, 7), 0).name !== 'unknown';
      expect(text.startsWith('BUG_'), text).toBe(!isKnown);
      expect(text).not.toMatch(/undefined|NaN/);
    }
  });

  // As of kernel/bpf/disasm.c; not in any program that this kernel or clang 19 would take.
  it.each([
    ['goto through a register', single(0x0d, 0x01, 0, 0), 'gotox r1'],
    [
      'the kernel’s address of per-CPU memory',
      single(0xbf, 0x21, -1, 0),
      'r1 = &(void __percpu *)(r2)',
    ],
    ['a helper newer than the table', single(0x85, 0, 0, 9999), 'call unknown#9999'],
    ['an atomic operation that does not exist', single(0xdb, 0x21, 0, 0x77), 'BUG_db'],
    ['a load in a mode that does not exist', single(0xa1, 0x21, 0, 0), 'BUG_ldx_a1'],
  ])('%s', (_, instructions, text) => {
    expect(disassembleInstruction(instructions, 0)).toBe(text);
  });
});

describe('a listing', () => {
  it('has names for what a running kernel has numbers for', () => {
    const listed = listProgram(linkProgram(openFixture('programs/linking'), 'second'));
    const texts = listed.map(({ text }) => text);
    expect(texts).toContain('call pc+24#locked');
    expect(texts).toContain('r2 = subprog[+46]#step');
    expect(texts).toContain('r1 = map[counters]');
    expect(texts).toContain('r1 = map[.rodata][0]+16');
    expect(texts).toContain('r4 = ksym[schedule]');
    expect(texts).toContain('call bpf_rcu_read_lock');
    expect(texts).toContain('r2 = map[.kconfig][0]+4#CONFIG_SKEP_ABSENT');
  });

  it('says where functions and lines of source start', () => {
    const listed = listProgram(linkProgram(openFixture('programs/linking'), 'second'));
    expect(listed.flatMap((one) => one.function?.name ?? [])).toEqual([
      ...['second', 'locked', 'versioned', 'step', 'visit', 'lookup'],
    ]);
    expect(listed[1]?.source?.text.trim()).toBe(
      'int sum = locked(skb->len) + versioned(skb->mark);',
    );
    expect(listed[3]?.source).toBeUndefined();
  });
});
