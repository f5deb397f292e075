// The kinds of BTF types: include/uapi/linux/btf.h.
// Generated from the copy in libbpf 1.7, do not edit:
//   node scripts/generate-uapi.mjs PATH/TO/bpf.h

/** The kinds of BTF types by the kernel's names, without `BTF_KIND_`. UNKN is never written. */
export const BTF_KIND = Object.freeze({
  UNKN: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const);

/** The bits of the encoding of a BTF_KIND_INT, without `BTF_INT_`; no bit set means unsigned. */
export const BTF_INT = Object.freeze({
  SIGNED: 1,
  CHAR: 2,
  BOOL: 4,
} as const);

/**
 * The names of the kinds, indexed by kind, as `bpftool btf dump` prints them but in lower case;
 * `void` for 0, the kind of type id 0.
 */
export const BTF_KIND_NAMES = Object.freeze([
  'void',
  'int',
  'ptr',
  'array',
  'struct',
  'union',
  'enum',
  'fwd',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'func',
  'func_proto',
  'var',
  'datasec',
  'float',
  'decl_tag',
  'type_tag',
  'enum64',
] as const);

/** The name of a kind that this table knows. */
export type BtfKindName = (typeof BTF_KIND_NAMES)[number];

/** The name of a kind; a number newer than this table gives `kind_99`. Never throws. */
export function btfKindName(kind: number): string {
  return BTF_KIND_NAMES[kind] ?? `kind_${kind}`;
}
