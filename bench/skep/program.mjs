/**
 * Runs BPF programs in benchmarks: bpftool loads them, onto maps that skep pinned. Their runs go
 * through internals of the build in dist/, since skep offers none.
 */

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { findBpftool } from '../toolchain.mjs';

const BPF_OBJ_GET = 7;
const BPF_PROG_TEST_RUN = 10;
const TEST_RUN_BYTES = 80;

/**
 * Loads the one program of an object.
 * @param {string} object
 * @param {string} folder on a BPF file system
 * @param {Readonly<Record<string, string>>} maps pins of maps to use, by the name in the object
 * @returns {Promise<(context: Uint8Array) => number>} runs it, and gives what it returned
 */
export async function loadProgram(object, folder, maps) {
  const bpftool = findBpftool();
  if (bpftool === null) {
    throw new Error('bpftool is missing');
  }
  const block = await attributeBlock();
  const pin = join(folder, 'bench-program');
  const used = Object.entries(maps).flatMap(([name, path]) => [
    'map',
    'name',
    name,
    'pinned',
    path,
  ]);
  execFileSync(bpftool, ['prog', 'load', object, pin, ...used], { stdio: 'pipe' });
  const name = new TextEncoder().encode(`${pin}\0`);
  block.clear(16);
  block.setPointer(0, name, name.length, 'the path');
  const fd = block.call(BPF_OBJ_GET, 16);
  rmSync(pin);
  if (fd < 0) {
    throw new Error(`BPF_OBJ_GET: errno ${-fd}`);
  }
  return (context) => {
    block.clear(TEST_RUN_BYTES);
    block.setU32(0, fd);
    block.setU32(40, context.length);
    block.setPointer(48, context, context.length, 'the context');
    const result = block.call(BPF_PROG_TEST_RUN, TEST_RUN_BYTES);
    if (result < 0) {
      throw new Error(`BPF_PROG_TEST_RUN: errno ${-result}`);
    }
    return block.u32(4);
  };
}

async function attributeBlock() {
  const dist = new URL('../../dist/kernel/', import.meta.url);
  /** @type {typeof import('../../src/kernel/linux-memory.ts')} */
  const memory = await import(new URL('linux-memory.js', dist).href);
  /** @type {typeof import('../../src/kernel/native.ts')} */
  const native = await import(new URL('native.js', dist).href);
  return new memory.AttributeBlock(native.loadNative(), endianness() === 'LE');
}
