/**
 * What all objects of bpf(2) have in common, whatever they are: ids, pins, and information about
 * them (`BPF_*_GET_FD_BY_ID`, `BPF_*_GET_NEXT_ID`, `BPF_OBJ_PIN`, `BPF_OBJ_GET`,
 * `BPF_OBJ_GET_INFO_BY_FD`).
 *
 * Layouts of `union bpf_attr`: `include/uapi/linux/bpf.h`.
 */

import { readlinkSync } from 'node:fs';
import { encodeText } from '../bytes/text.ts';
import { BPF_CMD, commandName } from '../uapi/commands.ts';
import { ERRNO } from '../uapi/errno.ts';
import type { AttributeBlock } from './linux-memory.ts';
import { refused } from './refused.ts';

/** What this needs of the kernel around it. */
export interface Around {
  /** Notes that a descriptor is new; the descriptor. */
  opened(fd: number): number;
  close(fd: number): void;
  /** Makes a call, once more without the limit on locked memory if that was in the way. */
  withMemlock(call: () => number): number;
}

/** A kind of object, as the links in /proc call it, and as errors do. */
export type ObjectKind = 'bpf-map' | 'bpf-prog' | 'btf';

const KIND_NAMES: Readonly<Record<ObjectKind, string>> = {
  'bpf-map': 'map',
  'bpf-prog': 'program',
  btf: 'BTF',
};

/** Calls that objects of every kind have. */
export class LinuxObjects {
  readonly #block: AttributeBlock;
  readonly #around: Around;

  constructor(block: AttributeBlock, around: Around) {
    this.#block = block;
    this.#around = around;
  }

  /**
   * A descriptor for the object with this id.
   *
   * @param command `BPF_*_GET_FD_BY_ID`
   * @param what kind of object it is, for errors: `map`
   * @throws TypeError for what is no id
   */
  openById(command: number, id: number, what: string): number {
    checkId(id, what);
    const block = this.#block;
    block.clear(12);
    block.setU32(0, id);
    const result = block.call(command, 12);
    return this.#around.opened(checked(result, command, `${what} with id ${id}`));
  }

  /**
   * The lowest id above this one; null if there is none.
   *
   * @param command `BPF_*_GET_NEXT_ID`
   * @param what kind of objects they are, for errors: `maps`
   */
  nextId(command: number, after: number, what: string): number | null {
    const block = this.#block;
    block.clear(8);
    block.setU32(0, after);
    const result = block.call(command, 8);
    if (result === -ERRNO.ENOENT) {
      return null;
    }
    checked(result, command, `list of ${what}`);
    return block.u32(4);
  }

  pin(fd: number, path: string): void {
    checked(this.#withPath(BPF_CMD.OBJ_PIN, path, fd, 0), BPF_CMD.OBJ_PIN, path);
  }

  /**
   * A descriptor for what is pinned at a path.
   *
   * @param flags `BPF_F_RDONLY` and so on
   * @throws SyscallError with `EINVAL` if it is of another kind
   */
  openPinned(path: string, wanted: ObjectKind, flags: number): number {
    const result = this.#withPath(BPF_CMD.OBJ_GET, path, 0, flags);
    const fd = this.#around.opened(checked(result, BPF_CMD.OBJ_GET, path));
    const hint = otherKind(fd, wanted);
    if (hint !== null) {
      this.#around.close(fd);
      throw refused(commandName(BPF_CMD.OBJ_GET), ERRNO.EINVAL, path, hint);
    }
    return fd;
  }

  /**
   * Refuses a descriptor of something else: asked for information, the kernel does not know what it is
   * thought to be, and would answer all the same.
   *
   * @throws SyscallError with `EINVAL`
   */
  checkKind(fd: number, wanted: ObjectKind): void {
    const hint = otherKind(fd, wanted);
    if (hint !== null) {
      const command = commandName(BPF_CMD.OBJ_GET_INFO_BY_FD);
      throw refused(command, ERRNO.EINVAL, `file descriptor ${fd}`, hint);
    }
  }

  /**
   * Lets the kernel fill in what it says of an object; it may also read pointers from there.
   *
   * @param what how errors call the object
   */
  readInfo(fd: number, info: Uint8Array, what = `file descriptor ${fd}`): void {
    const block = this.#block;
    block.clear(16);
    block.setU32(0, fd);
    block.setMemory(8, 4, info, 'the buffer for information');
    checked(block.call(BPF_CMD.OBJ_GET_INFO_BY_FD, 16), BPF_CMD.OBJ_GET_INFO_BY_FD, what);
  }

  #withPath(command: number, path: string, fd: number, flags: number): number {
    if (path.includes('\0')) {
      throw new TypeError('a path cannot contain a NUL character');
    }
    const name = encodeText(`${path}\0`);
    const block = this.#block;
    block.clear(16);
    block.setPointer(0, name, name.length, 'the path');
    block.setU32(8, fd);
    block.setU32(12, flags);
    return block.call(command, 16);
  }
}

/** @throws TypeError for what is no id of bpf(2) */
export function checkId(id: number, what: string): void {
  if (!Number.isInteger(id) || id < 0 || id > 0xffff_ffff) {
    throw new TypeError(`the id of a ${what} is an integer of 32 bits, not ${String(id)}`);
  }
}

/** A result of bpf(2) that is none of an error. @throws SyscallError for one below zero */
export function checked(result: number, command: number, what: string): number {
  if (result < 0) {
    throw refused(commandName(command), -result, what);
  }
  return result;
}

/** What a descriptor is instead of what it should be; null if it is that, or nobody knows. */
function otherKind(fd: number, wanted: ObjectKind): string | null {
  const kind = objectKind(fd);
  return kind === null || kind === wanted ? null : `it is no ${KIND_NAMES[wanted]} but a ${kind}`;
}

/** `bpf-map`, `bpf-prog`, `bpf_link`, ...; null if there is no /proc to ask. */
function objectKind(fd: number): string | null {
  try {
    return /^anon_inode:\[?([^\]]+)\]?$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? null;
  } catch {
    return null;
  }
}
