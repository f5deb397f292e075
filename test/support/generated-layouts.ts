/**
 * Where clang puts the members of the types of fixtures/layouts, down to single values: what clang said
 * of each member (`clang.bpf.o`), put together. The sizes and places are all clang's own; only that the
 * elements of an array lie one behind the other is taken as known.
 */

import {
  DEFINITIONS,
  type Definition,
  type Member,
  placesOf,
  type Type,
} from '../../fixtures/layouts/types.mjs';
import { ElfFile } from '../../src/obj/elf.ts';
import { fixtureBytes } from './fixtures.ts';

/** A number, a truth value or a name of an enum, somewhere in a value. */
export interface Leaf {
  /** Member names and indices from the outermost value inwards. */
  readonly path: readonly (string | number)[];
  /** The bits that are its own, byte by byte from `start`. */
  readonly start: number;
  readonly mask: Uint8Array;
  readonly type: Type;
  readonly bits: number | null;
}

/** A bitfield, and bytes of the whole type around it. */
export interface BitfieldImage {
  readonly path: readonly (string | number)[];
  readonly member: Member;
  /** The field is all ones, everything else zero. */
  readonly ones: Uint8Array;
  /** Its lowest bit is one, everything else zero. */
  readonly lowest: Uint8Array;
}

/** What clang says of one type. */
export interface Layout {
  readonly definition: Definition;
  readonly size: number;
  readonly alignment: number;
  readonly leaves: readonly Leaf[];
  readonly images: readonly BitfieldImage[];
}

/** Where one member is: as bytes, or as bits of the whole type. */
type Place = { readonly offset: number; readonly size: number } | { readonly ones: Uint8Array };

/** A type's definition with what clang says of it alone. */
interface Said {
  readonly size: number;
  readonly alignment: number;
  readonly places: ReadonlyMap<string, Place>;
  readonly images: readonly BitfieldImage[];
}

/** What clang says of all types, in one byte order. */
export function clangLayouts(suffix: '' | '.eb'): Layout[] {
  const said = readAnswers(suffix);
  return DEFINITIONS.map((definition) => {
    const { size, alignment, images } = said.get(definition)!;
    return { definition, size, alignment, images, leaves: leavesOf(definition, said) };
  });
}

function readAnswers(suffix: '' | '.eb'): ReadonlyMap<Definition, Said> {
  const elf = ElfFile.parse(fixtureBytes(`layouts/clang${suffix}.bpf.o`));
  const section = (name: string) => elf.data(elf.sections.find((each) => each.name === name)!);
  const sizes = numbersOf(section('clang.sizes'), suffix === '');
  const members = numbersOf(section('clang.members'), suffix === '');
  const bytes = section('clang.images');
  let at = 0;
  const nextImage = (size: number) => {
    at += size;
    return bytes.slice(at - size, at);
  };
  const said = new Map<Definition, Said>();
  for (const definition of DEFINITIONS) {
    const [size, alignment] = [sizes(), sizes()];
    const places = new Map<string, Place>();
    const images: BitfieldImage[] = [];
    for (const { path, member } of placesOf(definition.type)) {
      if (member.bits === null) {
        places.set(path, { offset: members(), size: members() });
      } else {
        const [ones, lowest] = [nextImage(size), nextImage(size)];
        places.set(path, { ones });
        images.push({ path: path.split('.'), member, ones, lowest });
      }
    }
    said.set(definition, { size, alignment, places, images });
  }
  if (sizes.left() + members.left() + bytes.length - at !== 0) {
    throw new Error('clang.bpf.o was made from other types; run fixtures/build.sh');
  }
  return said;
}

/** Gives one number of 16 bits after the other. */
function numbersOf(bytes: Uint8Array, littleEndian: boolean): (() => number) & { left(): number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const next = () => {
    at += 2;
    return view.getUint16(at - 2, littleEndian);
  };
  return Object.assign(next, { left: () => bytes.length - at });
}

/** The leaves of one definition. */
function leavesOf(definition: Definition, said: ReadonlyMap<Definition, Said>): Leaf[] {
  const { size, places } = said.get(definition)!;

  function ofType(type: Type, typeSize: number, prefix: string): Leaf[] {
    switch (type.kind) {
      case 'named':
        return leavesOf(type.definition, said);
      case 'array':
        return ofArray(type.of, type.count, typeSize, prefix);
      case 'struct':
      case 'union':
        return type.members.flatMap((member) => ofMember(member, prefix));
      default:
        return [{ path: [], start: 0, mask: filled(typeSize), type, bits: null }];
    }
  }

  function ofArray(of: Type, count: number, arraySize: number, prefix: string): Leaf[] {
    const each = count === 0 ? 0 : arraySize / count;
    return Array.from({ length: count }, (_, index) =>
      ofType(of, each, prefix).map((leaf) => within(leaf, [index], index * each)),
    ).flat();
  }

  /** Seen from the definition, also where the member is in a member: clang was asked so. */
  function ofMember({ name, type, bits }: Member, prefix: string): Leaf[] {
    if (name === '') {
      return bits === null ? ofType(type, 0, prefix) : [];
    }
    const place = places.get(prefix + name)!;
    if ('ones' in place) {
      return [{ path: [name], start: 0, mask: place.ones, type, bits }];
    }
    const isInline = type.kind === 'struct' || type.kind === 'union';
    const inner = ofType(type, place.size, isInline ? `${prefix}${name}.` : '');
    return inner.map((leaf) => within(leaf, [name], isInline ? 0 : place.offset));
  }

  return ofType(definition.type, size, '');
}

function within(leaf: Leaf, steps: readonly (string | number)[], offset: number): Leaf {
  return { ...leaf, path: [...steps, ...leaf.path], start: leaf.start + offset };
}

function filled(size: number): Uint8Array {
  return new Uint8Array(size).fill(0xff);
}

/** What is at a path inside a value. */
export function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let inner = value;
  for (const step of path) {
    inner = (inner as Record<string | number, unknown>)[step];
  }
  return inner;
}

/** A path as C spells it. */
export function spell({ name }: Definition, path: readonly (string | number)[]): string {
  return name + path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
}
