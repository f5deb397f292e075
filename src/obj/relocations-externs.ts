/**
 * Externs: what the code of an object refers to and the running kernel has: options (`.kconfig`),
 * variables, functions and bare addresses (`.ksyms`).
 *
 * Rules: libbpf's `bpf_object__collect_externs`, `find_extern_btf_id` and `find_extern_sec_btf_id`.
 */

import { ObjectError } from '../errors.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import type { Btf } from './btf/btf.ts';
import { skipModifiers } from './btf/layout.ts';
import { type ElfSymbols, STB, STT } from './elf.ts';

/** Something that an object declares extern. */
export interface Extern {
  readonly name: string;
  /** The name to look for in the kernel: without a flavour (`___suffix`). */
  readonly essentialName: string;
  /**
   * `kconfig`: an option of the kernel; `kfunc`: a function; `variable`: a variable with a type;
   * `address`: a symbol without a type (`void`).
   */
  readonly kind: 'kconfig' | 'kfunc' | 'variable' | 'address';
  /** Need not exist: refers to 0 then. */
  readonly isWeak: boolean;
  /** Id of the `var` or `func` in the object's BTF. */
  readonly btfId: number;
  /** Id of the variable's type without qualifiers, of the function's prototype; 0 for an address. */
  readonly typeId: number;
}

/** `linkage` of what is defined elsewhere, of variables and of functions. */
const LINKAGE_EXTERN = 2;

/**
 * Whether a symbol is undefined here: `sym_is_extern` of libbpf. Symbol 0, which is nobody's, is local.
 */
export function isExtern(symbols: ElfSymbols, symbol: number): boolean {
  const binding = symbols.binding(symbol);
  return (
    symbols.section(symbol) === 0 &&
    symbols.type(symbol) === STT.NOTYPE &&
    (binding === STB.GLOBAL || binding === STB.WEAK)
  );
}

/**
 * All externs of an object by symbol.
 *
 * @throws ObjectError `ERR_SKEP_PROGRAM` for one that BTF does not declare, or in a section that is
 *   neither `.kconfig` nor `.ksyms`
 */
export function readExterns(symbols: ElfSymbols, btf: Btf | undefined): Map<number, Extern> {
  const externs = new Map<number, Extern>();
  let declared: Map<string, Declaration> | undefined;
  for (let symbol = 1; symbol < symbols.count; symbol += 1) {
    if (!isExtern(symbols, symbol)) {
      continue;
    }
    const name = symbols.name(symbol);
    if (name === '') {
      continue;
    }
    if (btf === undefined) {
      throw fail(name, 'is not defined, and without BTF nothing says what it is (compile with -g)');
    }
    declared ??= declarations(btf);
    const isWeak = symbols.binding(symbol) === STB.WEAK;
    externs.set(symbol, describe(btf, name, isWeak, declared.get(name)));
  }
  return externs;
}

/** A variable or function that BTF declares extern. */
interface Declaration {
  readonly id: number;
  /** The `datasec` that lists it; undefined if none does. */
  section: string | undefined;
}

function declarations(btf: Btf): Map<string, Declaration> {
  const byName = new Map<string, Declaration>();
  const byId = new Map<number, Declaration>();
  const add = (id: number) => {
    const declaration: Declaration = { id, section: undefined };
    const name = btf.nameOf(id);
    if (!byName.has(name)) {
      byName.set(name, declaration);
      byId.set(id, declaration);
    }
  };
  for (const id of btf.idsOfKind('var')) {
    if (btf.linkageOf(id) === LINKAGE_EXTERN) add(id);
  }
  for (const id of btf.idsOfKind('func')) {
    // Functions have their linkage where others have their number of entries.
    if (btf.entriesOf(id) === LINKAGE_EXTERN) add(id);
  }
  for (const section of byId.size === 0 ? [] : btf.idsOfKind('datasec')) {
    for (let entry = 0; entry < btf.entriesOf(section); entry += 1) {
      const declaration = byId.get(btf.listedType(section, entry));
      if (declaration !== undefined) {
        declaration.section ??= btf.nameOf(section);
      }
    }
  }
  return byName;
}

function describe(
  btf: Btf,
  name: string,
  isWeak: boolean,
  declaration: Declaration | undefined,
): Extern {
  if (declaration === undefined) {
    throw fail(name, 'is not defined, and the BTF of the object does not declare it');
  }
  const { id, section } = declaration;
  const isFunction = btf.kindOf(id) === BTF_KIND.FUNC;
  if (section !== '.kconfig' && section !== '.ksyms') {
    const place = section === undefined ? 'in no section' : `in section "${section}"`;
    throw fail(name, `is declared ${place}; externs are in .kconfig (options) or .ksyms (symbols)`);
  }
  if (isFunction && section === '.kconfig') {
    throw fail(name, 'is a function, but options in .kconfig are variables');
  }
  const typeId = isFunction ? btf.sizeOrType(id) : skipModifiers(btf, btf.sizeOrType(id));
  const kind =
    section === '.kconfig'
      ? 'kconfig'
      : isFunction
        ? 'kfunc'
        : typeId === 0
          ? 'address'
          : 'variable';
  return { name, essentialName: essentialName(name), kind, isWeak, btfId: id, typeId };
}

/** The part of a name before a flavour: libbpf's `bpf_core_essential_name_len`. */
export function essentialName(name: string): string {
  // A flavour is three underscores between other characters, the last such place in the name.
  for (let at = name.length - 5; at >= 0; at -= 1) {
    if (name[at] !== '_' && name.startsWith('___', at + 1) && name[at + 4] !== '_') {
      return name.slice(0, at + 1);
    }
  }
  return name;
}

function fail(name: string, problem: string): ObjectError {
  return new ObjectError('ERR_SKEP_PROGRAM', `extern "${name}" ${problem}`, { section: '.symtab' });
}
