/**
 * The kinds of CO-RE relocations by what they are about (relo_core.c of libbpf and the kernel).
 */

import { BPF_CORE } from '../../uapi/core-kinds.ts';

/** What a relocation is about: a member of a type, a type as a whole, an enumerator. */
export type CoreSubject = 'field' | 'type' | 'enumerator';

const SUBJECTS: readonly CoreSubject[] = Array.from({ length: 13 }, (_, kind) => {
  switch (kind) {
    case BPF_CORE.TYPE_ID_LOCAL:
    case BPF_CORE.TYPE_ID_TARGET:
    case BPF_CORE.TYPE_EXISTS:
    case BPF_CORE.TYPE_SIZE:
    case BPF_CORE.TYPE_MATCHES:
      return 'type';
    case BPF_CORE.ENUMVAL_EXISTS:
    case BPF_CORE.ENUMVAL_VALUE:
      return 'enumerator';
    default:
      return 'field';
  }
});

/** What a kind (`BPF_CORE_*`) is about; undefined for one that is not known. */
export function subjectOf(kind: number): CoreSubject | undefined {
  return SUBJECTS[kind];
}
