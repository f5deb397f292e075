/**
 * Links a program: its code with that of every function it reaches behind it, as one run of
 * instructions, which is what the kernel takes.
 *
 * Rules and order: libbpf's `bpf_object__relocate_calls` and `bpf_object__reloc_code`: a function is
 * appended when the first instruction that refers to it is reached, and followed at once; each
 * function once. Its `.BTF.ext` information moves with it (`adjust_prog_btf_ext_info`).
 */

import { ObjectError } from '../errors.ts';
import { BPF_PSEUDO } from '../uapi/opcodes.ts';
import { SourceLines } from './btf/ext-lines.ts';
import { InfoRecords } from './btf/ext-records.ts';
import type { ByteOrder } from './elf.ts';
import { Instructions, SLOT_BYTES } from './instructions/instructions.ts';
import { exceptionCallback } from './link-exceptions.ts';
import type { CodeFunction } from './link-functions.ts';
import type { ObjectFile } from './object.ts';
import type { ProgramDefinition } from './programs.ts';
import type { CodeRelocation, LinkedRelocation } from './relocations.ts';
import { ObjectCode } from './relocations-code.ts';

/** A function as part of a program. */
export interface LinkedFunction {
  readonly name: string;
  /** Name of the section that it comes from. */
  readonly section: string;
  /** Byte offset in that section. */
  readonly offset: number;
  /** Its first instruction in the program. */
  readonly slot: number;
  /** Number of 8-byte instructions. */
  readonly slots: number;
}

/** A program with all that it calls. */
export interface LinkedProgram {
  readonly definition: ProgramDefinition;
  /** Calls and addresses of functions are final; what `relocations` lists is as in the object. */
  readonly instructions: Instructions;
  /** The program itself first, then what it reaches, in the order of the instructions. */
  readonly functions: readonly LinkedFunction[];
  /** What is left to do, by instruction. */
  readonly relocations: readonly LinkedRelocation[];
  /** `func_info` as the kernel takes it, in the object's byte order; undefined if there is none. */
  readonly functionInfo: InfoRecords | undefined;
  /** `line_info` as the kernel takes it, in the object's byte order; undefined if there is none. */
  readonly lineInfo: InfoRecords | undefined;
  /** The same lines to be read; undefined if there are none. */
  readonly lines: SourceLines | undefined;
}

const codes = new WeakMap<ObjectFile, ObjectCode>();

/** What is known of an object's code; read once per object. */
function codeOf(object: ObjectFile): ObjectCode {
  let code = codes.get(object);
  if (code === undefined) {
    code = new ObjectCode(object);
    codes.set(object, code);
  }
  return code;
}

/**
 * Links a program of an object. Needs no kernel; the result belongs to the caller and shares nothing
 * with the object but its types.
 *
 * @param name a key of `object.programs`
 * @throws RangeError if there is no such program
 * @throws ObjectError `ERR_SKEP_PROGRAM`, `ERR_SKEP_ELF`, `ERR_SKEP_BTF` for code that refers to what is
 *   not there, naming function, instruction and symbol
 *
 * @example
 * const { instructions, relocations } = linkProgram(object, 'count_packets');
 */
export function linkProgram(object: ObjectFile, name: string): LinkedProgram {
  const definition = object.programs.get(name);
  if (definition === undefined) {
    throw new RangeError(`linkProgram: the object has no program "${name}"`);
  }
  const code = codeOf(object);
  // As libbpf: an extern that nothing declares is an error for every program of the object.
  void code.externs;
  const entry = code.functions.containing(definition.sectionIndex, definition.offset)!;
  const placed = new Placement(code);
  placed.follow(entry);
  const callback = exceptionCallback(code, entry);
  if (callback !== undefined) {
    placed.follow(callback);
  }
  const lineInfo = joinRecords(code, placed, 'lines');
  return {
    definition,
    instructions: placed.instructions(object.byteOrder),
    functions: [...placed.slots].map(([{ name: own, section, offset, size }, slot]) => ({
      name: own,
      section: section.name,
      offset,
      slot,
      slots: size / SLOT_BYTES,
    })),
    relocations: placed.left(),
    functionInfo: joinRecords(code, placed, 'functions'),
    lineInfo,
    // With lines there is BTF.
    lines: lineInfo === undefined ? undefined : new SourceLines(lineInfo, object.btf!),
  };
}

