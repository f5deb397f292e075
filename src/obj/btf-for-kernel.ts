/**
 * An object's BTF as the kernel takes it. What clang writes is unfinished: sections have no size,
 * global variables no offset, externs stand where the kernel wants definitions.
 *
 * Rules: what `kernel/bpf/btf.c` checks in BPF_BTF_LOAD, and libbpf's `bpf_object_fixup_btf` and
 * `bpf_object__collect_externs`. Type ids stay what they are in the object.
 */

import { BTF_KIND } from '../uapi/btf-kinds.ts';
import type { Btf } from './btf/btf.ts';
import type { BtfSection } from './btf/types.ts';
import { type BtfPart, replaceParts } from './btf-for-kernel-older.ts';
import { BtfWriter, LINKAGE_GLOBAL, LINKAGE_STATIC, VLEN_MASK } from './btf-for-kernel-writer.ts';
import { type ElfSection, STB, STT, STV } from './elf.ts';
import type { ObjectFile } from './object.ts';

const LINKAGE_EXTERN = 2;

/** A kernel that knows all there is. */
const NOTHING: ReadonlySet<BtfPart> = new Set();

/**
 * Encodes an object's BTF for BPF_BTF_LOAD, in the host's byte order.
 *
 * @param unknown what the kernel does not know: older kinds stand for it, with the same ids and sizes
 * @throws ObjectError `ERR_SKEP_BTF` if a section that BTF describes is not in the object
 */
export function encodeForKernel(
  object: ObjectFile,
  btf: Btf,
  unknown: ReadonlySet<BtfPart> = NOTHING,
): Uint8Array {
  const writer = new BtfWriter(btf);
  const sections = new Map<string, ElfSection>();
  for (const section of object.elf.sections) {
    sections.set(section.name, section);
  }
  const hidden = hiddenFunctions(object);
  const layouts = new Map<string, Layout>();
  // Thousands of functions can share a prototype with thousands of parameters.
  const named = new Set<number>();
  for (let id = 1; id < btf.typeCount; id += 1) {
    switch (btf.kindOf(id)) {
      case BTF_KIND.PTR:
        // rustc names pointers, the kernel wants them anonymous.
        writer.set(id, 0, 0);
        break;
      case BTF_KIND.FUNC:
        defineFunction(writer, id, hidden);
        if (!named.has(btf.sizeOrType(id))) {
          named.add(btf.sizeOrType(id));
          nameParameters(writer, btf.sizeOrType(id));
        }
        break;
      case BTF_KIND.DATASEC:
        defineSection(writer, object, sections, layouts, id);
        break;
      default:
    }
  }
  if (unknown.size > 0) {
    // Last: sections and what is in them are described by their own kinds till then.
    replaceParts(writer, unknown);
  }
  return writer.finish();
}

/**
 * Functions of `.text` that other objects cannot see. The kernel verifies global functions by
 * themselves, for any arguments; these are verified where they are called, as static ones (libbpf's
 * `mark_btf_static`).
 */
function hiddenFunctions({ elf, symbols }: ObjectFile): ReadonlySet<string> {
  const text = elf.sections.find(({ name }) => name === '.text');
  const hidden = new Set<string>();
  for (const symbol of text === undefined ? [] : (symbols[text.index] ?? [])) {
    const visibility = elf.symbols.visibility(symbol);
    const isHidden = visibility === STV.HIDDEN || visibility === STV.INTERNAL;
    if (isHidden && elf.symbols.type(symbol) === STT.FUNC) {
      hidden.add(elf.symbols.name(symbol));
    }
  }
  return hidden;
}

/** Functions are static or global. */
function defineFunction(writer: BtfWriter, id: number, hidden: ReadonlySet<string>): void {
  const { btf } = writer;
  const info = writer.get(id, 1);
  const linkage = info & VLEN_MASK;
  if (linkage === LINKAGE_EXTERN) {
    writer.set(id, 1, (info & ~VLEN_MASK) | LINKAGE_GLOBAL);
  } else if (linkage === LINKAGE_GLOBAL && hidden.size > 0 && hidden.has(btf.nameOf(id))) {
    writer.set(id, 1, (info & ~VLEN_MASK) | LINKAGE_STATIC);
  }
}

/** The kernel wants parameters of functions named. */
function nameParameters(writer: BtfWriter, prototype: number): void {
  const parameters = writer.get(prototype, 1) & VLEN_MASK;
  for (let index = 0; index < parameters; index += 1) {
    const at = 3 + index * 2;
    if (writer.get(prototype, at) === 0 && writer.get(prototype, at + 1) !== 0) {
      writer.set(prototype, at, writer.placeholderName());
    }
  }
}

