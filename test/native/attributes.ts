/**
 * `union bpf_attr` of `linux/bpf.h`, as far as the tests of the shim need it, written by hand so
 * that they depend on nothing of the encoder under src/.
 */

import { loadNative } from '../../src/kernel/native.ts';

export const BPF_MAP_CREATE = 0;
export const BPF_MAP_LOOKUP_ELEM = 1;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_MAP_FREEZE = 22;
export const BPF_MAP_TYPE_ARRAY = 2;
export const BPF_F_MMAPABLE = 1 << 10;

/** bpf(2) with the attributes given as 32-bit words. */
export function bpf(command: number, ...words: readonly number[]): number {
  const attributes = Uint32Array.from(words);
  const native = loadNative();
  return native.bpf(command, native.address(attributes.buffer), attributes.byteLength);
}

/** An array map; throws with the errno if the kernel refuses. */
export function createArray(keySize: number, valueSize: number, entries: number, flags = 0) {
  const fd = bpf(BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY, keySize, valueSize, entries, flags);
  if (fd < 0) throw new Error(`BPF_MAP_CREATE: errno ${-fd}`);
  return fd;
}

/** BPF_MAP_LOOKUP_ELEM or BPF_MAP_UPDATE_ELEM with the addresses of a key and a value. */
export function element(command: number, fd: number, key: ArrayBuffer, value: ArrayBuffer): number {
  const native = loadNative();
  const attributes = new DataView(new ArrayBuffer(32));
  attributes.setUint32(0, fd, true);
  attributes.setBigUint64(8, BigInt(native.address(key)), true);
  attributes.setBigUint64(16, BigInt(native.address(value)), true);
  return native.bpf(command, native.address(attributes.buffer), 32);
}
