/**
 * Opens an object with skep.
 *
 * Usage: node open.mjs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT parse|read|relocations
 *
 * `parse` is `ObjectFile.parse`. Some fields are computed when first asked for, libbpf computes all
 * of its own at once: `read` asks for every map, program and data section too, which is the fair
 * comparison. `relocations` also decodes the relocations of programs, as libbpf does when opening.
 */

import { readFileSync } from 'node:fs';
import { measure, readPlan } from '../measure.mjs';
import { library } from './library.mjs';

/** @import { MapDefinition, ObjectFile, ProgramDefinition } from '../../src/obj/index.ts' */

const SHT_RELA = 4;
const SHT_REL = 9;
const SHF_EXECINSTR = 4;

const { plan, rest } = readPlan(process.argv.slice(2));
const [path = '', mode = ''] = rest;
const bytes = new Uint8Array(readFileSync(path));
const { ObjectFile: Objects } = await library();

/** @type {Record<string, (object: ObjectFile) => number>} */
const MODES = {
  parse: (object) => object.maps.size + object.programs.size,
  read: readAll,
  relocations: (object) => readAll(object) + readRelocations(object),
};

/** @param {ObjectFile} object */
function readAll(object) {
  let sum = 0;
  for (const map of object.maps.values()) {
    sum += readMap(map);
  }
  for (const program of object.programs.values()) {
    sum += readProgram(program);
  }
  for (const data of object.data.values()) {
    sum += data.flags + data.size + data.typeId + data.name.length;
  }
  return sum;
}

/**
 * @param {MapDefinition} map
 * @returns {number}
 */
function readMap(map) {
  const inner = map.inner === null ? 0 : readMap(map.inner);
  const sizes = map.typeNumber + map.keySize + map.valueSize + map.maxEntries + map.flags;
  const types = map.keyTypeId + map.valueTypeId + map.numaNode + map.slots.length;
  const extra = map.mapExtra === 0n ? 0 : 1;
  return inner + sizes + types + extra + map.name.length + map.type.length + map.pinning.length;
}

/** @param {ProgramDefinition} program */
function readProgram(program) {
  const numbers = program.typeNumber + program.attachTypeNumber + program.instructions;
  const texts = program.name.length + program.section.length + program.type.length;
  const target = (program.attachTo?.length ?? 0) + (program.attachType?.length ?? 0);
  return numbers + texts + target + program.offset + (program.sleepable ? 1 : 0);
}

/** @param {ObjectFile} object */
function readRelocations(object) {
  let count = 0;
  for (const section of object.elf.sections) {
    const target = object.elf.sections[section.info];
    const isRelocation = section.type === SHT_REL || section.type === SHT_RELA;
    if (isRelocation && target !== undefined && target.flags % 8 >= SHF_EXECINSTR) {
      count += object.elf.relocations(section).length;
    }
  }
  return count;
}

function facts() {
  const { maps, programs, data } = Objects.parse(bytes);
  let instructions = 0;
  let valueBytes = 0;
  for (const program of programs.values()) {
    instructions += program.instructions;
  }
  for (const map of maps.values()) {
    valueBytes += map.valueSize;
  }
  // To libbpf data sections are maps like others, with the section as their only value.
  for (const section of data.values()) {
    valueBytes += section.size;
  }
  return { maps: maps.size + data.size, programs: programs.size, instructions, valueBytes };
}

const consume = MODES[mode];
if (consume === undefined) {
  throw new TypeError(`unknown mode "${mode}"`);
}
const measurement = await measure(() => consume(Objects.parse(bytes)), plan);
console.log(JSON.stringify({ ...measurement, facts: facts() }));
