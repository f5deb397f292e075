/**
 * What is fuzzed. A target takes files and does with them all that skep does with such files; it may
 * throw what skep may throw for them, and nothing else.
 */

import { describeObject } from '../../src/cli/inspect-text.ts';
import { drawDiagram } from '../../src/cli/mermaid.ts';
import { Memory, ValueError } from '../../src/codec/codec.ts';
import { codecOf } from '../../src/codec/from-btf.ts';
import { fromJson, type Json, toJson } from '../../src/codec/json.ts';
import { SkepError } from '../../src/errors.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { globalCodec } from '../../src/loader/global-codec.ts';
import { nameGlobals } from '../../src/loader/global-names.ts';
import { load } from '../../src/loader/load.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { checkBtf } from '../../src/obj/btf/check.ts';
import { BtfExt } from '../../src/obj/btf/ext.ts';
import { sizeOfType } from '../../src/obj/btf/layout.ts';
import { spellType } from '../../src/obj/btf/spell.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import { partsOf } from '../../src/obj/btf-for-kernel-older.ts';
import { applyCore } from '../../src/obj/core/apply.ts';
import { CoreResolver, type CoreTarget } from '../../src/obj/core/resolve.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { listProgram } from '../../src/obj/instructions/listing.ts';
import { linkProgram } from '../../src/obj/link.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { structOpsValue } from '../../src/obj/struct-ops-value.ts';
import { kconfigContents } from '../../src/programs/kconfig.ts';
import { parseVerifierLog, registersOf } from '../../src/programs/verifier-log.ts';
import { objectsBelow } from './draft.ts';
import { Image, isElf } from './image.ts';
import { Random } from './random.ts';

/** Something to fuzz. */
export interface Target {
  /** The files of an input: what each may start as. */
  readonly parts: readonly (readonly string[])[];
  /** Whether files are objects, or types of objects; else they are text, and only bytes change. */
  readonly isBinary: boolean;
  /** Edits are about types mostly. */
  readonly types?: true;
  /**
   * Does it.
   *
   * @param seed for what is chosen at random
   */
  run(files: readonly Uint8Array[], seed: number): void;
}

/** Values of types that are larger are not read: it would take as long as it should. */
const MOST_VALUE_BYTES = 1024;
/** So many types of a table are used to read values by. */
const MOST_TYPES = 200;
/** What maps may take of the kernel that loads: less than an input may. */
const MAP_MEMORY_BYTES = 16 << 20;
/** So many globals are given values. */
const MOST_GLOBALS = 20;
const WIDE = { width: Number.POSITIVE_INFINITY, bold: (text: string) => text };

/** Whether an error is one of those that skep throws for what it was given. */
export function isTyped(error: unknown): boolean {
  return error instanceof SkepError;
}

