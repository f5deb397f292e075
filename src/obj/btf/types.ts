/**
 * The types of BTF as data: one shape per kind, told apart by `kind`.
 *
 * Format: `Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`. References to other types are
 * ids, not objects, so that a type can be decoded without its neighbours. Names are '' for
 * anonymous types.
 */

interface Named {
  /** The type's id; 0 is void. */
  readonly id: number;
  readonly name: string;
}

export interface BtfVoid extends Named {
  readonly kind: 'void';
}

export interface BtfInt extends Named {
  readonly kind: 'int';
  readonly sizeBytes: number;
  /** Number of bits that count; less than 8 * sizeBytes only for bitfields of old compilers. */
  readonly bits: number;
  readonly bitOffset: number;
  readonly encoding: 'unsigned' | 'signed' | 'char' | 'bool';
}

/** A pointer, a modifier, a typedef: a type that wraps one other type. */
export interface BtfWrapper extends Named {
  readonly kind: 'ptr' | 'typedef' | 'volatile' | 'const' | 'restrict' | 'type_tag';
  readonly typeId: number;
}

export interface BtfArray extends Named {
  readonly kind: 'array';
  readonly elementTypeId: number;
  readonly indexTypeId: number;
  readonly length: number;
}

export interface BtfMember {
  readonly name: string;
  readonly typeId: number;
  readonly bitOffset: number;
  /** Width of a bitfield, 0 for a member that is none. */
  readonly bitSize: number;
}

export interface BtfComposite extends Named {
  readonly kind: 'struct' | 'union';
  readonly sizeBytes: number;
  readonly members: readonly BtfMember[];
}

export interface BtfEnum extends Named {
  readonly kind: 'enum';
  readonly sizeBytes: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

export interface BtfEnum64 extends Named {
  readonly kind: 'enum64';
  readonly sizeBytes: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
}

/** A struct, union or enum that is declared but not defined. */
export interface BtfForward extends Named {
  readonly kind: 'fwd';
  readonly of: 'struct' | 'union';
}

/** `linkage` of functions and variables. */
export type BtfLinkage = 'static' | 'global' | 'extern' | 'unknown';

export interface BtfFunction extends Named {
  readonly kind: 'func';
  /** The `func_proto`. */
  readonly typeId: number;
  readonly linkage: BtfLinkage;
}

export interface BtfPrototype extends Named {
  readonly kind: 'func_proto';
  readonly returnTypeId: number;
  /** A last parameter of type 0 and without a name stands for `...`. */
  readonly parameters: readonly { readonly name: string; readonly typeId: number }[];
}

export interface BtfVariable extends Named {
  readonly kind: 'var';
  readonly typeId: number;
  readonly linkage: BtfLinkage;
}

export interface BtfSection extends Named {
  readonly kind: 'datasec';
  /** As stored: 0 in what clang writes, until a loader fixes it. */
  readonly sizeBytes: number;
  readonly variables: readonly {
    /** The `var` (a `func` for kernel functions in `.ksyms`). */
    readonly typeId: number;
    /** As stored: 0 for global variables in what clang writes; the ELF symbol has the truth. */
    readonly offset: number;
    readonly sizeBytes: number;
  }[];
}

export interface BtfFloat extends Named {
  readonly kind: 'float';
  readonly sizeBytes: number;
}

export interface BtfDeclarationTag extends Named {
  readonly kind: 'decl_tag';
  readonly typeId: number;
  /** Member or parameter that is tagged, -1 for the declaration itself. */
  readonly componentIndex: number;
}

export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfWrapper
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfEnum64
  | BtfForward
  | BtfFunction
  | BtfPrototype
  | BtfVariable
  | BtfSection
  | BtfFloat
  | BtfDeclarationTag;

export type BtfKindName = BtfType['kind'];