/** Which functions a program has, and where. */
class Placement {
  /** The first instruction of each function, in the order of their places. */
  readonly slots = new Map<CodeFunction, number>();
  readonly #code: ObjectCode;
  #end = 0;

  constructor(code: ObjectCode) {
    this.#code = code;
  }

  /** Places a function, and all it reaches, behind what is there; nothing if it is there already. */
  follow(entry: CodeFunction): void {
    if (this.slots.has(entry)) {
      return;
    }
    // A list of its own instead of recursion: chains of calls may be longer than the stack.
    const open: { readonly relocations: readonly CodeRelocation[]; next: number }[] = [];
    const append = (one: CodeFunction) => {
      this.slots.set(one, this.#end);
      this.#end += one.size / SLOT_BYTES;
      this.#check(one);
      open.push({ relocations: this.#code.relocations(one), next: 0 });
    };
    append(entry);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const relocation = top.relocations[top.next];
      top.next += 1;
      if (relocation === undefined) {
        open.pop();
      } else if (isReference(relocation) && !this.slots.has(relocation.target)) {
        append(relocation.target);
      }
    }
  }

  /** Functions of sections that share their bytes would make more of a file than is in it. */
  #check({ name, section, offset }: CodeFunction): void {
    if (this.#end * SLOT_BYTES > this.#code.object.elf.bytes.length) {
      throw new ObjectError(
        'ERR_SKEP_PROGRAM',
        `function "${name}" in section "${section.name}" has the same bytes as another function`,
        { section: section.name, offset },
      );
    }
  }

  /** The code of all functions, with the distances between them. */
  instructions(byteOrder: ByteOrder): Instructions {
    const linked = new Instructions(new Uint8Array(this.#end * SLOT_BYTES), byteOrder);
    for (const [one, start] of this.slots) {
      linked.bytes.set(this.#code.bytes(one), start * SLOT_BYTES);
      for (const relocation of this.#code.relocations(one)) {
        if (isReference(relocation)) {
          const slot = start + relocation.slot;
          linked.setImm(slot, this.slots.get(relocation.target)! - slot - 1);
          if (relocation.kind === 'function') {
            linked.setSrc(slot, BPF_PSEUDO.FUNC);
          }
        }
      }
    }
    return linked;
  }

  /** What the instructions refer to besides each other. */
  left(): LinkedRelocation[] {
    const left: LinkedRelocation[] = [];
    for (const [one, start] of this.slots) {
      for (const relocation of this.#code.relocations(one)) {
        if (!isReference(relocation)) {
          left.push(start === 0 ? relocation : { ...relocation, slot: start + relocation.slot });
        }
      }
    }
    return left;
  }
}

function isReference(
  relocation: CodeRelocation,
): relocation is Extract<CodeRelocation, { readonly target: CodeFunction }> {
  return relocation.kind === 'call' || relocation.kind === 'function';
}

/**
 * The information about all functions of a program. Without any about the program itself there is
 * none; with it, every function must have some, or the kernel would refuse the whole.
 */
function joinRecords(
  code: ObjectCode,
  { slots }: Placement,
  table: 'functions' | 'lines',
): InfoRecords | undefined {
  const parts: InfoRecords[] = [];
  for (const [one, slot] of slots) {
    const { section, offset, size, name } = one;
    const own = code.infoOf(section)[table]?.moved(offset, offset + size, slot);
    if (own !== undefined) {
      parts.push(own);
    } else if (slot === 0) {
      return undefined;
    } else {
      throw new ObjectError(
        'ERR_SKEP_BTF',
        `section .BTF.ext tells the ${table} of the program but not those of "${name}", which it calls`,
        { section: '.BTF.ext' },
      );
    }
  }
  return InfoRecords.concat(parts);
}
