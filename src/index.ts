/**
 * skep: eBPF for TypeScript. Reads compiled objects, creates their maps, pins them, and gives
 * handles to them. The part that needs no kernel is published by itself as `skep/obj`.
 */

export { array, bytes, enumeration, text } from './codec/aggregates.ts';
export { struct, union } from './codec/by-hand.ts';
export { type Codec, type Decoded, type Encodable, Memory, ValueError } from './codec/codec.ts';
export { type AnyCodec, type BtfCodecOptions, codecOf } from './codec/from-btf.ts';
export {
  bool,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  i128,
  pointer,
  u8,
  u16,
  u32,
  u64,
  u128,
} from './codec/numbers.ts';
export {
  KernelUnavailableError,
  type MapDifference,
  PinMismatchError,
  SyscallError,
} from './errors.ts';
export type {
  BatchCursor,
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
export { LoadedObject, load, type MapKind, plan } from './loader/load.ts';
export { ObjectFile } from './loader/object-file.ts';
export type { LoadOptions, MapOptions } from './loader/options.ts';
export type { Omission, Plan } from './loader/plan.ts';
export type { MapShape } from './loader/shapes.ts';
export { describeStep, type Step, type StepEvent } from './loader/steps.ts';
export { ArrayMap } from './maps/array-map.ts';
export { HashMap } from './maps/hash-map.ts';
export {
  type DescribedMap,
  MapHandle,
  type OpenOptions,
  type UpdateMode,
} from './maps/map-handle.ts';
export { RawMap } from './maps/raw-map.ts';
export type { CreateOptions, Types } from './maps/standalone.ts';
export {
  type ReadOptions,
  TypedMap,
  type TypedSource,
  type WriteOptions,
} from './maps/typed-map.ts';
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
