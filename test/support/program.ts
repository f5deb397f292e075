/**
 * Programs that fill the maps tests read: objects of fixtures/run/, loaded by bpftool, which gives
 * them maps that skep pinned.
 */

import { rmSync } from 'node:fs';
import { endianness } from 'node:os';
import { AttributeBlock } from '../../src/kernel/linux-memory.ts';
import { loadNative } from '../../src/kernel/native.ts';
import { BPF_CMD } from '../../src/uapi/commands.ts';
import { errnoName } from '../../src/uapi/errno.ts';
import { fixturePath } from './fixtures.ts';
import { output } from './programs.ts';

const TEST_RUN_BYTES = 80;

/** A program in the kernel. Close it, or declare it with `using`. */
export class TestProgram {
  readonly fd: number;
  readonly #attributes: AttributeBlock;

  constructor(fd: number, attributes: AttributeBlock) {
    this.fd = fd;
    this.#attributes = attributes;
  }

  /**
   * Runs it once (`BPF_PROG_TEST_RUN`); what it returned.
   *
   * @param input a packet, or for `syscall` programs the context
   */
  run(input: { readonly packet?: Uint8Array; readonly context?: Uint8Array }): number {
    const block = this.#attributes;
    const { packet = null, context = null } = input;
    block.clear(TEST_RUN_BYTES);
    block.setU32(0, this.fd);
    block.setU32(8, packet?.length ?? 0);
    block.setPointer(16, packet, packet?.length ?? 0, 'the packet');
    block.setU32(40, context?.length ?? 0);
    block.setPointer(48, context, context?.length ?? 0, 'the context');
    const result = block.call(BPF_CMD.PROG_TEST_RUN, TEST_RUN_BYTES);
    if (result < 0) {
      throw new Error(`BPF_PROG_TEST_RUN: ${errnoName(-result)}`);
    }
    return block.u32(4);
  }

  close(): void {
    loadNative().close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Loads the one program of an object of fixtures/run/.
 *
 * @param object its name, without `.bpf.o`
 * @param directory on a BPF file system; used only during the call
 * @param maps pins of maps to use instead of new ones, by the name in the object
 */
export function loadProgram(
  object: string,
  directory: string,
  maps: Readonly<Record<string, string>> = {},
): TestProgram {
  const pin = `${directory}/program`;
  const reused = Object.entries(maps).flatMap(([name, path]) => [
    'map',
    'name',
    name,
    'pinned',
    path,
  ]);
  output('bpftool', 'prog', 'load', fixturePath(`run/${object}.bpf.o`), pin, ...reused);
  try {
    return openProgram(pin);
  } finally {
    rmSync(pin);
  }
}

/** Opens a pinned program. */
export function openProgram(path: string): TestProgram {
  const attributes = new AttributeBlock(loadNative(), endianness() === 'LE');
  const name = new TextEncoder().encode(`${path}\0`);
  attributes.clear(16);
  attributes.setPointer(0, name, name.length, 'the path');
  const fd = attributes.call(BPF_CMD.OBJ_GET, 16);
  if (fd < 0) {
    throw new Error(`BPF_OBJ_GET ${path}: ${errnoName(-fd)}`);
  }
  return new TestProgram(fd, attributes);
}
