/**
 * Why a kernel refuses to create a map for want of privileges.
 *
 * Who needs which capability: `map_create` in `kernel/bpf/syscall.c`, and before Linux 6.5 the
 * `map_alloc` of each type.
 */

import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import { type Capability, type Holds, lackingText } from './capabilities.ts';

/** Types whose maps say where packets go. */
const NET_ADMIN: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.SOCKMAP,
  BPF_MAP_TYPE.SOCKHASH,
  BPF_MAP_TYPE.DEVMAP,
  BPF_MAP_TYPE.DEVMAP_HASH,
  BPF_MAP_TYPE.XSKMAP,
]);

/** The capabilities that creating a map of a type takes (5.8; CAP_SYS_ADMIN before). */
export function mapCapabilities(type: number): readonly Capability[] {
  return NET_ADMIN.has(type) ? ['CAP_BPF', 'CAP_NET_ADMIN'] : ['CAP_BPF'];
}

/** A sentence on why a map was refused with EPERM. */
export function explainCreate(type: number, holds: Holds): string {
  const needed = mapCapabilities(type);
  const lacking = lackingText(needed, holds);
  return `maps of type ${mapTypeName(type)} need root or ${needed.join(' and ')} (before Linux 5.8 CAP_SYS_ADMIN, before 5.11 also ulimit -l unlimited)${lacking}`;
}
