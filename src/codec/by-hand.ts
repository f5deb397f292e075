/**
 * Structs and unions written by hand, where there is no BTF: laid out as C lays them out, with types
 * inferred from the members.
 *
 * @example
 * const Flow = struct({ port: u16, packets: u64 });
 * type Flow = Decoded<typeof Flow>; // { port: number; packets: bigint }
 */

import { alignUp } from '../bytes/align.ts';
import type { Codec, Decoded, Encodable } from './codec.ts';
import { type Member, structOf, unionOf } from './struct.ts';

/** Members by name, in order. */
export type Members = Readonly<Record<string, Codec<unknown, never>>>;

type DecodedMembers<M extends Members> = { -readonly [K in keyof M]: Decoded<M[K]> };
type EncodableMembers<M extends Members> = { readonly [K in keyof M]: Encodable<M[K]> };

/** How a struct is laid out. */
export interface StructOptions {
  /** Without padding, as by `__attribute__((packed))`. */
  readonly packed?: boolean;
  /** C's name for it, for messages. */
  readonly name?: string;
}

/**
 * A struct. Names that look like numbers are not allowed: JavaScript would reorder them.
 *
 * @throws TypeError for such a name
 */
export function struct<const M extends Members>(
  members: M,
  options: StructOptions = {},
): Codec<DecodedMembers<M>, EncodableMembers<M>> {
  const placed: Member[] = [];
  let end = 0;
  let alignment = 1;
  for (const [name, codec] of entriesOf(members)) {
    const own = options.packed === true ? 1 : codec.alignment;
    const offset = alignUp(end, own);
    placed.push({ name, codec, offset });
    end = offset + codec.sizeBytes;
    alignment = Math.max(alignment, own);
  }
  const codec = structOf(options.name ?? 'struct', alignUp(end, alignment), alignment, placed);
  return codec as unknown as Codec<DecodedMembers<M>, EncodableMembers<M>>;
}

/** A union: reading gives every member's view of the bytes, writing takes one of them. */
export function union<const M extends Members>(
  members: M,
  options: Omit<StructOptions, 'packed'> = {},
): Codec<DecodedMembers<M>, Partial<EncodableMembers<M>>> {
  const placed: Member[] = [];
  let size = 0;
  let alignment = 1;
  for (const [name, codec] of entriesOf(members)) {
    placed.push({ name, codec, offset: 0 });
    size = Math.max(size, codec.sizeBytes);
    alignment = Math.max(alignment, codec.alignment);
  }
  const codec = unionOf(options.name ?? 'union', alignUp(size, alignment), alignment, placed);
  return codec as unknown as Codec<DecodedMembers<M>, Partial<EncodableMembers<M>>>;
}

function entriesOf(members: Members): [string, Codec<unknown, never>][] {
  const entries = Object.entries(members);
  for (const [name] of entries) {
    if (/^\d+$/.test(name)) {
      throw new TypeError(
        `the member "${name}" looks like a number, whose place JavaScript decides`,
      );
    }
  }
  return entries;
}
