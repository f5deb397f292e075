/** The form of single instructions, which both kernels look at whatever a program does. */

import { expect, it } from 'vitest';
import { hasCode } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';
import { describeKernels } from '../support/kernels.ts';
import { attributesOf, logOf, textOf } from './programs-parts.ts';

/** Opcode, dst, src, offset, imm; what is left out is 0. */
type Raw = readonly number[];

const MOVE: Raw = [0xb7];
const EXIT: Raw = [0x95];

function encode(kernel: Kernel, list: readonly Raw[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(list.length * 8));
  for (const [index, [opcode = 0, dst = 0, src = 0, offset = 0, imm = 0]] of list.entries()) {
    view.setUint8(index * 8, opcode);
    view.setUint8(index * 8 + 1, dst | (src << 4));
    view.setInt16(index * 8 + 2, offset, kernel.littleEndian);
    view.setInt32(index * 8 + 4, imm, kernel.littleEndian);
  }
  return new Uint8Array(view.buffer);
}

/** Why a kernel refuses instructions, in the words of its log; 'ok' if it does not. */
function outcome(kernel: Kernel, list: readonly Raw[], type: number = BPF_PROG_TYPE.XDP): string {
  const log = logOf(1, 1 << 16);
  const instructions = encode(kernel, list);
  try {
    kernel.close(kernel.loadProgram(attributesOf(kernel, [], { instructions, type }), log));
    return 'ok';
  } catch (error) {
    expect(hasCode(error, 'ERR_SKEP_SYSCALL'), String(error)).toBe(true);
    // Without the listing of what was looked at before.
    const lines = textOf(log)
      .split('\n')
      .filter((line) => line !== '' && !/^(\d+: |processed |func#|verification )/.test(line));
    return `${(error as { errnoName: string }).errnoName} ${lines[0] ?? ''}`.trim();
  }
}

const FILTER = BPF_PROG_TYPE.SOCKET_FILTER;

const FORMS: [string, string, readonly Raw[], number?][] = [
  ['a register that there is not', 'EINVAL R11 is invalid', [[0xb7, 11], EXIT]],
  ['a source that there is not', 'EINVAL R11 is invalid', [[0xbf, 0, 11], MOVE, EXIT]],
  ['a move of a register', 'EINVAL BPF_MOV uses reserved fields', [[0xb7, 0, 3], EXIT]],
  ['a move with an offset', 'EINVAL BPF_MOV uses reserved fields', [[0xb7, 0, 0, 1], EXIT]],
  ['a move of both', 'EINVAL BPF_MOV uses reserved fields', [MOVE, [0xbf, 0, 0, 0, 1], EXIT]],
  ['a move of 5 bits', 'EINVAL BPF_MOV uses reserved fields', [MOVE, [0xbf, 0, 0, 5], EXIT]],
  ['a move with signs', 'ok', [MOVE, [0xbf, 0, 0, 8], EXIT]],
  ['a move with signs of 32 bits', 'ok', [MOVE, [0xbf, 0, 0, 32], EXIT]],
  ['a short one of 32', 'EINVAL BPF_MOV uses reserved fields', [MOVE, [0xbc, 0, 0, 32], EXIT]],
  ['a sum of both', 'EINVAL BPF_ALU uses reserved fields', [MOVE, [0x0f, 0, 0, 0, 1], EXIT]],
  ['a sum of a source', 'EINVAL BPF_ALU uses reserved fields', [MOVE, [0x07, 0, 1], EXIT]],
  ['a sum with signs', 'EINVAL BPF_ALU uses reserved fields', [MOVE, [0x07, 0, 0, 1], EXIT]],
  ['a quotient with signs', 'ok', [MOVE, [0x37, 0, 0, 1, 2], EXIT]],
  ['a quotient of 2', 'EINVAL BPF_ALU uses reserved fields', [MOVE, [0x37, 0, 0, 2, 2], EXIT]],
  ['a negation', 'ok', [MOVE, [0x84], EXIT]],
  ['a negated number', 'EINVAL BPF_NEG uses reserved fields', [MOVE, [0x87, 0, 0, 0, 1], EXIT]],
  ['a swap of 16 bits', 'ok', [MOVE, [0xd7, 0, 0, 0, 16], EXIT]],
  ['a swap of 8 bits', 'EINVAL BPF_END uses reserved fields', [MOVE, [0xdc, 0, 0, 0, 8], EXIT]],
  ['a load', 'ok', [[0x61, 0, 1], MOVE, EXIT]],
  ['a load of a number', 'EINVAL BPF_LDX uses reserved fields', [[0x61, 0, 1, 0, 1], MOVE, EXIT]],
  ['a store of both', 'EINVAL BPF_ST uses reserved fields', [[0x62, 10, 1, -4], MOVE, EXIT]],
  [
    'a store of a number',
    'EINVAL BPF_STX uses reserved fields',
    [MOVE, [0x63, 10, 0, -4, 1], EXIT],
  ],
  ['a jump to a number', 'EINVAL BPF_JA uses reserved fields', [MOVE, [0x05, 0, 0, 0, 1], EXIT]],
  ['a jump of a register', 'EINVAL BPF_JA uses reserved fields', [MOVE, [0x05, 1], EXIT]],
  [
    'a condition on both',
    'EINVAL BPF_JMP/JMP32 uses reserved fields',
    [MOVE, [0x1d, 0, 0, 0, 1], EXIT],
  ],
  [
    'a condition on a source',
    'EINVAL BPF_JMP/JMP32 uses reserved fields',
    [MOVE, [0x15, 0, 1, 0, 1], EXIT],
  ],
  ['a call of a register', 'EINVAL BPF_CALL uses reserved fields', [[0x85, 1, 0, 0, 5], EXIT]],
  ['a call with an offset', 'EINVAL BPF_CALL uses reserved fields', [[0x85, 0, 0, 1, 5], EXIT]],
  ['a call of another kind', 'EINVAL BPF_CALL uses reserved fields', [[0x85, 0, 3, 0, 5], EXIT]],
  ['a call', 'ok', [[0x85, 0, 0, 0, 5], MOVE, EXIT]],
  ['an exit with a number', 'EINVAL BPF_EXIT uses reserved fields', [MOVE, [0x95, 0, 0, 0, 1]]],
  ['an exit with an offset', 'ok', [MOVE, [0x95, 0, 0, 1]]],
  ['an atomic sum', 'ok', [MOVE, [0x62, 10, 0, -4], [0xc3, 10, 0, -4], EXIT]],
  [
    'an atomic sum of a byte',
    'EINVAL invalid atomic operand size',
    [MOVE, [0xd3, 10, 0, -4], EXIT],
  ],
  ['a jump if it may', 'ok', [MOVE, [0xe5], EXIT]],
  ['one with a number', 'EINVAL invalid may_goto imm 1', [MOVE, [0xe5, 0, 0, 0, 1], EXIT]],
  [
    'a wide load with an offset',
    'EINVAL BPF_LD_IMM64 uses reserved fields',
    [[0x18, 0, 0, 1], [0], EXIT],
  ],
  ['a byte of a packet', 'ok', [[0xbf, 6, 1], [0x30], EXIT], FILTER],
  [
    'one for a register',
    'EINVAL BPF_LD_[ABS|IND] uses reserved fields',
    [[0xbf, 6, 1], [0x30, 1], EXIT],
    FILTER,
  ],
  // The maps first.
  [
    'a map that is not there',
    'EBADF fd 99 is not pointing to valid bpf_map',
    [[0xb7, 0, 3], [0x18, 1, 1, 0, 99], [0], EXIT],
  ],
];

/**
 * Opcodes that Linux 6.18 does not know: each loaded as `r0 = 0`, the opcode, `exit`, `exit`, of which
 * the log says "unknown opcode".
 */
const UNKNOWN =
  `0 2 3 8 a b d e 10 12 13 1a 1b 22 23 2a 2b 32 33 38 3a 3b 42 43 4a 4b 52 53 58 5a 5b 60
  68 70 78 80 82 83 86 88 8a 8b 8c 8d 8e 8f 90 92 93 96 98 99 9a 9b 9d 9e a0 a2 a3 a8 aa ab b0 b2 b3 b8 ba
  bb c0 c2 c8 ca d0 d2 d8 da df e0 e2 e3 e4 e6 e7 e8 ea eb ec ed ee ef f0 f2 f3 f4 f5 f6 f7 f8 fa fb fc fd
  fe ff`.split(/\s+/);

describeKernels('the form of an instruction', (place) => {
  it.each(FORMS)('is looked at: %s', (_, wanted, list, type) => {
    expect(outcome(place.kernel, list, type)).toBe(wanted);
  });

  it('is that of one of the opcodes that there are', () => {
    const unknown = Array.from({ length: 256 }, (_, opcode) => opcode.toString(16)).filter(
      (name) => {
        const text = outcome(place.kernel, [MOVE, [Number.parseInt(name, 16)], EXIT, EXIT]);
        return text.includes('unknown opcode');
      },
    );
    expect(unknown).toEqual(UNKNOWN);
  });
});
