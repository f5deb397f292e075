/**
 * How keys of longest prefix match tries lie in memory: the prefix length as a `u32` of the machine,
 * then data, the most significant byte first.
 *
 * Format: `struct bpf_lpm_trie_key_u8` in `include/uapi/linux/bpf.h`; `kernel/bpf/lpm_trie.c`.
 */

import { bytes } from '../codec/aggregates.ts';
import { type Codec, describeValue, rethrowWithin, ValueError } from '../codec/codec.ts';
import { checkInteger } from '../codec/numbers.ts';
import type { Btf } from '../obj/btf/btf.ts';
import { resolveType, sizeOfType } from '../obj/btf/layout.ts';
import { LpmKey, type LpmKeyLike } from './lpm-key.ts';

/** In front of the data. */
const LENGTH_BYTES = 4;
/** Structs of the kernel's headers that hold nothing but an address. */
const ADDRESS_STRUCTS: readonly string[] = ['in_addr', 'in6_addr'];

/**
 * Keys with so many bytes of data: 4 for IPv4, 16 for IPv6, up to 256. Writing takes an
 * {@link LpmKey} or what looks like one, and text where the data is an address. Bits behind the
 * prefix do not count; they are written as zero.
 */
export function lpmKey(dataBytes: number): Codec<LpmKey, LpmKeyLike | string> {
  const data = bytes(dataBytes);
  const name = `lpmKey(${dataBytes})`;
  return {
    name,
    sizeBytes: LENGTH_BYTES + dataBytes,
    alignment: LENGTH_BYTES,
    read: (memory, at) =>
      new LpmKey(
        memory.view.getUint32(at, memory.littleEndian),
        data.read(memory, at + LENGTH_BYTES),
      ),
    write(memory, at, value) {
      const key = typeof value === 'string' ? parseFor(value, dataBytes) : value;
      if (typeof key !== 'object' || key === null) {
        throw new ValueError(
          `expected { prefixLength, data } or the text of an address, got ${describeValue(value)}`,
        );
      }
      const length = within('prefixLength', () =>
        checkInteger(key.prefixLength, 0, dataBytes * 8, 'a prefix length'),
      );
      within('data', () => data.write(memory, at + LENGTH_BYTES, key.data));
      memory.view.setUint32(at, length, memory.littleEndian);
      clearBehind(memory.bytes.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + dataBytes), length);
    },
  };
}

/**
 * The codec of keys whose struct is a `u32` and one member behind it that is data: an integer, an
 * array of integers, or an address of the kernel's. Undefined for any other type, whose members are
 * worth more than bytes.
 */
export function lpmKeyOf(btf: Btf, typeId: number): Codec<LpmKey, LpmKeyLike | string> | undefined {
  const key = resolveType(btf, typeId);
  if (key.kind !== 'struct' || key.members.length !== 2) {
    return undefined;
  }
  const [length, data] = key.members;
  const lengthType = resolveType(btf, length!.typeId);
  if (
    lengthType.kind !== 'int' ||
    lengthType.sizeBytes !== LENGTH_BYTES ||
    length!.bitOffset !== 0 ||
    data!.bitOffset !== LENGTH_BYTES * 8 ||
    data!.bitSize !== 0 ||
    !isData(btf, data!.typeId)
  ) {
    return undefined;
  }
  const dataBytes = sizeOfType(btf, data!.typeId);
  // Padding at the end would be data to the kernel.
  return dataBytes > 0 && LENGTH_BYTES + dataBytes === key.sizeBytes
    ? lpmKey(dataBytes)
    : undefined;
}

function isData(btf: Btf, typeId: number): boolean {
  const type = resolveType(btf, typeId);
  switch (type.kind) {
    case 'int':
      return true;
    case 'array':
      return resolveType(btf, type.elementTypeId).kind === 'int';
    case 'struct':
      return ADDRESS_STRUCTS.includes(type.name);
    default:
      return false;
  }
}

function parseFor(text: string, dataBytes: number): LpmKey {
  const key = LpmKey.parse(text);
  if (key.data.length !== dataBytes) {
    throw new ValueError(
      `${describeValue(text)} has ${key.data.length} bytes, keys of this map have ${dataBytes}`,
    );
  }
  return key;
}

function within<T>(member: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    rethrowWithin(error, member);
  }
}

function clearBehind(data: Uint8Array, prefixLength: number): void {
  const whole = prefixLength >> 3;
  if (whole < data.length) {
    data[whole] = data[whole]! & (0xff00 >> (prefixLength & 7));
    data.fill(0, whole + 1);
  }
}
