/**
 * Structs and unions: members at offsets, bitfields, anonymous members seen through, padding written
 * as zero. The layout is given; `layout.ts` computes C's for those written by hand, `from-btf.ts`
 * takes the compiler's.
 */

import { type Bitfield, readBitfield, writeBitfield } from './bitfield.ts';
import { type Codec, describeValue, Memory, rethrowWithin, ValueError } from './codec.ts';

/** One member of a struct or union. */
export interface Member {
  /** '' for an anonymous struct or union, whose members count as the outer one's. */
  readonly name: string;
  readonly codec: Codec<unknown, never>;
  /** In bytes; for a bitfield that of the integer that holds it. */
  readonly offset: number;
  readonly bitfield?: Bitfield;
}

/** Values of structs: plain objects. */
export type Fields = Record<string, unknown>;

/** A codec that can merge its members into the object of an outer one. */
interface MergingCodec extends Codec<Fields> {
  /** Names of all members, those of anonymous members included. */
  readonly memberNames: readonly string[];
  readInto(memory: Memory, offset: number, out: Fields): void;
  /** Writes those members that `value` has. */
  writeFrom(memory: Memory, offset: number, value: Fields): void;
}

/** How one member is read into, and written from, the object of its struct. */
interface Part {
  readonly names: readonly string[];
  readonly sizeBytes: number;
  read(memory: Memory, at: number, out: Fields): void;
  write(memory: Memory, at: number, value: Fields): void;
}

/**
 * A struct of these members.
 *
 * @param name C's name for it, for messages
 */
export function structOf(
  name: string,
  sizeBytes: number,
  alignment: number,
  members: readonly Member[],
): Codec<Fields> {
  return compose(name, sizeBytes, alignment, members, false);
}

/**
 * A union of these members. Reading gives each member's view of the bytes. Writing takes one member,
 * or several that agree in every byte, so that what was read can be written back.
 */
export function unionOf(
  name: string,
  sizeBytes: number,
  alignment: number,
  members: readonly Member[],
): Codec<Fields> {
  return compose(name, sizeBytes, alignment, members, true);
}

function compose(
  name: string,
  sizeBytes: number,
  alignment: number,
  members: readonly Member[],
  isUnion: boolean,
): MergingCodec {
  const parts = members.map(partOf);
  const memberNames = parts.flatMap((part) => part.names);
  const known = new Set(memberNames);
  const writeParts = isUnion ? writeOneOf : writeAll;
  const readPlain = plainReader(members);
  const codec: MergingCodec = {
    name,
    sizeBytes,
    alignment,
    memberNames,
    read: readPlain ?? readParts(parts),
    readInto(memory, at, out) {
      for (const part of parts) {
        part.read(memory, at, out);
      }
    },
    write(memory, at, value) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new ValueError(`expected ${name}, an object, got ${describeValue(value)}`);
      }
      for (const key of Object.keys(value)) {
        if (!known.has(key)) {
          throw new ValueError(`${name} has no such member; it has ${memberNames.join(', ')}`, [
            key,
          ]);
        }
      }
      memory.bytes.fill(0, at, at + sizeBytes);
      writeParts(name, parts, memory, at, value, sizeBytes);
    },
    writeFrom(memory, at, value) {
      writeParts(name, parts, memory, at, value, sizeBytes);
    },
  };
  return codec;
}

function readParts(parts: readonly Part[]): (memory: Memory, at: number) => Fields {
  return (memory, at) => {
    const out: Fields = {};
    for (const part of parts) {
      part.read(memory, at, out);
    }
    return out;
  };
}

/** Reads one member's value from where it is. */
type MemberReader = Pick<Codec<unknown>, 'read'>;

/**
 * Reads structs that have named members only, which is nearly all of them. The first eight members
 * have a statement each: V8 remembers for each statement which name it sets on what kind of object,
 * and in a loop over all members that would be too many to remember. It reads several times as fast.
 *
 * @returns undefined for other structs
 */
