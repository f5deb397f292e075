/**
 * The smallest BTF that the kernel creates local storage with: it wants a 32-bit integer as the key
 * (`bpf_local_storage_map_check_btf`), and any type of the right size as the value.
 *
 * Format: Documentation/bpf/btf.rst.
 */

import { encodeText } from '../bytes/text.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';

/** Type ids in {@link storageBtf}: an `int`, and an array of as many bytes as a value has. */
export const STORAGE_TYPES = { keyTypeId: 1, valueTypeId: 3 } as const;

const HEADER_BYTES = 24;
const MAGIC = 0xeb9f;
const SIGNED = 1 << 24;

/** BTF with the types of {@link STORAGE_TYPES}. */
export function storageBtf(valueSize: number, littleEndian: boolean): Uint8Array<ArrayBuffer> {
  const strings = encodeText('\0int\0unsigned char\0');
  const [int, byte] = [1, 5];
  // Each type: name, kind, size; integers also their encoding, the array its element, index, length.
  const types = [
    ...[int, BTF_KIND.INT << 24, 4, SIGNED | 32],
    ...[byte, BTF_KIND.INT << 24, 1, 8],
    ...[0, BTF_KIND.ARRAY << 24, 0, 2, 1, valueSize],
  ];
  const typesBytes = types.length * 4;
  const out = new Uint8Array(HEADER_BYTES + typesBytes + strings.length);
  const view = new DataView(out.buffer);
  view.setUint16(0, MAGIC, littleEndian);
  view.setUint8(2, 1);
  // Length of the header; offset and length of types and strings behind it; then the types.
  [HEADER_BYTES, 0, typesBytes, typesBytes, strings.length, ...types].forEach((word, index) => {
    view.setUint32(4 + index * 4, word, littleEndian);
  });
  out.set(strings, HEADER_BYTES + typesBytes);
  return out;
}