/** What the object says of a section that BTF describes. */
interface Layout {
  readonly size: number;
  /** Offsets of variables by name. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Global variables that other objects cannot see. */
  readonly hidden: ReadonlySet<string>;
}

function defineSection(
  writer: BtfWriter,
  object: ObjectFile,
  sections: ReadonlyMap<string, ElfSection>,
  layouts: Map<string, Layout>,
  id: number,
): void {
  const described = writer.btf.type(id) as BtfSection;
  if (described.name === '.ksyms') {
    defineKernelSymbols(writer, described);
    return;
  }
  // Several types may describe one section.
  const layout =
    layouts.get(described.name) ?? layoutOf(writer.btf, object, sections, described.name);
  layouts.set(described.name, layout);
  for (const { typeId } of described.variables) {
    // Hidden ones become static, as libbpf has them.
    if (
      layout.hidden.size > 0 &&
      writer.btf.kindOf(typeId) === BTF_KIND.VAR &&
      layout.hidden.has(writer.btf.nameOf(typeId))
    ) {
      writer.set(typeId, 3, LINKAGE_STATIC);
    }
  }
  writer.set(id, 2, layout.size);
  placeVariables(writer, described, layout.offsets);
}

/** Looks a section up in the object. */
function layoutOf(
  btf: Btf,
  object: ObjectFile,
  sections: ReadonlyMap<string, ElfSection>,
  name: string,
): Layout {
  const offsets = new Map<string, number>();
  const hidden = new Set<string>();
  if (name === '.kconfig') {
    const options = object.data.get('.kconfig');
    for (const variable of options?.variables ?? []) {
      offsets.set(variable.name, variable.offset);
    }
    return { size: options?.size ?? 0, offsets, hidden };
  }
  const section = sections.get(name);
  if (section === undefined || section.size === 0) {
    throw btf.error(
      `it describes a section "${name}", which the object does not have or which is empty`,
    );
  }
  const { symbols } = object.elf;
  for (const symbol of object.symbols[section.index] ?? []) {
    if (symbols.type(symbol) !== STT.OBJECT || symbols.binding(symbol) === STB.LOCAL) {
      continue;
    }
    const variable = symbols.name(symbol);
    offsets.set(variable, symbols.value(symbol));
    const visibility = symbols.visibility(symbol);
    if (visibility === STV.HIDDEN || visibility === STV.INTERNAL) {
      hidden.add(variable);
    }
  }
  return { size: section.size, offsets, hidden };
}

/** Writes the entries of a section back, with their offsets, in order. */
function placeVariables(
  writer: BtfWriter,
  described: BtfSection,
  offsets: ReadonlyMap<string, number>,
): void {
  const { btf } = writer;
  const entries = described.variables.map(({ typeId, offset, sizeBytes }) => {
    const isVariable = btf.kindOf(typeId) === BTF_KIND.VAR;
    if (isVariable && writer.get(typeId, 3) === LINKAGE_EXTERN) {
      writer.set(typeId, 3, LINKAGE_GLOBAL);
    }
    const isStatic = isVariable && btf.words[btf.starts[typeId]! + 3] === LINKAGE_STATIC;
    return {
      typeId,
      offset: (isStatic ? undefined : offsets.get(btf.nameOf(typeId))) ?? offset,
      sizeBytes,
    };
  });
  entries.sort((a, b) => a.offset - b.offset);
  entries.forEach(({ typeId, offset, sizeBytes }, index) => {
    writer.set(described.id, 3 + index * 3, typeId);
    writer.set(described.id, 4 + index * 3, offset);
    writer.set(described.id, 5 + index * 3, sizeBytes);
  });
}

/**
 * `.ksyms` has no memory: its externs become 4-byte integers, one behind the other, so that what
 * the kernel checks about sections holds. Nothing reads them.
 */
function defineKernelSymbols(writer: BtfWriter, described: BtfSection): void {
  const { btf } = writer;
  described.variables.forEach(({ typeId }, index) => {
    let variable = typeId;
    if (btf.kindOf(typeId) === BTF_KIND.VAR) {
      writer.set(typeId, 2, writer.placeholderInt());
      writer.set(typeId, 3, LINKAGE_GLOBAL);
    } else {
      variable = writer.placeholderVariable();
    }
    writer.set(described.id, 3 + index * 3, variable);
    writer.set(described.id, 4 + index * 3, index * 4);
    writer.set(described.id, 5 + index * 3, 4);
  });
  writer.set(described.id, 2, described.variables.length * 4);
}
