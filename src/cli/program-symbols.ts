/**
 * Names of the functions of the kernel that a loaded program calls. The verifier leaves the distance
 * from one function of the kernel to another in a call, where the object had the number of a helper.
 *
 * Source: `/proc/kallsyms`, read for this alone, as other kernels than Linux have no such distances.
 * Semantics: `bpf_patch_insn_data` and `fixup_call_args` of kernel/bpf/verifier.c, and bpftool's
 * `print_call_helper` in `xlated_dumper.c`.
 */

import { readFileSync } from 'node:fs';
import type { Kernel } from '../kernel/kernel.ts';

const SYMBOLS = '/proc/kallsyms';
/** What distances are counted from. */
const BASE = '__bpf_call_base';

/**
 * The names of functions by their distance, as many as the caller may know.
 *
 * @param distances what is in the calls: 32 bits, with their sign
 */
export function functionNames(
  kernel: Kernel,
  distances: ReadonlySet<number>,
): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  if (kernel.name !== 'linux' || distances.size === 0) {
    return names;
  }
  let text: string;
  try {
    text = `\n${readFileSync(SYMBOLS, 'latin1')}`;
  } catch {
    // A kernel without CONFIG_KALLSYMS: numbers will have to do.
    return names;
  }
  const base = baseAddress(text);
  if (base === 0n) {
    return names;
  }
  for (const distance of distances) {
    const address = BigInt.asUintN(64, base + BigInt(distance));
    const name = nameAt(text, address.toString(16).padStart(16, '0'));
    if (name !== undefined) {
      names.set(distance, name);
    }
  }
  return names;
}

/** 0 if it is not there, or is kept from the caller. */
function baseAddress(text: string): bigint {
  const digits = new RegExp(`\\n([\\da-f]+) . ${BASE}\\n`).exec(text)?.[1];
  return digits === undefined ? 0n : BigInt(`0x${digits}`);
}

/** The first symbol at an address: lines are `ffffffff81000000 T _text`, a tab and `[module]`. */
function nameAt(text: string, digits: string): string | undefined {
  const at = text.indexOf(`\n${digits} `);
  if (at === -1) {
    return undefined;
  }
  const start = at + 1 + digits.length + ' T '.length;
  return /[^\t\n]*/.exec(text.slice(start, start + 512))?.[0];
}
