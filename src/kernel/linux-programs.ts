/**
 * Programs through bpf(2): loading, asking for, opening and running them.
 *
 * Attributes of `BPF_PROG_LOAD`, `BPF_PROG_TEST_RUN` and `BPF_LINK_CREATE`, and `struct bpf_prog_info`:
 * `include/uapi/linux/bpf.h`. What else libbpf does around the calls: `bpf_prog_load` in its `bpf.c`.
 */

import { readFileSync } from 'node:fs';
import { decodeText, encodeText } from '../bytes/text.ts';
import { SLOT_BYTES } from '../obj/instructions/instructions.ts';
import { BPF_CMD, commandName } from '../uapi/commands.ts';
import { ERRNO } from '../uapi/errno.ts';
import { shortName } from './check-numbers.ts';
import { checkProgram } from './check-program.ts';
import { thisProcessHolds } from './linux-capabilities.ts';
import type { AttributeBlock } from './linux-memory.ts';
import { type Around, checked, type LinuxObjects } from './linux-objects.ts';
import type {
  InfoTable,
  LogRequest,
  ProgramAttributes,
  ProgramCode,
  ProgramInfo,
  TestRunOutcome,
  TestRunRequest,
} from './program-calls.ts';
import { explainLoad } from './program-hints.ts';
import { refused } from './refused.ts';

/** The verifier gives up with EAGAIN when a signal comes; libbpf tries as often. */
const LOAD_ATTEMPTS = 5;
const NAME_BYTES = 16;
const TEST_RUN_BYTES = 80;
const LINK_CREATE_BYTES = 16;
/** `BPF_STRUCT_OPS` of `enum bpf_attach_type`. */
const STRUCT_OPS = 44;
const LOCKDOWN = '/sys/kernel/security/lockdown';

/** Offsets in `struct bpf_prog_info`. */
const INFO = {
  type: 0,
  id: 4,
  tag: 8,
  jitedBytes: 16,
  translatedBytes: 20,
  instructions: 32,
  loadTime: 40,
  userId: 48,
  mapCount: 52,
  maps: 56,
  name: 64,
  flags: 84,
  btfId: 128,
  functionRecord: 132,
  functions: 136,
  functionCount: 144,
  lineCount: 148,
  lines: 152,
  lineRecord: 172,
  runTime: 192,
  runCount: 200,
  recursionMisses: 208,
  verified: 216,
  attachBtf: 220,
  attachType: 224,
  size: 232,
} as const;
const TAG_BYTES = 8;

/** Calls about programs. */
export class LinuxPrograms {
  readonly #block: AttributeBlock;
  readonly #objects: LinuxObjects;
  readonly #around: Around;
  readonly #littleEndian: boolean;
  /**
   * What a call points the kernel at, so that it is reachable until the call is over: a local variable
   * is not, once it was used for the last time.
   */
  #held: unknown[] = [];
  #license: { readonly text: string; readonly bytes: Uint8Array } | undefined;

  constructor(block: AttributeBlock, objects: LinuxObjects, around: Around, littleEndian: boolean) {
    this.#block = block;
    this.#objects = objects;
    this.#around = around;
    this.#littleEndian = littleEndian;
  }

