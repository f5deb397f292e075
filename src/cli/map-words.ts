/** Properties of maps in words, for cells of tables. */

import { mapFlagNames } from '../uapi/map-flags.ts';

/** The names of `BPF_F_*` flags; '' for none. */
export function flagsText(flags: number): string {
  return mapFlagNames(flags).join(' | ');
}

/** The number of entries, or what `max_entries` counts instead in some types of map. */
export function entriesText(type: string, maxEntries: number): string {
  switch (type) {
    case 'ringbuf':
    case 'user_ringbuf':
      return `${maxEntries} B`;
    case 'arena':
      return `${maxEntries} ${maxEntries === 1 ? 'page' : 'pages'}`;
    default:
      return `${maxEntries}`;
  }
}

/** A 64-bit number given in decimal digits, in hexadecimal; '' for 0. */
export function mapExtraText(mapExtra: string): string {
  return mapExtra === '0' ? '' : `0x${BigInt(mapExtra).toString(16)}`;
}
