/** Values as JSON: for output that other programs read. */

/** What JSON has. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

/**
 * A decoded value as JSON. Integers that a JSON number cannot hold exactly become decimal strings,
 * bytes become `0x` and two digits each, floats that JSON does not have become their names.
 */
export function toJson(value: unknown): Json {
  switch (typeof value) {
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'string':
    case 'boolean':
      return value;
    default:
      return objectToJson(value);
  }
}

function objectToJson(value: unknown): Json {
  if (value instanceof Uint8Array) {
    return bytesToHex(value);
  }
  if (Array.isArray(value)) {
    return value.map(toJson);
  }
  if (typeof value !== 'object' || value === null) {
    return null;
  }
  // Defined, not assigned: a member may be called __proto__.
  const out: { [name: string]: Json } = {};
  for (const [name, member] of Object.entries(value)) {
    Object.defineProperty(out, name, { value: toJson(member), enumerable: true });
  }
  return out;
}

/** `0x` and two digits for each byte, in the order of memory. */
export function bytesToHex(bytes: Uint8Array): string {
  let text = '0x';
  for (const byte of bytes) {
    text += byte.toString(16).padStart(2, '0');
  }
  return text;
}
