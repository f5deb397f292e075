/**
 * What a fuzzer does to an object. An edit is a name and three numbers of 32 bits; each takes of them
 * what it needs by remainder, so that any numbers are an edit and edits can be left out of a list.
 */

import { baseBytes, Draft, longFrom, NAMES, valueFrom } from './draft.ts';
import { joined, REL_BYTES, SECTION_FIELDS, SYMBOL_BYTES, viewOf } from './image.ts';
import { ENTRY_WORDS, KIND, type Types } from './types.ts';

/** A name of {@link EDITS} or {@link BYTE_EDITS}, and three numbers. */
export type Edit = readonly [name: string, a: number, b: number, c: number];

type Change = (draft: Draft, a: number, b: number, c: number, bases: readonly string[]) => void;

/** At most so many bytes come out of an edit that repeats something. */
const MOST_REPEATED = 64 * 1024;

/** Symbol fields: where, and how many bytes. */
const SYMBOL_FIELDS = [
  [0, 4],
  [4, 1],
  [5, 1],
  [6, 2],
  [8, 8],
  [16, 8],
] as const;

/** Kinds of types that wrap one other, for chains. */
const WRAPPERS = [8, 10, 9, 11, 18, KIND.PTR, KIND.ARRAY, KIND.STRUCT, KIND.FUNC_PROTO, KIND.VAR];

