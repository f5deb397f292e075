/**
 * Poisoned instructions, and what the verifier's log says of them, made readable: the kernel only knows
 * that a call of `unknown#195896080` is invalid.
 *
 * Rules: libbpf's `fixup_verifier_log`; the numbers are those of its `poison_map_ldimm64`,
 * `poison_kfunc_call` and relo_core.c's `bpf_core_poison_insn`.
 */

import type { CoreResult } from '../obj/core/resolve.ts';

/** An instruction that was replaced by a call that the verifier refuses, and why. */
export type Poison = {
  /** The instruction, counted from the start of the program. */
  readonly slot: number;
} & (
  | { readonly kind: 'core'; readonly result: CoreResult }
  | { readonly kind: 'map' | 'kfunc'; readonly name: string }
);

/** The call of what does not exist, and the complaint about it in the next line. */
const REFUSAL = /^(\d+): \(85\) call unknown#(\d+)[^\n]*\ninvalid func unknown#\2[^\n]*$/m;
/** Where in a log the refusal is: near the end, as it is the last thing that the verifier does. */
const TAIL = 4096;

/**
 * The log with the reason of a refusal in place of the number of a poisoned instruction; the same log
 * if that is not what it ends with.
 */
export function explainPoison(log: string, poisons: readonly Poison[]): string {
  if (poisons.length === 0) {
    return log;
  }
  const start = Math.max(0, log.length - TAIL);
  const tail = log.slice(start);
  const found = REFUSAL.exec(tail);
  const slot = Number(found?.[1]);
  const poison = poisons.find((one) => one.slot === slot || isSecondHalf(one, slot));
  if (found === null || poison === undefined) {
    return log;
  }
  const before = log.slice(0, start + found.index);
  const after = tail.slice(found.index + found[0].length);
  return `${before}${slot}: <${TITLES[poison.kind]}>\n${describePoison(poison)}${after}`;
}

const TITLES: Readonly<Record<Poison['kind'], string>> = {
  core: 'invalid CO-RE relocation',
  map: 'invalid BPF map reference',
  kfunc: 'invalid kfunc call',
};

/** What was poisoned and why, in one line. */
export function describePoison(poison: Poison): string {
  switch (poison.kind) {
    case 'map':
      return `map "${poison.name}" is used but was left out of the load`;
    case 'kfunc':
      return `the kernel function "${poison.name}" is called but this kernel has none of that name`;
    case 'core':
      return describeCore(poison.result);
  }
}

function describeCore({ kind, localType, access, spec, ...found }: CoreResult): string {
  const what = access === '' ? localType : `${localType}, ${access}`;
  const tried = found.candidates.map(
    ({ target, typeId, type, failure }) => `${target} [${typeId}] ${type}: ${failure ?? 'it fits'}`,
  );
  // The failure of all is that of each, in other words.
  const first = tried.length === 0 ? found.failure : found.memory?.failure;
  const because = [first ?? '', ...tried].filter(Boolean);
  return `failed to resolve CO-RE relocation ${kind ?? 'of unknown kind'} of ${what} (${spec}): ${because.join('; ')}`;
}

/** A 64-bit load is poisoned in both of its slots. */
function isSecondHalf({ kind, slot }: Poison, other: number): boolean {
  return kind === 'map' && other === slot + 1;
}