  load(attributes: ProgramAttributes, log: LogRequest | null): number {
    checkProgram(attributes, log, this.#littleEndian);
    const size = loadBytes(attributes, log);
    const license = this.#licenseBytes(attributes.license);
    const descriptors = descriptorBytes(attributes.descriptors);
    this.#held = [attributes, log, license, descriptors];
    const result = this.#around.withMemlock(() => {
      this.#setProgram(attributes, license, size);
      this.#setTypes(attributes, descriptors);
      if (log !== null) {
        this.#block.setU32(24, log.level);
        this.#block.setMemory(32, 28, log.buffer, 'the log');
      }
      return this.#load(size);
    });
    this.#held = [];
    if (log !== null) {
      log.wholeBytes = this.#block.u32(140);
    }
    if (result < 0) {
      const hint = explainLoad(attributes.type, -result, readLockdown, thisProcessHolds);
      const what = `program "${attributes.name}"`;
      throw refused(commandName(BPF_CMD.PROG_LOAD), -result, what, hint);
    }
    return this.#around.opened(result);
  }

  /** With a NUL. Kept, as all programs of an object have one. */
  #licenseBytes(text: string): Uint8Array {
    if (this.#license?.text !== text) {
      this.#license = { text, bytes: encodeText(`${text}\0`) };
    }
    return this.#license.bytes;
  }

  info(fd: number): ProgramInfo {
    const info = new Uint8Array(INFO.size);
    this.#objects.checkKind(fd, 'bpf-prog');
    const view = this.#readInfo(fd, info);
    const u32 = (offset: number) => view.getUint32(offset, this.#littleEndian);
    const u64 = (offset: number) => view.getBigUint64(offset, this.#littleEndian);
    const name = info.slice(INFO.name, INFO.name + NAME_BYTES);
    const end = name.indexOf(0);
    const tag = info.subarray(INFO.tag, INFO.tag + TAG_BYTES);
    const mapCount = u32(INFO.mapCount);
    const answer = {
      id: u32(INFO.id),
      type: u32(INFO.type),
      tag: Array.from(tag, (byte) => byte.toString(16).padStart(2, '0')).join(''),
      name: decodeText(name, 0, end === -1 ? name.length : end),
      jitedBytes: u32(INFO.jitedBytes),
      translatedBytes: u32(INFO.translatedBytes),
      loadTime: u64(INFO.loadTime),
      userId: u32(INFO.userId),
      // A bit field: the first bit, which is the lowest one where little ends come first.
      gplCompatible: (u32(INFO.flags) & (this.#littleEndian ? 1 : 0x8000_0000)) !== 0,
      btfId: u32(INFO.btfId),
      runTimeNanoseconds: u64(INFO.runTime),
      runCount: u64(INFO.runCount),
      recursionMisses: u64(INFO.recursionMisses),
      verifiedInstructions: u32(INFO.verified),
      attachTypeId: u32(INFO.attachType),
      attachBtfObjectId: u32(INFO.attachBtf),
    };
    return { ...answer, mapIds: this.#mapIds(fd, mapCount) };
  }

  code(fd: number): ProgramCode {
    const info = new Uint8Array(INFO.size);
    this.#objects.checkKind(fd, 'bpf-prog');
    let view = this.#readInfo(fd, info);
    const u32 = (offset: number) => view.getUint32(offset, this.#littleEndian);
    const instructions = new Uint8Array(u32(INFO.translatedBytes));
    const functionBytes = u32(INFO.functionRecord);
    const lineBytes = u32(INFO.lineRecord);
    const functions = new Uint8Array(u32(INFO.functionCount) * functionBytes);
    const lines = new Uint8Array(u32(INFO.lineCount) * lineBytes);
    const counts: readonly (readonly [offset: number, value: number])[] = [
      [INFO.translatedBytes, instructions.length],
      [INFO.functionRecord, functionBytes],
      [INFO.functionCount, u32(INFO.functionCount)],
      [INFO.lineRecord, lineBytes],
      [INFO.lineCount, u32(INFO.lineCount)],
    ];
    info.fill(0);
    for (const [offset, value] of counts) {
      view.setUint32(offset, value, this.#littleEndian);
    }
    this.#pointAt(info, INFO.instructions, instructions);
    this.#pointAt(info, INFO.functions, functions);
    this.#pointAt(info, INFO.lines, lines);
    view = this.#readInfo(fd, info);
    // A null pointer says that the kernel keeps the code to itself.
    const isHidden = view.getBigUint64(INFO.instructions, this.#littleEndian) === 0n;
    return {
      instructions: isHidden ? new Uint8Array() : instructions,
      functionInfo: tableOf(functions, functionBytes),
      lineInfo: tableOf(lines, lineBytes),
    };
  }

  openById(id: number): number {
    return this.#objects.openById(BPF_CMD.PROG_GET_FD_BY_ID, id, 'program');
  }

  nextId(after: number): number | null {
    return this.#objects.nextId(BPF_CMD.PROG_GET_NEXT_ID, after, 'programs');
  }

  run(fd: number, request: TestRunRequest): TestRunOutcome {
    const { data, dataOut, context, contextOut } = request;
    const block = this.#block;
    block.clear(TEST_RUN_BYTES);
    block.setU32(0, fd);
    block.setU32(32, request.repeat);
    block.setU32(64, request.flags);
    block.setU32(68, request.cpu);
    block.setU32(72, request.batchSize);
    block.setMemory(16, 8, data, 'the packet');
    // With room for 0 bytes and a pointer, the kernel takes the room for unlimited: no pointer then.
    block.setMemory(24, 12, dataOut, 'the room for the packet');
    block.setMemory(48, 40, context, 'the context');
    block.setMemory(56, 44, contextOut, 'the room for the context');
    this.#held.push(data, dataOut, context, contextOut);
    const result = block.call(BPF_CMD.PROG_TEST_RUN, TEST_RUN_BYTES);
    this.#held.length = 0;
    checked(result, BPF_CMD.PROG_TEST_RUN, `program at file descriptor ${fd}`);
    return {
      returnValue: block.u32(4),
      durationNanoseconds: block.u32(36),
      dataBytes: block.u32(12),
      contextBytes: block.u32(44),
    };
  }

  linkStructOps(mapFd: number): number {
    const block = this.#block;
    block.clear(LINK_CREATE_BYTES);
    block.setU32(0, mapFd);
    block.setU32(8, STRUCT_OPS);
    const result = block.call(BPF_CMD.LINK_CREATE, LINK_CREATE_BYTES);
    const what = `struct_ops map at file descriptor ${mapFd}`;
    return this.#around.opened(checked(result, BPF_CMD.LINK_CREATE, what));
  }

  #setProgram(attributes: ProgramAttributes, license: Uint8Array, size: number): void {
    const { instructions } = attributes;
    const block = this.#block;
    block.clear(size);
    block.setU32(0, attributes.type);
    block.setMemory(8, 4, instructions, 'the instructions', SLOT_BYTES);
    block.setPointer(16, license, license.length, 'the license');
    block.setU32(40, attributes.kernelVersion);
    block.setU32(44, attributes.flags);
    block.setBytes(48, encodeText(shortName(attributes.name, 'program')));
    block.setU32(68, attributes.expectedAttachType);
  }

  #setTypes({ btf, target }: ProgramAttributes, descriptors: Uint8Array | null): void {
    const block = this.#block;
    if (btf !== null) {
      block.setU32(72, btf.fd);
      this.#setTable(76, 80, 88, btf.functionInfo, 'the information on functions');
      this.#setTable(92, 96, 104, btf.lineInfo, 'the information on lines');
    }
    if (target !== null) {
      block.setU32(108, target.typeId);
      block.setU32(112, target.fd ?? 0);
    }
    block.setPointer(120, descriptors, descriptors?.length ?? 0, 'the descriptors');
  }

  #setTable(
    record: number,
    pointer: number,
    count: number,
    table: InfoTable | null,
    what: string,
  ): void {
    if (table === null || table.bytes.length === 0) {
      return;
    }
    this.#block.setU32(record, table.recordBytes);
    this.#block.setMemory(pointer, count, table.bytes, what, table.recordBytes);
  }

  #load(size: number): number {
    let result = -ERRNO.EAGAIN;
    for (let attempt = 0; attempt < LOAD_ATTEMPTS && result === -ERRNO.EAGAIN; attempt += 1) {
      result = this.#block.call(BPF_CMD.PROG_LOAD, size);
    }
    return result;
  }

  #mapIds(fd: number, count: number): number[] {
    if (count === 0) {
      return [];
    }
    const info = new Uint8Array(INFO.size);
    const ids = new Uint32Array(count);
    const view = new DataView(info.buffer);
    view.setUint32(INFO.mapCount, count, this.#littleEndian);
    this.#pointAt(info, INFO.maps, new Uint8Array(ids.buffer));
    this.#readInfo(fd, info);
    // More maps may have been bound to it meanwhile; there is room for as many as there were.
    return [...ids.subarray(0, Math.min(count, view.getUint32(INFO.mapCount, this.#littleEndian)))];
  }

  /** Points part of the information at memory, which is kept until {@link LinuxPrograms.#readInfo}. */
  #pointAt(info: Uint8Array, offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.length > 0) {
      this.#block.writePointer(info, offset, bytes);
      this.#held.push(bytes);
    }
  }

  #readInfo(fd: number, info: Uint8Array<ArrayBuffer>): DataView {
    const view = new DataView(info.buffer);
    try {
      this.#objects.readInfo(fd, info);
    } finally {
      this.#held.length = 0;
    }
    return view;
  }
}

/** Bytes of `union bpf_attr` that hold everything set. */
function loadBytes(attributes: ProgramAttributes, log: LogRequest | null): number {
  if (log !== null) return 144;
  if (attributes.descriptors.length > 0) return 128;
  if (attributes.target !== null) return 116;
  if (attributes.btf !== null) return 108;
  if (attributes.expectedAttachType !== 0) return 72;
  return attributes.name === '' ? 48 : 64;
}

/** As the kernel reads them; null for none, as nearly always. */
function descriptorBytes(descriptors: readonly number[]): Uint8Array | null {
  return descriptors.length === 0 ? null : new Uint8Array(Int32Array.from(descriptors).buffer);
}

function tableOf(bytes: Uint8Array, recordBytes: number): InfoTable | null {
  return bytes.length === 0 ? null : { bytes, recordBytes };
}

/** What the kernel is locked down to: `[none] integrity confidentiality`; null if it does not tell. */
function readLockdown(): string | null {
  try {
    return readFileSync(LOCKDOWN, 'latin1');
  } catch {
    // Where securityfs is not mounted.
    return null;
  }
}