/** Changes of the container, its symbols and relocations, and its code. */
const ELF_EDITS: Readonly<Record<string, Change>> = {
  section({ image }, a, b, c) {
    const section = image.sections[a % image.sections.length]!;
    const [name] = SECTION_FIELDS[b % SECTION_FIELDS.length]!;
    image.setField(section, b, longFrom(c, image.field(section, name)));
  },
  sectionCopy({ image }, a) {
    const section = image.sections[a % image.sections.length]!;
    image.sections.push({ ...section, header: section.header.slice() });
  },
  sectionDrop({ image }, a) {
    image.sections.splice(a % image.sections.length, 1);
  },
  sectionOverlap({ image }, a, b) {
    const one = image.sections[a % image.sections.length]!;
    const other = image.sections[b % image.sections.length]!;
    one.data = other.data;
  },
  sectionName({ image }, a, b) {
    const names = image.sectionNames;
    if (names !== undefined) {
      const section = image.sections[a % image.sections.length]!;
      image.setField(section, 0, BigInt(names.data.length));
      names.data = joined(names.data, NAMES[b % NAMES.length]!, Uint8Array.of(0));
    }
  },
  sectionCut({ image }, a, b) {
    const section = image.sections[a % image.sections.length]!;
    section.data = section.data.slice(0, b % (section.data.length + 1));
  },
  unterminated({ image }, a) {
    const tables = image.ofType(3);
    const table = tables[a % (tables.length || 1)];
    if (table !== undefined && table.data.length > 0) {
      table.data[table.data.length - 1] = 0x78;
    }
  },
  header({ image }, a, b) {
    const at = a % 62;
    image.put(image.header, at, 2, BigInt(valueFrom(b, viewOf(image.header).getUint16(at, true))));
  },
  symbol({ image }, a, b, c) {
    const [table] = image.ofType(2);
    if (table !== undefined) {
      const at = (a % Math.max(1, table.data.length / SYMBOL_BYTES)) | 0;
      const [offset, bytes] = SYMBOL_FIELDS[b % SYMBOL_FIELDS.length]!;
      const around = offset === 6 ? image.sections.length : 64;
      image.put(table.data, at * SYMBOL_BYTES + offset, bytes, longFrom(c, around));
    }
  },
  symbolCopy({ image }, a, b) {
    const [table] = image.ofType(2);
    if (table !== undefined) {
      const at = (a % Math.max(1, (table.data.length / SYMBOL_BYTES) | 0)) * SYMBOL_BYTES;
      table.data = repeated(table.data, at, SYMBOL_BYTES, b);
    }
  },
  relocation({ image }, a, b, c) {
    const tables = image.ofType(9, 4);
    const table = tables[a % (tables.length || 1)];
    if (table !== undefined) {
      const at = (b % Math.max(1, (table.data.length / REL_BYTES) | 0)) * REL_BYTES;
      const isSymbol = c % 3 === 0;
      const value = BigInt(valueFrom(c >>> 2, isSymbol ? 32 : 64));
      image.put(
        table.data,
        at + (isSymbol && image.littleEndian ? 12 : isSymbol ? 8 : 0),
        isSymbol ? 4 : 8,
        value,
      );
    }
  },
  relocationCopy({ image }, a, b, c) {
    const tables = image.ofType(9, 4);
    const table = tables[a % (tables.length || 1)];
    if (table !== undefined) {
      const at = (b % Math.max(1, (table.data.length / REL_BYTES) | 0)) * REL_BYTES;
      table.data = repeated(table.data, at, REL_BYTES, c);
    }
  },
  instruction({ image }, a, b, c) {
    const code = image.ofType(1).filter((each) => (image.field(each, 'flags') & 4) !== 0);
    const section = code[a % (code.length || 1)];
    if (section !== undefined && section.data.length >= 8) {
      const at = (b % ((section.data.length / 8) | 0)) * 8;
      const opcodes = [0x18, 0x85, 0x95, 0x05, 0x06, 0xe5, 0xbf, 0xdb, c >>> 8];
      if ((c & 1) === 0) {
        image.put(section.data, at, 1, BigInt(opcodes[(c >>> 1) % opcodes.length]!));
      } else if ((c & 2) === 0) {
        image.put(section.data, at + 1, 1, BigInt(c >>> 8));
      } else {
        image.put(section.data, at + 4, 4, BigInt(valueFrom(c >>> 2, 8)));
      }
    }
  },
  rename(draft, a, b, c) {
    const { types, image } = draft;
    const names = image.symbolNames;
    const [symbols] = image.ofType(2);
    if (symbols !== undefined && names !== undefined && symbols.data.length >= SYMBOL_BYTES) {
      const nameAt = (which: number) => {
        const at = (which % (symbols.data.length / SYMBOL_BYTES)) | 0;
        const offset = viewOf(symbols.data).getUint32(at * SYMBOL_BYTES, image.littleEndian);
        const end = names.data.indexOf(0, offset);
        return names.data.subarray(offset, end === -1 ? undefined : end);
      };
      const to = c % 3 === 0 ? nameAt(b) : NAMES[b % NAMES.length]!;
      draft.rename(String.fromCharCode(...nameAt(a).subarray(0, 1000)), to.slice());
    } else if (types !== undefined) {
      draft.rename(types.nameOf(types.types[a % types.types.length]!), NAMES[b % NAMES.length]!);
    }
  },
  splice({ image }, a, b, _c, bases) {
    const other = new Draft(baseBytes(bases[a % bases.length]!)).image;
    const section = image.sections[b % image.sections.length]!;
    const source = other.named(image.nameOf(section)) ?? other.sections[b % other.sections.length];
    if (source !== undefined) {
      section.data = source.data.slice();
    }
  },
};

