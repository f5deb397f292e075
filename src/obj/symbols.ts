/** The symbols of an object by the section that defines them, collected in one pass. */

import { sortAscending } from '../bytes/ascending.ts';
import { ObjectError } from '../errors.ts';
import { type ElfFile, type ElfSymbols, STT } from './elf.ts';

/** For each section index the defined functions, objects and untyped symbols, in table order. */
export type SymbolsBySection = readonly (readonly number[] | undefined)[];

/**
 * Groups the symbols that name something; section and file symbols are left out.
 *
 * @throws ObjectError `ERR_SKEP_ELF` for a symbol in a section that does not exist
 */
export function groupSymbols(elf: ElfFile): SymbolsBySection {
  const symbols = elf.symbols;
  const groups: (number[] | undefined)[] = new Array(elf.sections.length);
  // Symbol 0 is the undefined symbol.
  for (let symbol = 1; symbol < symbols.count; symbol += 1) {
    const section = symbols.section(symbol);
    if (section >= groups.length) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `symbol ${symbol} lies in section ${section}, but there are ${groups.length} sections`,
        { section: '.symtab' },
      );
    }
    if (section <= 0 || symbols.type(symbol) > STT.FUNC) {
      continue;
    }
    const group = groups[section];
    if (group === undefined) {
      groups[section] = [symbol];
    } else {
      group.push(symbol);
    }
  }
  return groups;
}

/** Sorts symbols of one section by their place in it; equal places stay in table order. */
export function byOffset(symbols: ElfSymbols, group: readonly number[]): readonly number[] {
  if (group.length < 2) {
    return group;
  }
  return sortAscending([...group], (symbol) => symbols.value(symbol));
}
