/**
 * Helpers that stand for others on kernels before 5.5: there one helper reads memory of the kernel and
 * of user space alike.
 *
 * Rules: libbpf's `bpf_object__sanitize_prog`.
 */

import type { Instructions } from '../obj/instructions/instructions.ts';
import { BPF_FUNC } from '../uapi/helpers.ts';

/** BPF_JMP | BPF_CALL. */
const CALL = 0x85;

/** What stands for each helper; the arguments are the same. */
const OLDER: ReadonlyMap<number, number> = new Map([
  [BPF_FUNC.probe_read_kernel, BPF_FUNC.probe_read],
  [BPF_FUNC.probe_read_user, BPF_FUNC.probe_read],
  [BPF_FUNC.probe_read_kernel_str, BPF_FUNC.probe_read_str],
  [BPF_FUNC.probe_read_user_str, BPF_FUNC.probe_read_str],
]);

/** Whether a program calls a helper that an older one can stand for. */
export function hasNewerReads(instructions: Instructions): boolean {
  return callsOfNewer(instructions).length > 0;
}

/** Has a program call the older helpers, in place. @returns whether there was anything to replace */
export function replaceNewerReads(instructions: Instructions): boolean {
  const slots = callsOfNewer(instructions);
  for (const slot of slots) {
    instructions.setImm(slot, OLDER.get(instructions.imm(slot))!);
  }
  return slots.length > 0;
}

/** Slots of the calls. */
function callsOfNewer(instructions: Instructions): number[] {
  const slots: number[] = [];
  for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
    // With a source register it is no helper but a function, of the program or of the kernel.
    const isHelper = instructions.opcode(slot) === CALL && instructions.src(slot) === 0;
    if (isHelper && OLDER.has(instructions.imm(slot))) {
      slots.push(slot);
    }
  }
  return slots;
}
