/**
 * Bytes to text and back. Names in ELF and BTF are C identifiers nearly always, and for strings of
 * that length a loop beats `TextDecoder`.
 */

/**
 * What becomes of bytes that are not UTF-8: U+FFFD, as in WHATWG decoding; or, so that nothing is
 * lost, each byte a lone surrogate U+DC80 to U+DCFF, which encoding turns back into the byte.
 */
export type Malformed = 'replace' | 'escape';

/** Decodes `bytes[start, end)` as UTF-8. Nothing throws. */
export function decodeText(
  bytes: Uint8Array,
  start: number,
  end: number,
  malformed: Malformed = 'replace',
): string {
  let text = '';
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte >= 0x80) {
      return text + decodeUtf8(bytes, at, end, malformed);
    }
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Every JavaScript host has one; the pure layers are compiled without any host's types. */
declare const TextDecoder: new (
  encoding: string,
  options: { readonly fatal: boolean; readonly ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string };

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The parts of Node.js that do the same in half the time. */
interface BufferModule {
  isAscii(bytes: Uint8Array): boolean;
  readonly Buffer: {
    readonly prototype: { latin1Slice(this: Uint8Array, start: number, end: number): string };
  };
}

/** Node.js's own, undefined in other hosts. */
const host = (
  globalThis as {
    readonly process?: { getBuiltinModule?(name: string): BufferModule | undefined };
  }
).process?.getBuiltinModule?.('node:buffer');
const latin1Slice = host?.Buffer.prototype.latin1Slice;

/** Decodes a run of ASCII, one character a byte; null if there is anything else in it. */
export function decodeAscii(bytes: Uint8Array): string | null {
  if (host !== undefined && latin1Slice !== undefined) {
    return host.isAscii(bytes) ? latin1Slice.call(bytes, 0, bytes.length) : null;
  }
  try {
    // For long runs the host's decoder wins by far. Other characters take more than one byte each.
    const text = decoder.decode(bytes);
    return text.length === bytes.length ? text : null;
  } catch {
    return null;
  }
}

/** Encodes text as UTF-8. Lone surrogates become U+FFFD, or the bytes that were escaped by them. */
export function encodeText(text: string, malformed: Malformed = 'replace'): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code >= 0x80) {
      return encodeUtf8(text, malformed);
    }
    bytes[at] = code;
  }
  return bytes;
}

function encodeUtf8(text: string, malformed: Malformed): Uint8Array {
  const out: number[] = [];
  for (const character of text) {
    let code = character.codePointAt(0)!;
    if (malformed === 'escape' && code >= 0xdc80 && code <= 0xdcff) {
      out.push(code - 0xdc00);
      continue;
    }
    if (code >= 0xd800 && code <= 0xdfff) {
      code = 0xfffd;
    }
    if (code < 0x80) {
      out.push(code);
    } else if (code < 0x800) {
      out.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    } else {
      out.push(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 0x3f),
        0x80 | ((code >> 6) & 0x3f),
        0x80 | (code & 0x3f),
      );
    }
  }
  return Uint8Array.from(out);
}

/** Smallest code point that a sequence of this many bytes may encode. */
const UTF8_MINIMUM = [0, 0, 0x80, 0x800, 0x10000];

function decodeUtf8(bytes: Uint8Array, start: number, end: number, malformed: Malformed): string {
  let text = '';
  let at = start;
  while (at < end) {
    const lead = bytes[at]!;
    const length = utf8Length(lead);
    let code = length === 1 ? lead : lead & (0x7f >> length);
    let read = 1;
    while (read < length && at + read < end && (bytes[at + read]! & 0xc0) === 0x80) {
      code = (code << 6) | (bytes[at + read]! & 0x3f);
      read += 1;
    }
    const valid =
      length > 0 &&
      read === length &&
      code >= UTF8_MINIMUM[length]! &&
      code <= 0x10ffff &&
      (code < 0xd800 || code > 0xdfff);
    if (!valid && malformed === 'escape') {
      text += String.fromCharCode(0xdc00 + lead);
      at += 1;
      continue;
    }
    text += valid ? String.fromCodePoint(code) : '\ufffd';
    at += read;
  }
  return text;
}

/** Length of the sequence that this byte starts, 0 for a byte that starts none. */
function utf8Length(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}
