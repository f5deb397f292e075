/**
 * Runs a plan. All or nothing: when a step fails, every descriptor that the load opened is closed
 * every pin and directory that it made is removed, and every slot of a program array becomes what it
 * was, in reverse order.
 */

import { PinMismatchError, SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { AttachTarget } from '../kernel/program-calls.ts';
import { isShortage } from '../kernel/shortage.ts';
import { createMap, takesTypes } from '../maps/create-map.ts';
import { innerDifferences } from '../maps/inner-rules.ts';
import { checkPinPlace, makePinDirectory } from '../maps/pin-path.ts';
import type { ObjectFile } from '../obj/object.ts';
import type { KernelStructOps } from '../programs/struct-ops.ts';
import { ERRNO } from '../uapi/errno.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { differences, foundInnerDifferences } from './compatible.ts';
import { isErrno, pinAmongOthers, unpinOwn } from './execute-pins.ts';
import { checkPinFree, type LoadedProgram, ProgramExecution } from './execute-programs.ts';
import { constantDifferences } from './initial-globals.ts';
import { loadObjectBtf, type ObjectBtf } from './object-btf.ts';
import type { CheckedOptions } from './options.ts';
import { noInnerDefinition, type Plan } from './plan.ts';
import { isOuter, type MapShape } from './shapes.ts';
import { stepError } from './step-error.ts';
import type {
  CreateStep,
  CreateStructOpsStep,
  CreateTemplateStep,
  FillStep,
  OpenPinStep,
  PinStep,
  PlaceStep,
  ProgramStep,
  ReplaceStep,
  Step,
  StepEvent,
  WriteStep,
} from './steps.ts';

/** A map that a load has opened or created. */
export interface LoadedMap {
  readonly fd: number;
  readonly pinPath: string | null;
  /** Whether it existed before. */
  readonly reused: boolean;
}

/** What a load has made. The descriptors are the caller's, and the memory is the caller's to unmap. */
export interface Loaded {
  readonly maps: ReadonlyMap<string, LoadedMap>;
  readonly programs: ReadonlyMap<string, LoadedProgram>;
  /** What is written to struct_ops maps when they are registered. */
  readonly structOps: ReadonlyMap<string, KernelStructOps>;
  /** The memory of arenas, which can be mapped once. */
  readonly arenas: ReadonlyMap<string, ArrayBuffer>;
}

/** What the steps of a load share. */
export class Execution {
  readonly #kernel: Kernel;
  readonly #object: ObjectFile;
  readonly #options: CheckedOptions;
  readonly #report: (event: StepEvent) => void;
  readonly #maps = new Map<string, LoadedMap>();
  readonly #arenas = new Map<string, ArrayBuffer>();
  readonly #programs: ProgramExecution;
  readonly #templates = new Map<string, number>();
  /** What undoes the load, in the order of what was done. */
  readonly #undo: (() => void)[] = [];
  /** undefined: not tried yet; null: the object has none, or the kernel does not take it. */
  #btf: ObjectBtf | null | undefined;
  #btfRefusal: unknown;
  /** What the last map was created without. */
  #leftOut: string | undefined;

  constructor(
    kernel: Kernel,
    object: ObjectFile,
    options: CheckedOptions,
    report: (event: StepEvent) => void,
  ) {
    this.#kernel = kernel;
    this.#object = object;
    this.#options = options;
    this.#report = report;
    this.#programs = new ProgramExecution({
      kernel,
      object,
      options,
      mapFd: (map) => this.#maps.get(map)?.fd ?? null,
      isReused: (map) => this.#maps.get(map)?.reused === true,
      btfFd: () => this.#programBtf(),
      makePinDirectory: (path) => this.#makePinDirectory(path),
      undo: (action) => this.#undo.push(action),
    });
  }

  /**
   * Runs the steps.
   *
   * @returns maps and programs by name, their descriptors the caller's
   * @throws whatever a step throws; nothing of the load is left then
   */
  run(plan: Plan): Loaded {
    try {
      // Before anything is created for it.
      this.#each(plan, (step) => this.#checkPin(step));
      this.#programs.expect(programsOf(plan));
      this.#each(plan, (step) => this.#runStep(step));
      const { programs, structOps } = this.#programs;
      return {
        maps: this.#maps,
        programs,
        structOps: structOps.prepared,
        arenas: this.#arenas,
      };
    } catch (error) {
      this.#rollBack();
      throw error;
    } finally {
      this.#closeTemporaries();
    }
  }

  #each(plan: Plan, run: (step: Step) => void): void {
    for (const step of plan.steps) {
      try {
        run(step);
      } catch (error) {
        throw stepError(step, error);
      }
    }
  }

  #checkPin(step: Step): void {
    if (step.step === 'pin' || step.step === 'pin-program') {
      checkPinPlace(this.#kernel, step.path);
    }
    if (step.step === 'pin-program' && !this.#options.replacePrograms) {
      checkPinFree(this.#kernel, step);
    }
  }

  #runStep(step: Step): void {
    if (step.step === 'load-btf') {
      // Loaded by the first map or program that needs it: reusing pins costs no BTF.
      return;
    }
    if (step.step === 'replace') {
      this.#replace(step);
      return;
    }
    if (step.step === 'open-pin') {
      const reused = this.#openPin(step);
      this.#report({ step, outcome: reused ? 'reused' : 'absent' });
      return;
    }
    if ('program' in step || step.step === 'fill-programs') {
      this.#runProgramStep(step);
      return;
    }
    if (this.#maps.get(step.map)?.reused) {
      return;
    }
    this.#leftOut = undefined;
    const outcome = this.#runCreation(step);
    this.#report(
      this.#leftOut === undefined ? { step, outcome } : { step, outcome, reason: this.#leftOut },
    );
  }

  #runProgramStep(step: ProgramStep): void {
    const reason = this.#programs.run(step);
    this.#report(
      reason === undefined ? { step, outcome: 'done' } : { step, outcome: 'done', reason },
    );
  }

  /** The steps that a map which exists already does not need. */
  #runCreation(
    step: Exclude<Step, ProgramStep | { step: 'load-btf' | 'replace' | 'open-pin' }>,
  ): 'done' | 'reused' {
    switch (step.step) {
      case 'create-template':
        this.#createTemplate(step);
        return 'done';
      case 'create':
        this.#create(step);
        return 'done';
      case 'create-struct-ops':
        this.#createStructOps(step);
        return 'done';
      case 'close-template':
        this.#closeTemplate(step.map);
        return 'done';
      case 'write':
        this.#write(step);
        return 'done';
      case 'write-options':
        this.#write({ step: 'write', map: step.map, contents: this.#programs.kconfig() });
        return 'done';
      case 'place':
        this.#place(step);
        return 'done';
      case 'freeze':
        this.#kernel.freeze(this.#fdOf(step.map));
        return 'done';
      case 'fill':
        this.#fill(step);
        return 'done';
      case 'pin':
        return this.#pin(step) ? 'done' : 'reused';
    }
  }

  #replace(step: ReplaceStep): void {
    const handle = this.#options.maps.get(step.map)?.replace;
    if (handle === undefined) {
      throw new SkepError(
        'ERR_SKEP_LOAD',
        `map "${step.map}" is to be replaced, but no handle was given`,
      );
    }
    if (handle.kernel !== this.#kernel) {
      throw new TypeError(
        `load options: the handle that replaces map "${step.map}" is of another kernel`,
      );
    }
    this.#checkCompatible(step, handle.fd, `the handle "${handle.name}"`);
    const fd = this.#kernel.duplicate(handle.fd);
    this.#own(step.map, { fd, pinPath: handle.pinPath, reused: true });
    this.#report({ step, outcome: 'reused' });
  }

  /** Opens the pin if there is one; only ENOENT means that there is none. */
  #openPin(step: OpenPinStep | PinStep): boolean {
    let fd: number;
    try {
      fd = this.#kernel.openPinnedMap(step.path, accessOf(step.shape));
    } catch (error) {
      if (isErrno(error, ERRNO.ENOENT)) {
        return false;
      }
      throw error;
    }
    try {
      this.#checkCompatible(step, fd, step.path);
      this.#checkConstants(step, fd);
    } catch (error) {
      this.#kernel.close(fd);
      throw error;
    }
    this.#own(step.map, { fd, pinPath: step.path, reused: true });
    return true;
  }

  #checkCompatible(step: ReplaceStep | OpenPinStep | PinStep, fd: number, where: string): void {
    const info = this.#kernel.mapInfo(fd);
    const found = differences(step.shape, info);
    if (found.length === 0 && step.inner !== null) {
      found.push(...foundInnerDifferences(this.#kernel, fd, info, step.inner));
    }
    if (found.length > 0) {
      const remedy =
        step.step === 'replace'
          ? 'give a map with these properties'
          : 'remove the pin if nobody needs its map, pin elsewhere, or compile the object to match';
      throw new PinMismatchError(step.map, where, found, remedy);
    }
  }

  /** A pinned section keeps its contents; constants that the options set must be in it already. */
  #checkConstants(step: OpenPinStep | PinStep, fd: number): void {
    const section = this.#object.data.get(step.map);
    const { globals } = this.#options;
    if (section?.readOnly !== true || Object.keys(globals).length === 0) {
      return;
    }
    const contents = new Uint8Array(section.size);
    this.#kernel.lookup(fd, new Uint8Array(4), contents, 0);
    const found = constantDifferences(this.#object, section, globals, contents);
    if (found.length > 0) {
      const remedy = 'remove the pin if nobody needs its map, or pin elsewhere';
      throw new PinMismatchError(step.map, step.path, found, remedy);
    }
  }

  #createTemplate(step: CreateTemplateStep): void {
    this.#templates.set(
      step.map,
      this.#createMap(step, `the inner template of map "${step.map}"`, null),
    );
  }

  #create(step: CreateStep): void {
    const template = this.#templates.get(step.map) ?? null;
    if (template === null && isOuter(step.shape)) {
      throw noInnerDefinition(step.map);
    }
    const fd = this.#createMap(step, `map "${step.map}"`, template);
    this.#own(step.map, { fd, pinPath: null, reused: false });
  }

  /** The kernel has the struct, and its size. It wants the object's BTF too, but no type of it. */
  #createStructOps(step: CreateStructOpsStep): void {
    // Maps of struct_ops are found in BTF.
    const { valueSize, valueTarget } = this.#programs.structOps.prepare(step, this.#object.btf!);
    const ofModule = valueTarget.fd === null ? 0 : BPF_F.VTYPE_BTF_OBJ_FD;
    const shape = { ...step.shape, valueSize, valueTypeId: 0, flags: step.shape.flags | ofModule };
    const what = `struct of functions "${step.map}"`;
    const fd = this.#createMap({ ...step, shape }, what, null, valueTarget);
    this.#own(step.map, { fd, pinPath: null, reused: false });
  }

  #createMap(
    step: CreateStep | CreateTemplateStep | CreateStructOpsStep,
    what: string,
    innerMapFd: number | null,
    kernelValueType?: AttachTarget,
  ): number {
    const { shape, kernelName } = step;
    const isData = this.#object.data.has(step.map);
    const typed =
      kernelValueType !== undefined ||
      takesTypes(shape.type, shape.keyTypeId, shape.valueTypeId, isData);
    const btf = typed ? (this.#loadBtf()?.fd ?? null) : null;
    try {
      const attributes = {
        type: shape.type,
        keySize: shape.keySize,
        valueSize: shape.valueSize,
        maxEntries: shape.maxEntries,
        flags: shape.flags,
        numaNode: shape.numaNode,
        mapExtra: shape.mapExtra,
        name: kernelName,
        innerMapFd,
        btf:
          btf === null
            ? null
            : { fd: btf, keyTypeId: shape.keyTypeId, valueTypeId: shape.valueTypeId },
        ...(kernelValueType === undefined ? {} : { kernelValueType }),
      };
      return createMap(this.#kernel, attributes, {
        optionalFlags: shape.optionalFlags,
        onLeftOut: ({ what: left, refusal }) => {
          this.#leftOut = `made without its ${left}, which the kernel refused: ${refusal.message}`;
        },
      });
    } catch (cause) {
      const because = typed && btf === null ? this.#btfRefusal : undefined;
      throw creationError(what, cause, because);
    }
  }

  /** The object's BTF in the kernel; null if the kernel does not take it. */
  #loadBtf(): ObjectBtf | null {
    if (this.#btf === undefined) {
      this.#btf = null;
      const step = { step: 'load-btf' } as const;
      try {
        this.#btf = loadObjectBtf(this.#kernel, this.#object);
      } catch (refusal) {
        if (isShortage(refusal)) {
          throw refusal;
        }
        // As libbpf does: most maps work without, and those that do not say so when created.
        this.#btfRefusal = refusal;
        const reason = refusal instanceof Error ? refusal.message : String(refusal);
        this.#report({ step, outcome: 'refused', reason });
      }
      if (this.#btf !== null) {
        const { replaced } = this.#btf;
        const reason = `older kinds of type stand for what the kernel does not know: ${replaced.join(', ')}`;
        this.#report({ step, outcome: 'done', ...(replaced.length === 0 ? {} : { reason }) });
      }
    }
    return this.#btf;
  }

  /** What describes programs: before Linux 5.0 there are no functions for them to refer to. */
  #programBtf(): number | null {
    const btf = this.#loadBtf();
    return btf === null || btf.replaced.includes('functions') ? null : btf.fd;
  }

  #write(step: WriteStep): void {
    this.#kernel.update(this.#fdOf(step.map), new Uint8Array(4), step.contents, 0);
  }

  #place({ map, contents }: PlaceStep): void {
    const fd = this.#fdOf(map);
    const { maxEntries, mapExtra } = this.#kernel.mapInfo(fd);
    const length = maxEntries * this.#kernel.pageSize;
    const memory = this.#kernel.mapMemory(fd, 0, length, true, mapExtra);
    this.#arenas.set(map, memory);
    this.#undo.push(() => this.#kernel.unmapMemory(memory));
    new Uint8Array(memory).set(contents ?? []);
  }

  #fill(step: FillStep): void {
    const fd = this.#fdOf(step.map);
    const count = step.slots.length;
    const keys = new DataView(new ArrayBuffer(4 * count));
    const values = new DataView(new ArrayBuffer(4 * count));
    step.slots.forEach(({ index, map }, at) => {
      keys.setUint32(at * 4, index, this.#kernel.littleEndian);
      values.setUint32(at * 4, this.#fdOf(map), this.#kernel.littleEndian);
    });
    const keyBytes = new Uint8Array(keys.buffer);
    const valueBytes = new Uint8Array(values.buffer);
    try {
      // A map of maps waits for a grace period (milliseconds) on each update, but once on a batch.
      if (count > 1 && this.#kernel.updateBatch(fd, keyBytes, valueBytes, count, 0)) {
        return;
      }
      for (let at = 0; at < count * 4; at += 4) {
        this.#kernel.update(fd, keyBytes.subarray(at, at + 4), valueBytes.subarray(at, at + 4), 0);
      }
    } catch (error) {
      throw this.#fillError(step, error);
    }
  }

  /** The kernel says EINVAL only; the first slot whose map is not like the template says why. */
  #fillError(step: FillStep, cause: unknown): unknown {
    if (!(cause instanceof SyscallError)) {
      return cause;
    }
    let hint = cause.hint;
    for (const { index, map } of step.slots) {
      const info = this.#kernel.mapInfo(this.#fdOf(map));
      const [first] = step.inner === null ? [] : innerDifferences(step.inner, info);
      if (first !== undefined) {
        const { field, wanted, found } = first;
        hint = `slot ${index}, map "${map}", is not like the inner template: ${field}: wanted ${wanted}, found ${found}`;
        break;
      }
    }
    const { command, errno, errnoName } = cause;
    return new SyscallError(`the initial values of map "${step.map}"`, {
      command,
      errno,
      errnoName,
      hint,
      cause,
    });
  }

  /**
   * Pins a map. If somebody has pinned one there meanwhile, theirs is checked and used instead of
   * ours; if that pin is gone again, ours is tried again.
   *
   * @returns whether ours was pinned
   */
  #pin(step: PinStep): boolean {
    const ours = this.#maps.get(step.map)!;
    const { path } = step;
    const isOurs = pinAmongOthers(
      this.#kernel,
      { fd: ours.fd, path, what: `map "${step.map}"` },
      () => this.#makePinDirectory(path),
      () => this.#openPin(step),
    );
    if (isOurs) {
      this.#undo.push(() => unpinOwn(this.#kernel, 'map', ours.fd, path));
      this.#maps.set(step.map, { ...ours, pinPath: path });
    } else {
      this.#closeLoser(step.map, ours.fd);
    }
    return isOurs;
  }

  /** Another map is used instead of ours. */
  #closeLoser(map: string, fd: number): void {
    const memory = this.#arenas.get(map);
    if (memory !== undefined) {
      this.#arenas.delete(map);
      this.#kernel.unmapMemory(memory);
    }
    this.#kernel.close(fd);
  }

  #makePinDirectory(path: string): void {
    for (const directory of makePinDirectory(this.#kernel, path)) {
      this.#undo.push(() => this.#kernel.removeDirectory(directory));
    }
  }

  #own(name: string, map: LoadedMap): void {
    this.#maps.set(name, map);
  }

  #fdOf(name: string): number {
    const map = this.#maps.get(name);
    if (map === undefined) {
      throw new SkepError('ERR_SKEP_LOAD', `map "${name}" is not loaded`);
    }
    return map.fd;
  }

  #closeTemplate(name: string): void {
    const fd = this.#templates.get(name);
    if (fd !== undefined) {
      this.#templates.delete(name);
      this.#kernel.close(fd);
    }
  }

  #closeTemporaries(): void {
    this.#programs.closeTemporaries();
    for (const name of [...this.#templates.keys()]) {
      this.#closeTemplate(name);
    }
    if (this.#btf) {
      // Maps hold their own reference.
      this.#kernel.close(this.#btf.fd);
      this.#btf = null;
    }
  }

  #rollBack(): void {
    for (const undo of this.#undo.reverse()) {
      try {
        undo();
      } catch {
        // The failure that led here is the one to report; the rest is undone all the same.
      }
    }
    this.#programs.rollBack();
    for (const { fd } of this.#maps.values()) {
      this.#kernel.close(fd);
    }
    this.#maps.clear();
  }
}

function programsOf({ steps }: Plan): string[] {
  const programs: string[] = [];
  for (const step of steps) {
    if (step.step === 'load-program') {
      programs.push(step.program);
    }
  }
  return programs;
}

/** A map declared read-only or write-only for system calls is opened that way from its pin too. */
function accessOf(shape: MapShape): 'read-write' | 'read-only' | 'write-only' {
  if ((shape.flags & BPF_F.RDONLY) !== 0) return 'read-only';
  return (shape.flags & BPF_F.WRONLY) !== 0 ? 'write-only' : 'read-write';
}

function creationError(what: string, cause: unknown, btfRefusal: unknown): unknown {
  if (!(cause instanceof SyscallError)) {
    return cause;
  }
  // Types that lack show as EINVAL, if that is what the map was refused for.
  const types =
    btfRefusal instanceof Error && cause.errnoName === 'EINVAL'
      ? `it was created without its types, which some types of map need: ${btfRefusal.message}`
      : undefined;
  return new SyscallError(what, {
    command: cause.command,
    errno: cause.errno,
    errnoName: cause.errnoName,
    hint: types ?? cause.hint,
    cause,
  });
}
