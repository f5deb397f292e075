// What CO-RE relocations ask for: enum bpf_core_relo_kind of include/uapi/linux/bpf.h.
// Generated from the copy in libbpf 1.7, do not edit:
//   node scripts/generate-uapi.mjs PATH/TO/bpf.h

/** The kinds of CO-RE relocations by the kernel's names, without `BPF_CORE_`. */
export const BPF_CORE = Object.freeze({
  FIELD_BYTE_OFFSET: 0,
  FIELD_BYTE_SIZE: 1,
  FIELD_EXISTS: 2,
  FIELD_SIGNED: 3,
  FIELD_LSHIFT_U64: 4,
  FIELD_RSHIFT_U64: 5,
  TYPE_ID_LOCAL: 6,
  TYPE_ID_TARGET: 7,
  TYPE_EXISTS: 8,
  TYPE_SIZE: 9,
  ENUMVAL_EXISTS: 10,
  ENUMVAL_VALUE: 11,
  TYPE_MATCHES: 12,
} as const);

const NAMES = Object.freeze([
  'field_byte_offset',
  'field_byte_size',
  'field_exists',
  'field_signed',
  'field_lshift_u64',
  'field_rshift_u64',
  'type_id_local',
  'type_id_target',
  'type_exists',
  'type_size',
  'enumval_exists',
  'enumval_value',
  'type_matches',
] as const);

/** The name of a kind of CO-RE relocation. */
export type CoreKindName = (typeof NAMES)[number];

/** The name of a kind, `field_byte_offset`; undefined for a number that this table does not have. */
export function coreKindName(kind: number): CoreKindName | undefined {
  return NAMES[kind];
}
