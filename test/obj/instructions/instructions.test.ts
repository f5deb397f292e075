/** Reading and writing instructions: against clang's, and back and forth. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Instruction,
  Instructions,
  LOAD_IMM64,
} from '../../../src/obj/instructions/instructions.ts';
import { operationOf } from '../../../src/obj/instructions/operation.ts';
import { linkProgram } from '../../../src/obj/link.ts';
import { fixtureNames, openFixture } from '../../support/fixtures.ts';

const instruction: fc.Arbitrary<Instruction> = fc
  .record({
    opcode: fc.nat(255),
    dst: fc.nat(15),
    src: fc.nat(15),
    offset: fc.integer({ min: -0x8000, max: 0x7fff }),
    narrow: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
    wide: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  })
  .map(({ narrow, wide, ...rest }) => ({
    ...rest,
    imm: rest.opcode === LOAD_IMM64 ? wide : narrow,
  }));

describe('instructions', () => {
  it.each(['little', 'big'] as const)('come back as they were written, %s endian', (byteOrder) => {
    fc.assert(
      fc.property(fc.array(instruction), (list) => {
        expect([...Instructions.encode(list, byteOrder)]).toEqual(list);
      }),
    );
  });

  it('of compiled programs are the same bytes when they are written again', () => {
    for (const name of fixtureNames()) {
      const object = openFixture(name);
      for (const program of object.programs.keys()) {
        const { instructions } = linkProgram(object, program);
        const again = Instructions.encode(instructions, object.byteOrder);
        expect(Buffer.from(again.bytes).equals(instructions.bytes), `${name}: ${program}`).toBe(
          true,
        );
      }
    }
  });

  it('have their registers in opposite halves of a byte in the two byte orders', () => {
    const move: Instruction = { opcode: 0xbf, dst: 1, src: 6, offset: -2, imm: 0x01020304 };
    const hex = (byteOrder: 'little' | 'big') =>
      Buffer.from(Instructions.encode([move], byteOrder).bytes).toString('hex');
    expect(hex('little')).toBe('bf61feff04030201');
    expect(hex('big')).toBe('bf16fffe01020304');
  });

  it('show what is written through them, and write nothing else', () => {
    const bytes = new Uint8Array(24);
    const view = new Instructions(bytes.subarray(8, 24), 'little');
    view.setOpcode(0, LOAD_IMM64);
    view.setRegisters(0, 3, 1);
    view.setSrc(0, 2);
    view.setOffset(0, -1);
    view.setImm64(0, -2n);
    expect(view.at(0)).toEqual({ opcode: LOAD_IMM64, dst: 3, src: 2, offset: -1, imm: -2n });
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '0000000000000000' + '1823fffffeffffff' + '00000000ffffffff',
    );
  });

  it('that are cut off after the first half of a 64-bit load are read as far as they go', () => {
    const cut = new Instructions(Uint8Array.of(0x18, 1, 0, 0, 9, 0, 0, 0), 'little');
    expect([...cut]).toEqual([{ opcode: LOAD_IMM64, dst: 1, src: 0, offset: 0, imm: 9 }]);
  });

  it('are whole', () => {
    expect(() => new Instructions(new Uint8Array(12), 'little')).toThrow(
      new RangeError('12 bytes are no whole instructions of 8'),
    );
  });
});

describe('the operation of an instruction', () => {
  function operations(program: string): string[] {
    const { instructions } = linkProgram(openFixture('programs/isa'), program);
    const found: string[] = [];
    for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
      const { name, bits } = operationOf(instructions, slot);
      found.push(`${name}${bits}`);
    }
    return found;
  }

  // The order is that of fixtures/src/programs/isa.bpf.c.
  it('tells signed arithmetic, sign extension and byte swaps apart', () => {
    expect(operations('arithmetic').slice(-24, -2)).toEqual([
      ...['sdiv64', 'smod64', 'sdiv64', 'smod64', 'sdiv32', 'smod32', 'sdiv32', 'smod32'],
      ...['movsx8', 'movsx16', 'movsx32', 'movsx8', 'movsx16'],
      ...['to_be16', 'to_be32', 'to_be64', 'to_le16', 'to_le32', 'to_le64'],
      ...['bswap16', 'bswap32', 'bswap64'],
    ]);
  });

  it('tells the modes and sizes of memory apart', () => {
    expect(operations('memory').slice(2, 25)).toEqual([
      ...['store8', 'store16', 'store32', 'store64'],
      ...['store_imm8', 'store_imm16', 'store_imm32', 'store_imm64'],
      ...['load64', 'load32', 'load16', 'load8', 'load_signed32', 'load_signed16', 'load_signed8'],
      ...['load32', 'load_abs8', 'load_abs16', 'load_abs32', 'mov64'],
      ...['load_ind8', 'load_ind16', 'load_ind32'],
    ]);
  });

  it('tells atomic accesses apart', () => {
    const pairs = ['add', 'or', 'and', 'xor'];
    expect(operations('atomics').slice(4, 32)).toEqual([
      ...pairs.flatMap((one) => [`atomic_${one}64`, `atomic_${one}32`]),
      ...pairs.flatMap((one) => [`atomic_fetch_${one}64`, `atomic_fetch_${one}32`]),
      ...['atomic_xchg64', 'atomic_xchg32', 'atomic_cmpxchg64', 'atomic_cmpxchg32'],
      ...['load_acquire8', 'load_acquire16', 'load_acquire32', 'load_acquire64'],
      ...['store_release8', 'store_release16', 'store_release32', 'store_release64'],
    ]);
  });

  it('tells jumps and address spaces apart', () => {
    expect(operations('jumps').slice(-7)).toEqual([
      ...['ja64', 'ja64', 'gotol64', 'may_goto64', 'ja64', 'mov64', 'exit64'],
    ]);
    expect(operations('address_spaces')).toEqual([
      ...['load_imm6464', 'mov64', 'addr_space_cast64', 'addr_space_cast64', 'mov64', 'exit64'],
    ]);
  });
});
