/** What ring buffers of both directions share: how they are created, and how their memory ends. */

import type { Kernel, MapAttributes } from '../kernel/kernel.ts';
import { kernelName } from './create-map.ts';
import { ringBufferBytes } from './ring-size.ts';

/** What a ring buffer is created with. */
export interface CreateRingOptions {
  /** Room for records and their headers; rounded up to a power of two of whole pages. */
  readonly sizeBytes: number;
  /** The kernel's name for it: 15 of the characters `[A-Za-z0-9_.]` at most. */
  readonly name?: string;
  /** The kernel to create it in; the running one by default. */
  readonly kernel?: Kernel;
}

/** What a ring buffer, of either direction, is created with. */
export function ringAttributes(
  type: number,
  options: CreateRingOptions,
  kernel: Kernel,
): MapAttributes {
  const { sizeBytes } = options;
  if (!Number.isInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes > 0xffff_ffff) {
    throw new RangeError(`sizeBytes is a positive number of 32 bits, not ${String(sizeBytes)}`);
  }
  return {
    type,
    keySize: 0,
    valueSize: 0,
    maxEntries: ringBufferBytes(sizeBytes, kernel.pageSize),
    flags: 0,
    name: kernelName(options.name ?? ''),
    numaNode: 0,
    mapExtra: 0n,
    innerMapFd: null,
    btf: null,
  };
}

/** Ends mappings. */
export function unmapAll(kernel: Kernel, memory: readonly ArrayBuffer[]): void {
  for (const buffer of memory) {
    kernel.unmapMemory(buffer);
  }
}
