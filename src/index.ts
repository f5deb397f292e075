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
export { perCpu } from './codec/per-cpu.ts';
export { PerCpuValues, type Sum } from './codec/per-cpu-values.ts';
export {
  type InnerDifference,
  InnerMismatchError,
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
export { ArrayOfMaps } from './maps/array-of-maps.ts';
export { BloomFilter } from './maps/bloom-filter.ts';
export { HashMap } from './maps/hash-map.ts';
export { HashOfMaps } from './maps/hash-of-maps.ts';
export type { CreatingKind, HandleOf, InnerKind } from './maps/inner-kinds.ts';
export type { InnerMap } from './maps/inner-map.ts';
export type { InnerOverrides, InnerShape, InnerTemplate } from './maps/inner-template.ts';
export { KeylessMap, type KeylessSource, type ValueType } from './maps/keyless-map.ts';
export { LpmKey, type LpmKeyLike } from './maps/lpm-key.ts';
export { lpmKey } from './maps/lpm-key-codec.ts';
export { type LpmInput, LpmTrie } from './maps/lpm-trie.ts';
export {
  type DescribedMap,
  MapHandle,
  type OpenOptions,
  type UpdateMode,
} from './maps/map-handle.ts';
export { OuterMap, type OuterSource } from './maps/outer-map.ts';
export { PerCpuArray } from './maps/per-cpu-array.ts';
export { PerCpuHashMap } from './maps/per-cpu-hash-map.ts';
export { type PushOptions, PushPopMap } from './maps/push-pop-map.ts';
export { Queue } from './maps/queue.ts';
export { RawMap } from './maps/raw-map.ts';
export { Stack } from './maps/stack.ts';
export type { CreateOptions, Types } from './maps/standalone.ts';
export type { InnerOptions, InnerTypes } from './maps/standalone-outer.ts';
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
