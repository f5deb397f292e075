/** BTF of a few types put together by hand, to ask a kernel with. Format: Documentation/bpf/btf.rst. */

import { encodeText } from '../bytes/text.ts';
import { BTF_INT, BTF_KIND } from '../uapi/btf-kinds.ts';

const HEADER_BYTES = 24;
const MAGIC = 0xeb9f;

/** A type as its words: name, information, size or type, and what its kind has behind them. */
export type SmallType = readonly number[];

/** A signed integer of 32 bits. */
export function intType(name = 0): SmallType {
  return [name, BTF_KIND.INT << 24, 4, (BTF_INT.SIGNED << 24) | 32];
}

/**
 * A type of any kind.
 *
 * @param name offset of its name in the strings
 * @param count of members or parameters; of a function, the linkage
 * @param sizeOrType bytes, or the id of a type
 */
export function typeOf(
  name: number,
  kind: number,
  count: number,
  sizeOrType: number,
  ...more: readonly number[]
): SmallType {
  return [name, (kind << 24) | count, sizeOrType, ...more];
}

/**
 * The bytes for BPF_BTF_LOAD.
 *
 * @param names what the strings have behind the empty one; the first has offset 1
 */
export function smallBtf(
  names: readonly string[],
  types: readonly SmallType[],
  littleEndian: boolean,
): Uint8Array {
  const strings = encodeText(['', ...names, ''].join('\0'));
  const words = types.flat();
  const typeBytes = words.length * 4;
  const out = new Uint8Array(HEADER_BYTES + typeBytes + strings.length);
  const view = new DataView(out.buffer);
  view.setUint16(0, MAGIC, littleEndian);
  view.setUint8(2, 1);
  // Length of the header; offsets and lengths of types and strings; the types.
  const header = [HEADER_BYTES, 0, typeBytes, typeBytes, strings.length];
  [...header, ...words].forEach((word, index) => {
    view.setUint32(4 + index * 4, word >>> 0, littleEndian);
  });
  out.set(strings, HEADER_BYTES + typeBytes);
  return out;
}
