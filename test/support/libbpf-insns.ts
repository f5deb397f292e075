/** What libbpf hands to the kernel, as recorded in fixtures/expected/libbpf-insns. */

import { filesBelow, fixtureJson } from './fixtures.ts';

export interface RecordedProgram {
  readonly name: string;
  readonly section: string;
  /** One slot each: 16 digits, and behind them what was taken out of it (see libbpf-insns.c). */
  readonly insns: readonly string[];
  readonly funcInfo: readonly (readonly number[])[];
  readonly lineInfo: readonly (readonly number[])[];
  /** As the kernel's verifier lists them, `12: (85) call bpf_loop#181`; none if it was not asked. */
  readonly verifier: readonly string[];
}

export interface RecordedInsns {
  readonly prepares: boolean;
  readonly loads?: boolean;
  readonly log: readonly string[];
  readonly programs: readonly RecordedProgram[];
}

/** The records by the name of the object. */
export const recordedInsns: ReadonlyMap<string, RecordedInsns> = new Map(
  filesBelow('expected/libbpf-insns', '.json').map((name) => [
    name,
    fixtureJson<RecordedInsns>(`expected/libbpf-insns/${name}.json`),
  ]),
);
