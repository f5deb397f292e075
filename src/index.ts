/**
 * skep: eBPF for TypeScript. Reads compiled objects, creates their maps, pins them, and gives
 * handles to them. The part that needs no kernel is published by itself as `skep/obj`.
 */

export {
  KernelUnavailableError,
  type MapDifference,
  PinMismatchError,
  SyscallError,
} from './errors.ts';
export type {
  FileSystemKind,
  Kernel,
  MapAttributes,
  MapInfo,
  MapUsage,
  PinAccess,
} from './kernel/kernel.ts';
export { openKernelBtf } from './kernel/kernel-btf.ts';
export { linuxKernel } from './kernel/linux.ts';
export { inspectionSchema } from './loader/inspection-schema.ts';
export { LoadedObject, load, plan } from './loader/load.ts';
export { ObjectFile } from './loader/object-file.ts';
export type { LoadOptions, MapOptions } from './loader/options.ts';
export type { Omission, Plan } from './loader/plan.ts';
export type { MapShape } from './loader/shapes.ts';
export { describeStep, type Step, type StepEvent } from './loader/steps.ts';
export { type OpenOptions, RawMap, type RawMapInfo, type UpdateMode } from './maps/raw-map.ts';
export {
  Btf,
  type BtfType,
  type ByteOrder,
  type DataSection,
  type DataVariable,
  hasCode,
  type Inspection,
  inspect,
  type MapDefinition,
  MapDefinitionError,
  type MapSlot,
  ObjectError,
  type ParseOptions,
  type ProgramDefinition,
  SkepError,
  type SkepErrorCode,
} from './obj/index.ts';
