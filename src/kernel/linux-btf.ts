/**
 * BTF in the running kernel: loading it, and what the kernel says of what it holds.
 *
 * `struct bpf_btf_info` and the attributes of `BPF_BTF_LOAD`: `include/uapi/linux/bpf.h`.
 */

import { decodeText } from '../bytes/text.ts';
import { BPF_CMD, commandName } from '../uapi/commands.ts';
import type { AttributeBlock } from './linux-memory.ts';
import { type Around, checkId, type LinuxObjects } from './linux-objects.ts';
import type { BtfInfo } from './program-calls.ts';
import { refused } from './refused.ts';

/** `btf`, `btf_size`, `id`. */
const SHORT_INFO_BYTES = 16;
/** ... `name`, `name_len`, `kernel_btf` (5.11). */
const INFO_BYTES = 32;
const LOG_BYTES = 1 << 16;

/** Calls about BTF. */
export class LinuxBtf {
  readonly #block: AttributeBlock;
  readonly #objects: LinuxObjects;
  readonly #around: Around;
  readonly #littleEndian: boolean;

  constructor(block: AttributeBlock, objects: LinuxObjects, around: Around, littleEndian: boolean) {
    this.#block = block;
    this.#objects = objects;
    this.#around = around;
    this.#littleEndian = littleEndian;
  }

  load(bytes: Uint8Array): number {
    const result = this.#around.withMemlock(() => this.#load(bytes, null));
    if (result >= 0) {
      return this.#around.opened(result);
    }
    // Once more, for the reason: asking for a log that is not needed costs time.
    const log = new Uint8Array(LOG_BYTES);
    const again = this.#load(bytes, log);
    if (again >= 0) {
      return this.#around.opened(again);
    }
    const end = log.indexOf(0);
    const lines = decodeText(log, 0, end === -1 ? log.length : end)
      .trim()
      .split('\n');
    const last = lines[lines.length - 1];
    throw refused(commandName(BPF_CMD.BTF_LOAD), -again, 'BTF', last === '' ? undefined : last);
  }

  read(id: number): Uint8Array {
    checkId(id, 'BTF object');
    const what = `BTF with id ${id}`;
    const fd = this.#objects.openById(BPF_CMD.BTF_GET_FD_BY_ID, id, 'BTF');
    try {
      const info = new Uint8Array(SHORT_INFO_BYTES);
      this.#objects.readInfo(fd, info, what);
      const view = new DataView(info.buffer);
      const bytes = new Uint8Array(view.getUint32(8, this.#littleEndian));
      this.#block.writePointer(info, 0, bytes);
      this.#objects.readInfo(fd, info, what);
      return bytes;
    } finally {
      this.#around.close(fd);
    }
  }

  openById(id: number): number {
    return this.#objects.openById(BPF_CMD.BTF_GET_FD_BY_ID, id, 'BTF object');
  }

  nextId(after: number): number | null {
    return this.#objects.nextId(BPF_CMD.BTF_GET_NEXT_ID, after, 'BTF objects');
  }

  info(fd: number): BtfInfo {
    const info = new Uint8Array(INFO_BYTES);
    this.#objects.checkKind(fd, 'btf');
    this.#objects.readInfo(fd, info);
    const view = new DataView(info.buffer);
    const [size, id] = [
      view.getUint32(8, this.#littleEndian),
      view.getUint32(12, this.#littleEndian),
    ];
    const nameBytes = view.getUint32(24, this.#littleEndian);
    const isKernel = view.getUint32(28, this.#littleEndian) !== 0;
    if (nameBytes === 0) {
      return { id, name: '', isKernel, size };
    }
    // The name, and no types: a size that is set asks for those.
    const name = new Uint8Array(nameBytes + 1);
    info.fill(0);
    this.#block.writePointer(info, 16, name);
    view.setUint32(24, name.length, this.#littleEndian);
    this.#objects.readInfo(fd, info);
    return { id, name: decodeText(name, 0, name.indexOf(0)), isKernel, size };
  }

  #load(bytes: Uint8Array, log: Uint8Array | null): number {
    const block = this.#block;
    block.clear(28);
    block.setMemory(0, 16, bytes, 'BTF');
    if (log !== null) {
      block.setMemory(8, 20, log, 'the log');
      block.setU32(24, 1);
    }
    return block.call(BPF_CMD.BTF_LOAD, 28);
  }
}