/** Changes of types and of what `.BTF.ext` says. */
const BTF_EDITS: Readonly<Record<string, Change>> = {
  typeWord: onType((types, type, _id, b, c) => {
    type[b % type.length] = valueFrom(c, types.types.length);
  }),
  typeKind: onType((_types, type, _id, b) => {
    type[1] = ((type[1]! & 0x80ff_ffff) | ((b % 21) << 24)) >>> 0;
  }),
  typeVlen: onType((_types, type, _id, b) => {
    const vlen = type[1]! & 0xffffff;
    type[1] = ((type[1]! & 0xff00_0000) | (valueFrom(b, vlen) & 0xffffff)) >>> 0;
  }),
  typeFlag: onType((_types, type) => {
    type[1] = (type[1]! ^ 0x8000_0000) >>> 0;
  }),
  typeSize: onType((_types, type, _id, b) => {
    type[2] = valueFrom(b, type[2]!);
  }),
  reference: onType((types, type, id, b, c) => {
    const places = types.references(type);
    if (places.length > 0) {
      const target = c % 4 === 0 ? id : 1 + ((c >>> 2) % types.types.length);
      type[places[b % places.length]!] = target;
    }
  }),
  typeName: onType((types, type, _id, b, c) => {
    const places = types.nameWords(type);
    type[places[b % places.length]!] =
      c % 4 === 0
        ? valueFrom(c >>> 2, types.strings.length)
        : types.addString(NAMES[(c >>> 2) % NAMES.length]!);
  }),
  arrayLength: (draft, a, b) => {
    const arrays = draft.types?.types.filter((type) => draft.types!.kindOf(type) === KIND.ARRAY);
    const array = arrays?.[a % (arrays.length || 1)];
    if (array !== undefined) {
      array[5] = valueFrom(b, array[5]!);
    }
  },
  typeCopy: onType((types, type, _id, b, c) => {
    for (
      let count = Math.min(1 << (b % 8), MOST_REPEATED / (type.length * 4));
      count > 0;
      count -= 1
    ) {
      types.types.push([...type]);
    }
    redirect(types, c, types.types.length);
  }),
  typeDrop: ({ types }, a) => {
    types?.types.splice(a % types.types.length, 1);
  },
  entries: onType((types, type, _id, b, c) => {
    const each = ENTRY_WORDS[types.kindOf(type)];
    if (each !== undefined && type.length >= 3 + each) {
      const from = 3 + (b % ((type.length - 3) / each)) * each;
      const entry = type.slice(from, from + each);
      const times = Math.min(1 << (c % 11), MOST_REPEATED / (each * 4));
      type.push(...Array.from({ length: times * each }, (_, at) => entry[at % each]!));
      type[1] = ((type[1]! & 0xff00_0000) | (((type.length - 3) / each) & 0xffffff)) >>> 0;
    }
  }),
  entryDrop: onType((types, type, _id, b) => {
    const each = ENTRY_WORDS[types.kindOf(type)];
    if (each !== undefined && type.length >= 3 + each) {
      type.splice(3 + (b % ((type.length - 3) / each)) * each, each);
      type[1] = (type[1]! - 1) >>> 0;
    }
  }),
  chain: onTypes((types, a, b, c) => {
    let target = 1 + (a % types.types.length);
    const place = referencePlace(types, c);
    const kind = WRAPPERS[(b >>> 4) % WRAPPERS.length]!;
    for (let left = 1 << (b % 11); left > 0; left -= 1) {
      target = wrap(types, kind, target, c);
    }
    place(target);
  }),
  nest: onTypes((types, a, b, c) => {
    let target = 1 + (a % types.types.length);
    const place = referencePlace(types, c);
    const kind = (b & 1) === 0 ? KIND.STRUCT : KIND.UNION;
    const name = (b & 2) === 0 ? 0 : types.addString(NAMES[a % NAMES.length]!);
    for (let left = (b >>> 2) % 40; left > 0; left -= 1) {
      target = types.add(kind, 2, [8, name, target, 0, 0, target, (b >>> 8) % 64]);
    }
    place(target);
  }),
  strings: onTypes((types, a) => {
    if (types.strings.length > 0) {
      types.strings[types.strings.length - 1] = a & 1;
    }
  }),
  ext({ image }, a, b) {
    const section = image.named('.BTF.ext');
    if (section !== undefined && section.data.length >= 4) {
      const at = (a % ((section.data.length / 4) | 0)) * 4;
      const before = viewOf(section.data).getUint32(at, image.littleEndian);
      image.put(section.data, at, 4, BigInt(valueFrom(b, before)));
    }
  },
};

