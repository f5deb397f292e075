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
import { CodeRoom } from './code-room.ts';
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
  return new Linker(object).link(name);
}

/** Links programs of one object, whose instructions and tables share memory. */
export class Linker {
  readonly #object: ObjectFile;
  readonly #code: ObjectCode;
  readonly #room = new CodeRoom();

  constructor(object: ObjectFile) {
    this.#object = object;
    this.#code = codeOf(object);
  }

  /** Links a program. @throws as {@link linkProgram} */
  link(name: string): LinkedProgram {
    const definition = this.#object.programs.get(name);
    if (definition === undefined) {
      throw new RangeError(`linkProgram: the object has no program "${name}"`);
    }
    const code = this.#code;
    // As libbpf: an extern that nothing declares is an error for every program of the object.
    void code.externs;
    const entry = code.functions.containing(definition.sectionIndex, definition.offset)!;
    const placement = new Placement(code);
    placement.follow(entry);
    const callback = exceptionCallback(code, entry);
    if (callback !== undefined) {
      placement.follow(callback);
    }
    const room = this.#room;
    const lineInfo = joinRecords(code, placement, 'lines', room);
    return {
      definition,
      instructions: placement.instructions(room),
      functions: placement.functions(),
      relocations: placement.left(),
      functionInfo: joinRecords(code, placement, 'functions', room),
      lineInfo,
      // With lines there is BTF.
      lines: lineInfo === undefined ? undefined : new SourceLines(lineInfo, this.#object.btf!),
    };
  }
}

/** A function and its place in a program. */
interface Placed {
  readonly code: CodeFunction;
  /** Its first instruction. */
  readonly slot: number;
  readonly relocations: readonly CodeRelocation[];
}

/** Which functions a program has, and where. */
class Placement {
  /** In the order of their places. */
  readonly placed: Placed[] = [];
  readonly #code: ObjectCode;
  /** The first instruction of each; undefined as long as there is but one, as in most programs. */
  #slots: Map<CodeFunction, number> | undefined;
  #end = 0;

  constructor(code: ObjectCode) {
    this.#code = code;
  }

  /** Places a function, and all it reaches, behind what is there; nothing if it is there already. */
  follow(entry: CodeFunction): void {
    if (this.#slotOf(entry) !== undefined) {
      return;
    }
    const relocations = this.#append(entry);
    if (relocations.some(isReference)) {
      this.#followAll(relocations);
    }
  }

  #followAll(relocations: readonly CodeRelocation[]): void {
    // A list of its own instead of recursion: chains of calls may be longer than the stack.
    const open = [{ relocations, next: 0 }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const relocation = top.relocations[top.next];
      top.next += 1;
      if (relocation === undefined) {
        open.pop();
      } else if (isReference(relocation) && this.#slotOf(relocation.target) === undefined) {
        open.push({ relocations: this.#append(relocation.target), next: 0 });
      }
    }
  }

  /** @returns what the function refers to */
  #append(code: CodeFunction): readonly CodeRelocation[] {
    const [first] = this.placed;
    if (first !== undefined) {
      this.#slots ??= new Map([[first.code, first.slot]]);
      this.#slots.set(code, this.#end);
    }
    const slot = this.#end;
    this.#end += code.size / SLOT_BYTES;
    this.#check(code);
    const relocations = this.#code.relocations(code);
    this.placed.push({ code, slot, relocations });
    return relocations;
  }

  #slotOf(code: CodeFunction): number | undefined {
    return this.#slots === undefined
      ? this.placed.find((one) => one.code === code)?.slot
      : this.#slots.get(code);
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
  instructions(room: CodeRoom): Instructions {
    const { byteOrder } = this.#code.object;
    const linked = new Instructions(room.take(this.#end * SLOT_BYTES), byteOrder);
    for (const { code, slot: start, relocations } of this.placed) {
      linked.bytes.set(this.#code.bytes(code), start * SLOT_BYTES);
      for (const relocation of relocations) {
        if (isReference(relocation)) {
          const slot = start + relocation.slot;
          linked.setImm(slot, this.#slotOf(relocation.target)! - slot - 1);
          if (relocation.kind === 'function') {
            linked.setSrc(slot, BPF_PSEUDO.FUNC);
          }
        }
      }
    }
    return linked;
  }

  /** The functions as they are told. */
  functions(): LinkedFunction[] {
    return this.placed.map(({ code: { name, section, offset, size }, slot }) => ({
      name,
      section: section.name,
      offset,
      slot,
      slots: size / SLOT_BYTES,
    }));
  }

  /** What the instructions refer to besides each other. */
  left(): readonly LinkedRelocation[] {
    const [first] = this.placed;
    if (this.placed.length === 1 && first!.relocations.every(isLeft)) {
      return first!.relocations;
    }
    const left: LinkedRelocation[] = [];
    for (const { slot, relocations } of this.placed) {
      for (const relocation of relocations) {
        if (isLeft(relocation)) {
          left.push(slot === 0 ? relocation : { ...relocation, slot: slot + relocation.slot });
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

function isLeft(relocation: CodeRelocation): relocation is LinkedRelocation {
  return !isReference(relocation);
}

/**
 * The information about all functions of a program. Without any about the program itself there is
 * none; with it, every function must have some, or the kernel would refuse the whole.
 */
function joinRecords(
  code: ObjectCode,
  { placed }: Placement,
  table: 'functions' | 'lines',
  room: CodeRoom,
): InfoRecords | undefined {
  const parts: InfoRecords[] = [];
  for (const { code: one, slot } of placed) {
    const { section, offset, size, name } = one;
    const own = code.infoOf(section)[table]?.moved(offset, offset + size, slot, room);
    if (own !== undefined) {
      if (placed.length === 1) {
        return own;
      }
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
  return InfoRecords.concat(parts, room);
}
