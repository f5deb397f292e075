/**
 * Loads the objects that libbpf-each.c was given, in the same way, with skep: each whole, then each
 * of its programs by itself. Reads its lines and prints them with what skep did in `skep`. A process
 * of its own, as the kernel sees the descriptors of one loader only.
 *
 * Usage: node skep-each.mjs < lines of libbpf-each
 */

import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';

/** @typedef {import('../../src/index.ts')} Skep */
/** @typedef {import('../../src/index.ts').ObjectFile} ObjectFile */
/** @typedef {import('../../src/index.ts').LoadOptions} LoadOptions */
/** @typedef {import('../../src/index.ts').MapOptions} MapOptions */
/** @typedef {{ file: string, open?: number, skipped?: string, shrunk?: Record<string, number>, programs?: Record<string, unknown> }} Line */

const STRUCT_OPS = 26;

const built = new URL('../../dist/index.js', import.meta.url).href;
const { ObjectFile, load } = /** @type {Skep} */ (await import(built));

/**
 * The errno of a failure, or its code where no system call failed.
 *
 * @param {unknown} error
 */
function failure(error) {
  const { errno, code, message, stack } = /** @type {Error & { errno?: number, code?: string }} */ (
    error
  );
  // Without a code it is a defect of skep: where it was thrown matters.
  return { error: errno ?? code ?? 'no code', message: code === undefined ? stack : message };
}

/**
 * @param {ObjectFile} object
 * @param {LoadOptions} options
 */
async function attempt(object, options) {
  // Memory of the load before is let go of in a turn of its own; arenas may want the same address.
  await setImmediate();
  const started = performance.now();
  try {
    const loaded = load(object, options);
    const tags = [...loaded.programs].map(([name, program]) => [name, program.info().tag]);
    const made = { maps: loaded.maps.size, programs: loaded.programs.size };
    loaded.close();
    const milliseconds = performance.now() - started;
    return { error: 0, made, tags: Object.fromEntries(tags), milliseconds };
  } catch (error) {
    return { ...failure(error), milliseconds: performance.now() - started };
  }
}

/** @param {Line} line */
async function loadEach({ file, shrunk = {}, programs = {} }) {
  let object;
  try {
    object = ObjectFile.open(file);
  } catch (error) {
    return { whole: failure(error), programs: {} };
  }
  /** @type {(name: string) => MapOptions} */
  const mapOptions = (name) => {
    const maxEntries = shrunk[name];
    return { pin: false, ...(maxEntries === undefined ? {} : { maxEntries }) };
  };
  const maps = [...object.maps];
  const whole = await attempt(object, {
    maps: Object.fromEntries(maps.map(([name]) => [name, mapOptions(name)])),
  });
  const withoutStructs = maps.map(([name, { typeNumber }]) => [
    name,
    typeNumber === STRUCT_OPS ? { create: false } : mapOptions(name),
  ]);
  const names = [...object.programs.keys()];
  const alone = [];
  for (const program of Object.keys(programs)) {
    const options = names.map((name) => [name, { autoload: name === program }]);
    const attempted = await attempt(object, {
      maps: Object.fromEntries(withoutStructs),
      programs: Object.fromEntries(options),
    });
    alone.push([program, attempted]);
  }
  return { whole, programs: Object.fromEntries(alone) };
}

for await (const text of createInterface({ input: process.stdin })) {
  const line = /** @type {Line} */ (JSON.parse(text));
  const isTooLarge = line.skipped !== undefined;
  console.log(JSON.stringify(isTooLarge ? line : { ...line, skep: await loadEach(line) }));
}
