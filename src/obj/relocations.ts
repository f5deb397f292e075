/**
 * What the instructions of an object refer to, as data: maps, global data, externs, other functions,
 * and what CO-RE is to adjust. Nothing is changed here.
 *
 * Rules: libbpf's `bpf_object__collect_prog_relos` and `bpf_program__record_reloc`; what they refuse is
 * refused. Beyond them, calls may go to functions in any section of code, not only in `.text`. The type
 * of a relocation is not looked at, as old and new LLVM write different ones.
 */

import type { CoreRelocation } from './btf/ext.ts';
import type { CodeFunction } from './link-functions.ts';
import type { Extern } from './relocations-externs.ts';

/** What one instruction refers to. */
export type RelocationTarget =
  | {
      /** A map: `src` becomes BPF_PSEUDO_MAP_FD, the number its descriptor. */
      readonly kind: 'map';
      readonly map: string;
    }
  | {
      /**
       * A byte of global data: `src` becomes BPF_PSEUDO_MAP_VALUE, the lower half of the number the
       * descriptor of the section's map, the upper half the offset.
       */
      readonly kind: 'data';
      readonly section: string;
      /** Bytes from the start of the section; what was in the instruction is included. */
      readonly offset: number;
    }
  | {
      /** A global in the arena of the object; as `data`, behind whatever else is in the arena. */
      readonly kind: 'arena';
      readonly map: string;
      readonly offset: number;
    }
  | {
      /** An option of the kernel, at its place in `.kconfig`; as `data`. */
      readonly kind: 'kconfig';
      readonly extern: Extern;
      readonly offset: number;
    }
  | {
      /** The address of something in the kernel; 0 if it is weak and not there. */
      readonly kind: 'ksym';
      readonly extern: Extern;
    }
  | {
      /** A call of a function of the kernel: `src` becomes BPF_PSEUDO_KFUNC_CALL. */
      readonly kind: 'kfunc';
      readonly extern: Extern;
    }
  | {
      /** A table of jump targets: the places of instructions, in bytes of their section. */
      readonly kind: 'jump-table';
      readonly section: string;
      readonly offset: number;
      readonly size: number;
    }
  | {
      /** What CO-RE finds out about a type of the kernel. */
      readonly kind: 'core';
      readonly core: CoreRelocation;
    };

/** A reference to a function of the object: a call, or its address (BPF_PSEUDO_FUNC). */
export interface FunctionReference {
  readonly kind: 'call' | 'function';
  readonly target: CodeFunction;
}

/** What an instruction refers to, and which it is. */
export type CodeRelocation = (RelocationTarget | FunctionReference) & {
  /** The instruction, counted from the start of its function. */
  readonly slot: number;
};

/** A {@link CodeRelocation} that linking leaves to whoever loads the program. */
export type LinkedRelocation = RelocationTarget & {
  /** The instruction, counted from the start of the program. */
  readonly slot: number;
};