/** Runs one step of a target that may fail by itself, so that those behind it are done too. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!isTyped(error)) {
      throw error;
    }
  }
}

function readObject([bytes]: readonly Uint8Array[]): void {
  const object = ObjectFile.parse(bytes!);
  attempt(() => {
    const document = inspect(object);
    const again = JSON.parse(JSON.stringify(document)) as typeof document;
    if (again.maps.length !== object.maps.size || again.programs.length !== object.programs.size) {
      throw new Error('maps or programs are lost in the document');
    }
    describeObject(document, object.btf !== undefined, WIDE);
    describeObject(document, object.btf !== undefined, { ...WIDE, width: 80 });
    drawDiagram(document);
  });
  for (const name of object.programs.keys()) {
    attempt(() => void listProgram(linkProgram(object, name)));
  }
  const { btf } = object;
  if (btf !== undefined) {
    attempt(() => void encodeForKernel(object, btf));
    attempt(() => {
      const older = encodeForKernel(object, btf, partsOf(btf));
      checkBtf(Btf.parse(older));
    });
  }
  for (const map of object.maps.values()) {
    if (map.type === 'struct_ops') {
      attempt(() => void structOpsValue(object, map));
    }
  }
}

function readTypes([bytes, own]: readonly Uint8Array[]): void {
  const base = Btf.parse(typesIn(bytes!));
  useTypes(base);
  const split = Btf.parse(typesIn(own!), 'module', base);
  useTypes(split);
}

function useTypes(btf: Btf): void {
  attempt(() => checkBtf(btf));
  for (let id = 0; id < btf.typeCount; id += 1) {
    attempt(() => {
      const { name, kind } = btf.type(id);
      spellType(btf, id, 'x');
      // What is no UTF-8 has lost its bytes on the way.
      if (name !== '' && !name.includes('\ufffd') && btf.find(name, kind) === 0) {
        throw new Error(`type [${id}] is not found by its name`);
      }
    });
    attempt(() => void sizeOfType(btf, id));
  }
  attempt(() => void btf.find('task_struct', 'struct'));
}

function readExt([bytes]: readonly Uint8Array[]): void {
  const object = ObjectFile.parse(bytes!);
  const section = object.elf.sections.find(({ name }) => name === '.BTF.ext');
  if (section === undefined || object.btf === undefined) {
    return;
  }
  const ext = BtfExt.parse(object.elf.data(section), object.btf);
  for (const { name } of object.elf.sections) {
    attempt(() => void ext.coreRelocations(name));
    for (const records of [ext.functions(name), ext.lines(name)]) {
      records?.moved(8, 64, 3);
    }
  }
  for (const name of object.programs.keys()) {
    attempt(() => {
      const { lines } = linkProgram(object, name);
      lines?.at(1);
      void [...(lines ?? [])];
    });
  }
}

function resolveCore([bytes, ...kernels]: readonly Uint8Array[]): void {
  const object = ObjectFile.parse(bytes!);
  if (object.btf === undefined) {
    return;
  }
  const targets: CoreTarget[] = [];
  for (const [index, file] of kernels.entries()) {
    attempt(() => {
      const base = index === 0 ? undefined : targets[0]?.btf;
      targets.push({ name: `target${index}`, btf: Btf.parse(typesIn(file), 'target', base) });
    });
  }
  const resolver = new CoreResolver(object.btf, targets);
  for (const name of object.programs.keys()) {
    attempt(() => {
      const { relocations, instructions } = linkProgram(object, name);
      for (const relocation of relocations) {
        if (relocation.kind === 'core') {
          attempt(
            () => void applyCore(instructions, relocation.slot, resolver.resolve(relocation.core)),
          );
        }
      }
    });
  }
}

/** Reads random bytes by each type, and writes what was read: it must be readable again. */
function codeValues([bytes]: readonly Uint8Array[], seed: number): void {
  const btf = Btf.parse(typesIn(bytes!));
  const random = new Random(seed);
  const memory = Uint8Array.from({ length: MOST_VALUE_BYTES }, () => random.next());
  for (let id = 0; id < Math.min(btf.typeCount, MOST_TYPES); id += 1) {
    attempt(() => {
      const codec = codecOf(btf, id, { characters: random.once(2) ? 'text' : 'bytes' });
      if (codec.sizeBytes > MOST_VALUE_BYTES) {
        return;
      }
      const from = new Memory(memory.slice(0, codec.sizeBytes), btf.littleEndian);
      const value = codec.read(from, 0);
      const json = JSON.parse(JSON.stringify(toJson(value))) as Json;
      for (const each of [() => value, () => fromJson(codec, json)]) {
        unlessRefused(() => {
          const to = new Memory(new Uint8Array(codec.sizeBytes), btf.littleEndian);
          codec.write(to, 0, each());
        });
      }
    });
  }
}

/** Members with one name, or in each other's place, can be read and not written. */
function unlessRefused(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!(error instanceof ValueError)) {
      throw error;
    }
  }
}

