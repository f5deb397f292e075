/**
 * What tests of programs that use skep need, published as `skep/testing`: a kernel in the process, for
 * any system and any user; and faults and a log for either kernel.
 */

export {
  type Call,
  type CallName,
  type ErrnoName,
  type FaultyKernel,
  withFaults,
} from './kernel/faults.ts';
export {
  type Capability,
  type MapLike,
  MemoryKernel,
  type MemoryKernelOptions,
} from './kernel/memory/memory-kernel.ts';
export type { TestRunAnswer, TestRunFunction } from './kernel/memory/test-run.ts';
export { type Replayed, replay } from './kernel/replay.ts';
