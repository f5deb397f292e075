/**
 * skep: eBPF for TypeScript. Reads compiled objects, creates their maps, pins them, and gives
 * handles to them. The part that needs no kernel is published by itself as `skep/obj`.
 */

export { array, bytes, enumeration, text } from './codec/aggregates.ts';
export { struct, union } from './codec/by-hand.ts';
export { type Codec, type Decoded, type Encodable, Memory, ValueError } from './codec/codec.ts';
export { type AnyCodec, type BtfCodecOptions, codecOf } from './codec/from-btf.ts';
export type { Input } from './codec/input.ts';
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
  VerifierError,
  type VerifierLog,
  type VerifierLogEntry,
  type VerifierPlace,
  type VerifierStatistics,
} from './errors.ts';
export type {
  BatchCursor,
  FileSystemKind,
  Interest,
  Kernel,
  MapAttributes,
  MapInfo,
  MapUsage,
  PinAccess,
  Watch,
} from './kernel/kernel.ts';
export { openKernelBtf } from './kernel/kernel-btf.ts';
export { linuxKernel } from './kernel/linux.ts';
export type {
  AttachTarget,
  BtfInfo,
  InfoTable,
  LogRequest,
  ProgramAttributes,
  ProgramCalls,
  ProgramCode,
  ProgramInfo,
  TestRunOutcome,
  TestRunRequest,
} from './kernel/program-calls.ts';
export type { Globals } from './loader/globals.ts';
export { inspectionSchema } from './loader/inspection-schema.ts';
export { LoadedObject, load, type MapKind, plan } from './loader/load.ts';
export { ObjectFile } from './loader/object-file.ts';
export type { LoadOptions, MapOptions } from './loader/options.ts';
export type { MapOmission, Omission, Plan } from './loader/plan.ts';
export type { ProgramOmission } from './loader/plan-programs.ts';
export type { ObjectPerfOptions, ObjectRecordOptions } from './loader/record-types.ts';
export type { MapShape } from './loader/shapes.ts';
export { describeStep, type Step, type StepEvent } from './loader/steps.ts';
export { Arena, type ArenaOptions } from './maps/arena.ts';
export { ArrayMap } from './maps/array-map.ts';
export { ArrayOfMaps } from './maps/array-of-maps.ts';
export {
  type AttachedKey,
  type AttachedOptions,
  AttachedStorage,
} from './maps/attached-storage.ts';
export { BloomFilter } from './maps/bloom-filter.ts';
export { CgroupArray } from './maps/cgroup-array.ts';
export { CgroupStorage } from './maps/cgroup-storage.ts';
export { type CpuEntry, CpuMap, type CpuTarget } from './maps/cpu-map.ts';
export { DevMap } from './maps/dev-map.ts';
export { DevMapHash } from './maps/dev-map-hash.ts';
export { type DeviceEntry, DeviceMap, type DeviceTarget } from './maps/device-entry.ts';
export type { FdLike, PathOrFd } from './maps/fd-like.ts';
export { HashMap } from './maps/hash-map.ts';
export { HashOfMaps } from './maps/hash-of-maps.ts';
export type { CreatingKind, HandleOf, InnerKind } from './maps/inner-kinds.ts';
export type { InnerMap } from './maps/inner-map.ts';
export type { InnerOverrides, InnerShape, InnerTemplate } from './maps/inner-template.ts';
export { InodeStorage } from './maps/inode-storage.ts';
export { KeylessMap, type KeylessSource, type ValueType } from './maps/keyless-map.ts';
export { type LeakedHandle, reportLeaks } from './maps/leaks.ts';
export { LegacyCgroupStorage } from './maps/legacy-cgroup-storage.ts';
export { LegacyPerCpuCgroupStorage } from './maps/legacy-per-cpu-cgroup-storage.ts';
export { LocalStorage, type StorageOptions, type StorageSource } from './maps/local-storage.ts';
export { LpmKey, type LpmKeyLike } from './maps/lpm-key.ts';
export { lpmKey } from './maps/lpm-key-codec.ts';
export { type LpmInput, LpmTrie } from './maps/lpm-trie.ts';
export {
  type DescribedMap,
  MapHandle,
  type MapPlace,
  type OpenByIdOptions,
  type OpenOptions,
  type UpdateMode,
} from './maps/map-handle.ts';
export { MappedArray } from './maps/mapped-array.ts';
export { type MergedRecord, mergeRecords } from './maps/merge-records.ts';
export type { NumberArray, NumberView } from './maps/number-view.ts';
export { openMap } from './maps/open-map.ts';
export { OuterMap, type OuterSource } from './maps/outer-map.ts';
export { PerCpuArray } from './maps/per-cpu-array.ts';
export { PerCpuHashMap } from './maps/per-cpu-hash-map.ts';
export { PerfCursor } from './maps/perf-cursor.ts';
export {
  type CreatePerfOptions,
  PerfEventArray,
  type PerfOptions,
  type PerfSource,
} from './maps/perf-event-array.ts';
export { ProgramArray } from './maps/program-array.ts';
export { type PushOptions, PushPopMap } from './maps/push-pop-map.ts';
export { Queue } from './maps/queue.ts';
export { RawMap } from './maps/raw-map.ts';
export { RecordCursor, type RecordView } from './maps/record-cursor.ts';
export { RecordMap, type RecordSource } from './maps/record-map.ts';
export type { RecordOptions } from './maps/record-options.ts';
export { RedirectMap, type RedirectOptions } from './maps/redirect-target.ts';
export { ReusePortSockArray } from './maps/reuse-port-sock-array.ts';
export { RingBuffer } from './maps/ring-buffer.ts';
export { RingCursor } from './maps/ring-cursor.ts';
export type { CreateRingOptions } from './maps/ring-memory.ts';
export { SkStorage } from './maps/sk-storage.ts';
export { ReadableSlotMap, SlotMap, type SlotSource } from './maps/slot-map.ts';
export { type KeyType, SockHash } from './maps/sock-hash.ts';
export { SockMap } from './maps/sock-map.ts';
export type { SocketLike } from './maps/socket-like.ts';
export { SocketMap, type SocketMapOptions } from './maps/socket-slots.ts';
export { Stack } from './maps/stack.ts';
export { type CapturedStack, type StackLocation, StackTrace } from './maps/stack-trace.ts';
export type { CreateOptions, Types } from './maps/standalone.ts';
export type { InnerOptions, InnerTypes, OuterTypes } from './maps/standalone-outer.ts';
export {
  StructOps,
  StructOpsRegistration,
  type StructOpsSource,
  type StructOpsStatus,
} from './maps/struct-ops.ts';
export { TaskStorage } from './maps/task-storage.ts';
export {
  type ReadOptions,
  TypedMap,
  type TypedSource,
  type WriteOptions,
} from './maps/typed-map.ts';
export {
  type Reservation,
  type UserRecordOptions,
  UserRingBuffer,
  type UserRingSource,
} from './maps/user-ring-buffer.ts';
export { XskMap } from './maps/xsk-map.ts';
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
export type { Answer } from './probes/answer.ts';
export { FEATURES, type FeatureDescription, FeatureSet, features } from './probes/features.ts';
export type { FeatureName } from './probes/loader-features.ts';
export type { ContextInput, ContextRecord } from './programs/context-codec.ts';
export type { OptionValue } from './programs/kconfig-value.ts';
export {
  type DescribedProgram,
  type LoadedCode,
  type OpenProgramOptions,
  Program,
} from './programs/program.ts';
export type { ProgramOptions, ProgramShape } from './programs/program-shape.ts';
export { BPF_F_TEST, type TestRun, type TestRunOptions } from './programs/test-run.ts';
export { parseVerifierLog, registersOf } from './programs/verifier-log.ts';