function plainReader(
  members: readonly Member[],
): ((memory: Memory, at: number) => Fields) | undefined {
  if (members.length === 0 || members.some(({ name }) => name === '' || name === '__proto__')) {
    return undefined;
  }
  const names = members.map(({ name }) => name);
  const readers = members.map(readerOf);
  const offsets = members.map(({ offset }) => offset);
  const count = members.length;
  const [name0, name1, name2, name3, name4, name5, name6, name7] =
    names as unknown as Eight<string>;
  const [read0, read1, read2, read3, read4, read5, read6, read7] =
    readers as unknown as Eight<MemberReader>;
  const [at0, at1, at2, at3, at4, at5, at6, at7] = offsets as unknown as Eight<number>;
  return (memory, at) => {
    const out: Fields = {};
    out[name0] = read0.read(memory, at + at0);
    if (count === 1) return out;
    out[name1] = read1.read(memory, at + at1);
    if (count === 2) return out;
    out[name2] = read2.read(memory, at + at2);
    if (count === 3) return out;
    out[name3] = read3.read(memory, at + at3);
    if (count === 4) return out;
    out[name4] = read4.read(memory, at + at4);
    if (count === 5) return out;
    out[name5] = read5.read(memory, at + at5);
    if (count === 6) return out;
    out[name6] = read6.read(memory, at + at6);
    if (count === 7) return out;
    out[name7] = read7.read(memory, at + at7);
    for (let index = 8; index < count; index += 1) {
      out[names[index]!] = readers[index]!.read(memory, at + offsets[index]!);
    }
    return out;
  };
}

/** As many as the struct has, up to eight. */
type Eight<T> = readonly [T, T, T, T, T, T, T, T];

function readerOf({ codec, bitfield }: Member): MemberReader {
  const own = codec as Codec<unknown>;
  return bitfield === undefined
    ? own
    : { read: (memory, at) => readBitfield(memory, at, bitfield, own) };
}

function writeAll(
  _: string,
  parts: readonly Part[],
  memory: Memory,
  at: number,
  value: Fields,
): void {
  for (const part of parts) {
    part.write(memory, at, value);
  }
}

/**
 * The largest of the given members is written, the others must agree with what it leaves: that way
 * what was read can be changed and written back, and a contradiction is an error. A member that does not
 * show all of its bytes (padding, a text with something behind its end) contradicts one that does. Each
 * is written once, however deep unions are nested.
 */
function writeOneOf(
  name: string,
  parts: readonly Part[],
  memory: Memory,
  at: number,
  value: Fields,
  sizeBytes: number,
): void {
  const given = parts
    .filter((part) => part.names.some((each) => Object.hasOwn(value, each)))
    .sort((a, b) => b.sizeBytes - a.sizeBytes);
  const [first, ...others] = given;
  if (first === undefined) {
    const all = parts.flatMap((part) => part.names);
    if (all.length === 0) return;
    throw new ValueError(`${name} needs one of its members ${all.join(', ')}`);
  }
  first.write(memory, at, value);
  const written = memory.bytes.slice(at, at + sizeBytes);
  for (const other of others) {
    const copy = new Memory(written.slice(), memory.littleEndian);
    other.write(copy, 0, value);
    if (copy.bytes.some((byte, index) => byte !== written[index])) {
      const [a, b] = [first, other].map(({ names }) =>
        names.find((each) => Object.hasOwn(value, each)),
      );
      throw new ValueError(`members ${a} and ${b} of ${name} disagree; give one of them`);
    }
  }
}

function partOf(member: Member): Part {
  const { name, offset, bitfield } = member;
  const codec = member.codec as Codec<unknown>;
  if (name === '' && isMerging(codec)) {
    return {
      names: codec.memberNames,
      sizeBytes: codec.sizeBytes,
      read: (memory, at, out) => codec.readInto(memory, at + offset, out),
      write: (memory, at, value) => codec.writeFrom(memory, at + offset, value),
    };
  }
  if (name === '') {
    // Unnamed bitfields and the like are padding.
    return { names: [], sizeBytes: 0, read: () => {}, write: () => {} };
  }
  const read =
    bitfield === undefined
      ? (memory: Memory, at: number) => codec.read(memory, at + offset)
      : (memory: Memory, at: number) => readBitfield(memory, at + offset, bitfield, codec);
  const write =
    bitfield === undefined
      ? (memory: Memory, at: number, value: unknown) => codec.write(memory, at + offset, value)
      : (memory: Memory, at: number, value: unknown) =>
          writeBitfield(memory, at + offset, bitfield, codec, value);
  return {
    names: [name],
    sizeBytes: bitfield === undefined ? codec.sizeBytes : bitfield.bits / 8,
    read:
      name === '__proto__'
        ? (memory, at, out) => defineOwn(out, name, read(memory, at))
        : (memory, at, out) => {
            out[name] = read(memory, at);
          },
    write(memory, at, value) {
      if (!Object.hasOwn(value, name)) {
        throw new ValueError(`missing; ${codec.name} is expected`, [name]);
      }
      try {
        write(memory, at, value[name]);
      } catch (error) {
        rethrowWithin(error, name);
      }
    },
  };
}

/** Assigning to this name would change the object's prototype. */
function defineOwn(out: Fields, name: string, value: unknown): void {
  Object.defineProperty(out, name, { value, enumerable: true, configurable: true, writable: true });
}

function isMerging(codec: Codec<unknown>): codec is MergingCodec {
  return 'memberNames' in codec;
}