/** Changes of the bytes of a file, whatever they are. */
export const BYTE_EDITS: Readonly<
  Record<string, (bytes: Uint8Array, a: number, b: number, c: number) => Uint8Array>
> = {
  byte(bytes, a, b) {
    bytes[a % (bytes.length || 1)] = b;
    return bytes;
  },
  word(bytes, a, b) {
    const at = (a % Math.max(1, bytes.length - 3)) & ~3;
    if (at + 4 <= bytes.length) {
      viewOf(bytes).setUint32(at, valueFrom(b, viewOf(bytes).getUint32(at, true)), true);
    }
    return bytes;
  },
  cut: (bytes, a) => bytes.slice(0, a % (bytes.length + 1)),
  insert: (bytes, a, b, c) => {
    const at = a % (bytes.length + 1);
    const run = new Uint8Array(1 << (b % 12)).fill(c);
    return joined(bytes.subarray(0, at), run, bytes.subarray(at));
  },
  repeat: (bytes, a, b, c) => {
    const at = a % (bytes.length + 1);
    const run = bytes.subarray(at, at + (b % 64));
    const times = Math.min(1 << (c % 12), MOST_REPEATED / (run.length || 1));
    const copies = Array.from({ length: times }, () => run);
    return joined(bytes.subarray(0, at), ...copies, bytes.subarray(at));
  },
};

/** Changes of an object in parts. */
export const EDITS: Readonly<Record<string, Change>> = { ...ELF_EDITS, ...BTF_EDITS };

/** Makes one of {@link EDITS}; those of the container do nothing where there is none. */
export function applyEdit(draft: Draft, [name, a, b, c]: Edit, bases: readonly string[]): void {
  if (draft.image.sections.length > 0 || BTF_EDITS[name] !== undefined) {
    EDITS[name]!(draft, a, b, c, bases);
  }
}

/** Changes that only concern types and what belongs to them. */
export const TYPE_EDITS = Object.keys(BTF_EDITS);

function onTypes(change: (types: Types, a: number, b: number, c: number) => void): Change {
  return ({ types }, a, b, c) => {
    if (types !== undefined && types.types.length > 0) {
      change(types, a, b, c);
    }
  };
}

/** A change of the type that the first number chooses. */
function onType(
  change: (types: Types, type: number[], id: number, b: number, c: number) => void,
): Change {
  return onTypes((types, a, b, c) => {
    const index = a % types.types.length;
    change(types, types.types[index]!, index + 1, b, c);
  });
}

/** A place that refers to a type, and what writes another id there. */
function referencePlace(types: Types, choice: number): (id: number) => void {
  const users = types.types.filter((type) => types.references(type).length > 0);
  const type = users[choice % (users.length || 1)];
  return (id) => {
    if (type !== undefined) {
      const places = types.references(type);
      type[places[(choice >>> 8) % places.length]!] = id;
    }
  };
}

function redirect(types: Types, choice: number, id: number): void {
  referencePlace(types, choice)(id);
}

/** Adds a type around another; its id. */
function wrap(types: Types, kind: number, target: number, bits: number): number {
  switch (kind) {
    case KIND.ARRAY:
      return types.add(kind, 0, [0, target, 1, valueFrom(bits, 1)]);
    case KIND.STRUCT:
      return types.add(kind, 1, [8, 0, target, 0]);
    case KIND.FUNC_PROTO:
      return types.add(kind, 1, [target, 0, target]);
    case KIND.VAR:
      return types.add(kind, 0, [target, 1]);
    default:
      return types.add(kind, 0, [target]);
  }
}

/** Records with one of them many times more behind the others. */
function repeated(records: Uint8Array, at: number, bytes: number, times: number): Uint8Array {
  const one = records.slice(at, at + bytes);
  const count = Math.min(1 << (times % 12), MOST_REPEATED / bytes);
  return joined(records, ...Array.from({ length: count }, () => one));
}
