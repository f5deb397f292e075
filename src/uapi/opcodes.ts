// The parts of instructions: bpf_common.h and bpf.h of include/uapi/linux.
// Generated from the copy in libbpf 1.7, do not edit:
//   node scripts/generate-uapi.mjs PATH/TO/bpf.h

/** The class of an instruction: the lowest 3 bits of its opcode. */
export const BPF_CLASS = Object.freeze({
  LD: 0x0,
  LDX: 0x1,
  ST: 0x2,
  STX: 0x3,
  ALU: 0x4,
  JMP: 0x5,
  JMP32: 0x6,
  ALU64: 0x7,
} as const);

/** The size of a load or store: bits 3 and 4 of its opcode. */
export const BPF_SIZE = Object.freeze({
  W: 0x0,
  H: 0x8,
  B: 0x10,
  DW: 0x18,
} as const);

/** The mode of a load or store: the highest 3 bits of its opcode. */
export const BPF_MODE = Object.freeze({
  IMM: 0x0,
  ABS: 0x20,
  IND: 0x40,
  MEM: 0x60,
  MEMSX: 0x80,
  ATOMIC: 0xc0,
} as const);

/** Where the second operand of arithmetic or a jump comes from, bit 3: a number (K), a register (X). */
export const BPF_SRC = Object.freeze({
  K: 0x0,
  X: 0x8,
} as const);

/** The operation of arithmetic: the highest 4 bits of its opcode. */
export const BPF_ALU_OP = Object.freeze({
  ADD: 0x0,
  SUB: 0x10,
  MUL: 0x20,
  DIV: 0x30,
  OR: 0x40,
  AND: 0x50,
  LSH: 0x60,
  RSH: 0x70,
  NEG: 0x80,
  MOD: 0x90,
  XOR: 0xa0,
  MOV: 0xb0,
  ARSH: 0xc0,
  END: 0xd0,
} as const);

/** The operation of a jump: the highest 4 bits of its opcode. */
export const BPF_JMP_OP = Object.freeze({
  JA: 0x0,
  JEQ: 0x10,
  JGT: 0x20,
  JGE: 0x30,
  JSET: 0x40,
  JNE: 0x50,
  JSGT: 0x60,
  JSGE: 0x70,
  CALL: 0x80,
  EXIT: 0x90,
  JLT: 0xa0,
  JLE: 0xb0,
  JSLT: 0xc0,
  JSLE: 0xd0,
  JCOND: 0xe0,
} as const);

/** The operation of an atomic access: its immediate. FETCH is a bit that goes with the first four. */
export const BPF_ATOMIC_OP = Object.freeze({
  ADD: 0x0,
  OR: 0x40,
  AND: 0x50,
  XOR: 0xa0,
  FETCH: 0x1,
  XCHG: 0xe1,
  CMPXCHG: 0xf1,
  LOAD_ACQ: 0x100,
  STORE_REL: 0x110,
} as const);

/** What the source register of a 64-bit load of a number says about the number. */
export const BPF_PSEUDO = Object.freeze({
  MAP_FD: 0x1,
  MAP_VALUE: 0x2,
  BTF_ID: 0x3,
  FUNC: 0x4,
  MAP_IDX: 0x5,
  MAP_IDX_VALUE: 0x6,
} as const);

/** What the source register of a call says about its target; 0 is a helper. */
export const BPF_PSEUDO_CALLS = Object.freeze({
  CALL: 0x1,
  KFUNC_CALL: 0x2,
} as const);