function readLog([bytes]: readonly Uint8Array[], seed: number): void {
  const log = parseVerifierLog(new TextDecoder().decode(bytes), (seed & 1) === 1);
  for (const entry of log.entries) {
    if ('state' in entry && entry.state !== null) {
      registersOf(entry.state);
    }
  }
  if (log.entries.some(({ line }, index) => index > 0 && line < log.entries[index - 1]!.line)) {
    throw new Error('lines of the log are out of order');
  }
}

function readOptions([bytes, text]: readonly Uint8Array[]): void {
  const object = ObjectFile.parse(bytes!);
  const configuration = new TextDecoder().decode(text);
  kconfigContents(object, new MemoryKernel({ configuration }));
}

/** Loads into the in-process kernel, which has little memory: whatever comes of it, nothing stays. */
function loadObject([bytes]: readonly Uint8Array[], seed: number): void {
  const object = ObjectFile.parse(bytes!);
  const kernel = new MemoryKernel({ mapMemoryBytes: MAP_MEMORY_BYTES });
  const globals = (seed & 1) === 0 ? {} : givenGlobals(object);
  try {
    unlessRefused(() => load(object, { kernel, globals }).close());
  } catch (error) {
    if (kernel.paths().length > 0) {
      throw new Error(`pins stay behind: ${kernel.paths().join(', ')}`, { cause: error });
    }
    throw error;
  } finally {
    if (kernel.openDescriptors().length > 0) {
      // biome-ignore lint/correctness/noUnsafeFinally: what is left behind is worse than why
      throw new Error(`descriptors stay open: ${kernel.openDescriptors().join(', ')}`);
    }
  }
}

/** Some of the globals of an object, each with the value that it has. */
function givenGlobals(object: ObjectFile): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  for (const [name, { section, variable }] of nameGlobals(object.data.values()).globals) {
    if (Object.keys(given).length === MOST_GLOBALS) {
      break;
    }
    attempt(() => {
      if (variable.size <= MOST_VALUE_BYTES) {
        const contents = new Uint8Array(variable.size);
        const from = section.contents?.subarray(variable.offset, variable.offset + variable.size);
        contents.set(from ?? []);
        const memory = new Memory(contents, object.byteOrder === 'little');
        // As JSON has them: the name may be __proto__.
        Object.defineProperty(given, name, {
          ...{ value: globalCodec(object, variable).read(memory, 0), enumerable: true },
        });
      }
    });
  }
  return given;
}

/** BTF as it is in a file: alone, or in a section of an object, found without skep. */
function typesIn(file: Uint8Array): Uint8Array {
  if (!isElf(file)) {
    return file;
  }
  try {
    return new Image(file).named('.BTF')?.data ?? file;
  } catch {
    // It reads what is right only.
    return file;
  }
}

const objects = objectsBelow('objects', '.bpf.o');
const cores = objectsBelow('core', '.bpf.o');
const kernels = [...objectsBelow('core', '.o'), ...objectsBelow('core', '.target.btf')];

/** The targets by name. */
export const TARGETS: Readonly<Record<string, Target>> = {
  obj: { parts: [objects], isBinary: true, run: readObject },
  btf: {
    parts: [objects, [...cores, 'core/modules.split.btf']],
    isBinary: true,
    types: true,
    run: readTypes,
  },
  ext: {
    parts: [[...cores, ...objects.filter((name) => name.startsWith('objects/programs/'))]],
    isBinary: true,
    run: readExt,
  },
  core: {
    parts: [cores, kernels, ['core/modules.split.btf', ...kernels]],
    isBinary: true,
    types: true,
    run: resolveCore,
  },
  codec: { parts: [objects], isBinary: true, types: true, run: codeValues },
  load: { parts: [objects], isBinary: true, run: loadObject },
  kconfig: {
    parts: [objects.filter((name) => name.includes('kconfig')), ['oracle/kconfig-cases.txt']],
    isBinary: true,
    run: readOptions,
  },
  log: { parts: [objectsBelow('expected/verifier-logs', '.txt')], isBinary: false, run: readLog },
};
