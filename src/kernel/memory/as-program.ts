/**
 * What programs do to maps by helpers, done by a test: `bpf_map_lookup_elem`, `bpf_map_update_elem` and
 * `bpf_map_delete_elem` of `kernel/bpf/helpers.c`, with what the verifier asks of a call of them
 * (`check_map_func_compatibility`, `check_map_access_type`).
 */

import { ERRNO } from '../../uapi/errno.ts';
import { BPF_F } from '../../uapi/map-flags.ts';
import { checkRoom } from '../check-room.ts';
import { refused } from '../refused.ts';
import { movedBytes } from './create-rules.ts';
import type { MapObject } from './objects.ts';
import { RingStore } from './ring-store.ts';
import { EventStore, ObjectStore } from './slot-stores.ts';
import { LOCK } from './store.ts';

/** A map as a test names it. */
export interface AskedMap {
  readonly map: MapObject;
  /** How errors call it. */
  readonly what: string;
  readonly cpus: number;
}

/** The value of an entry; null if there is none. @throws SyscallError where programs may only write */
export function lookupAsProgram(asked: AskedMap, key: Uint8Array): Uint8Array | null {
  const command = 'bpf_map_lookup_elem';
  check(asked, command, BPF_F.WRONLY_PROG, 'programs may only write it');
  const { map } = asked;
  const value = new Uint8Array(movedBytes(map.attributes, asked.cpus));
  const result = map.store.lookupByProgram(keyOf(asked, key), value);
  if (result < 0 && result !== -ERRNO.ENOENT) {
    throw refused(command, -result, asked.what);
  }
  return result < 0 ? null : value;
}

/** Sets an entry. @throws SyscallError as the helper answers; `EACCES` where programs may only read */
export function updateAsProgram(
  asked: AskedMap,
  key: Uint8Array,
  value: Uint8Array,
  flags: number,
): void {
  const command = 'bpf_map_update_elem';
  check(asked, command, BPF_F.RDONLY_PROG, 'programs may only read it');
  const { map, what, cpus } = asked;
  const bytes = movedBytes(map.attributes, cpus);
  checkRoom(value, bytes, 'the value');
  if ((flags & LOCK) !== 0 && !map.hasLock) {
    throw refused(command, ERRNO.EINVAL, what, 'its values have no bpf_spin_lock');
  }
  const own = value.slice(0, bytes);
  const result = map.store.update(keyOf(asked, key).slice(), own, (flags & ~LOCK) >>> 0);
  if (result < 0) {
    throw refused(command, -result, what);
  }
}

/** Removes an entry; false if there is none. @throws SyscallError as the helper answers */
export function deleteAsProgram(asked: AskedMap, key: Uint8Array): boolean {
  const command = 'bpf_map_delete_elem';
  check(asked, command, BPF_F.RDONLY_PROG, 'programs may only read it');
  const result = asked.map.store.delete(keyOf(asked, key));
  if (result < 0 && result !== -ERRNO.ENOENT) {
    throw refused(command, -result, asked.what);
  }
  return result === 0;
}

function check({ map, what }: AskedMap, command: string, forbidden: number, why: string): void {
  if ((map.flags & forbidden) !== 0) {
    throw refused(command, ERRNO.EACCES, what, why);
  }
  const { store } = map;
  if (store instanceof ObjectStore || store instanceof EventStore || store instanceof RingStore) {
    const hint = 'programs have other helpers for this kind of map';
    throw refused(command, ERRNO.EINVAL, what, hint);
  }
}

function keyOf({ map }: AskedMap, key: Uint8Array): Uint8Array {
  const { keySize } = map.attributes;
  checkRoom(key, keySize, 'the key');
  return key.subarray(0, keySize);
}
