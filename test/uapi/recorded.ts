// What libbpf, the C compiler, the kernel and bpftool say of the constants, as recorded by
// fixtures/oracle/uapi-names.c.

import { readFileSync } from 'node:fs';

interface Recorded {
  /** libbpf's names by number, null where it has none. */
  readonly mapTypes: readonly (string | null)[];
  readonly programTypes: readonly (string | null)[];
  readonly attachTypes: readonly (string | null)[];
  /** Constants of the header that the tables were generated from, as the C compiler reads them. */
  readonly header: Readonly<Record<string, number>>;
  /** Enumerators in a kernel's own BTF, by their full names. */
  readonly kernel: Readonly<
    Record<
      | 'commands'
      | 'mapTypes'
      | 'programTypes'
      | 'attachTypes'
      | 'mapFlags'
      | 'updateFlags'
      | 'helpers'
      | 'coreKinds'
      | 'btfKinds',
      Readonly<Record<string, number>>
    >
  >;
  /** bpftool's names of the kinds, from kind 1 on. */
  readonly btfKinds: readonly string[];
}

export const recorded: Recorded = JSON.parse(
  readFileSync(new URL('../../fixtures/expected/uapi-names.json', import.meta.url), 'utf8'),
);

/** A table with the prefix of the kernel put back before every key. */
export function prefixed(
  prefix: string,
  table: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [prefix + name, value]));
}

/** The numbers that libbpf has a name for. */
export function named(names: readonly (string | null)[]): [number: number, name: string][] {
  return names.flatMap((name, number): [number, string][] =>
    name === null ? [] : [[number, name]],
  );
}
