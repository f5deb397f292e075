/**
 * Creating one map in the kernel: names the kernel takes, types it accepts, and what to leave out
 * when an older kernel refuses.
 */

import { SyscallError } from '../errors.ts';
import type { Kernel, MapAttributes } from '../kernel/kernel.ts';
import { isShortage } from '../kernel/shortage.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkSizes } from './create-checks.ts';

/** Longest name in the kernel: `BPF_OBJ_NAME_LEN` less its NUL. */
const NAME_LENGTH = 15;

/**
 * Map types that are created without the types of keys and values: the kernel has no use for them
 * there and refuses most (libbpf's list in `bpf_object__create_map`, and ring buffers).
 */
const WITHOUT_BTF: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
  BPF_MAP_TYPE.CGROUP_ARRAY,
  BPF_MAP_TYPE.STACK_TRACE,
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.HASH_OF_MAPS,
  BPF_MAP_TYPE.DEVMAP,
  BPF_MAP_TYPE.DEVMAP_HASH,
  BPF_MAP_TYPE.CPUMAP,
  BPF_MAP_TYPE.XSKMAP,
  BPF_MAP_TYPE.SOCKMAP,
  BPF_MAP_TYPE.SOCKHASH,
  BPF_MAP_TYPE.QUEUE,
  BPF_MAP_TYPE.STACK,
  BPF_MAP_TYPE.ARENA,
  BPF_MAP_TYPE.RINGBUF,
  BPF_MAP_TYPE.USER_RINGBUF,
]);

/**
 * Whether a map of this type can be created with these type ids. The kernel wants both or none,
 * except for Bloom filters, which have no key, and data sections, whose value is a `datasec`.
 */
export function takesTypes(
  type: number,
  keyTypeId: number,
  valueTypeId: number,
  isDataSection: boolean,
): boolean {
  if (WITHOUT_BTF.has(type) || valueTypeId === 0) {
    return false;
  }
  return keyTypeId !== 0 || type === BPF_MAP_TYPE.BLOOM_FILTER || isDataSection;
}

/** A name as the kernel takes it: `[A-Za-z0-9_.]`, 15 at most; what is not becomes `_`. */
export function kernelName(name: string): string {
  return name.slice(0, NAME_LENGTH).replace(/[^A-Za-z0-9_.]/g, '_');
}

/** What was left out of a map's creation because the kernel refused it, and the refusal. */
export interface LeftOut {
  readonly what: 'memory mapping' | 'types' | 'name';
  readonly refusal: Error;
}

/** How {@link createMap} deals with kernels that do not know everything. */
export interface CreateMapOptions {
  /** Flags that the map can do without (`BPF_F_MMAPABLE` of data sections, before 5.5). */
  readonly optionalFlags?: number;
  /** Told what was left out, if anything was. */
  readonly onLeftOut?: (left: LeftOut) => void;
}

/**
 * Creates a map. If the kernel refuses it, what it may not know is left out step by step: flags that
 * are optional; the types, which kernels before 4.18, and some map types with some values, do not
 * take; a dot in the name (before 5.2); the name (before 4.15).
 *
 * @returns a file descriptor, the caller's to close
 * @throws TypeError, RangeError for numbers that are none of 32 bits
 * @throws SyscallError the first refusal, if none of that helps
 */
export function createMap(
  kernel: Kernel,
  attributes: MapAttributes,
  options: CreateMapOptions = {},
): number {
  checkSizes(attributes);
  let refusal: Error | undefined;
  for (const attempt of attempts(attributes, options.optionalFlags ?? 0)) {
    // As libbpf does, types are left out after any refusal; the rest only if age can be the reason.
    if (refusal !== undefined && attempt.left !== 'types' && !mayBeAge(refusal)) {
      continue;
    }
    try {
      const fd = kernel.createMap(attempt.attributes);
      if (refusal !== undefined && attempt.left !== null) {
        options.onLeftOut?.({ what: attempt.left, refusal });
      }
      return fd;
    } catch (error) {
      // Too little memory now is no reason to go without types for as long as the map lives.
      if (!(error instanceof SyscallError) || isShortage(error)) {
        throw error;
      }
      refusal ??= error;
    }
  }
  throw refusal;
}

interface Attempt {
  readonly attributes: MapAttributes;
  readonly left: LeftOut['what'] | null;
}

function* attempts(attributes: MapAttributes, optionalFlags: number): Generator<Attempt> {
  yield { attributes, left: null };
  let less = attributes;
  if ((less.flags & optionalFlags) !== 0) {
    less = { ...less, flags: less.flags & ~optionalFlags };
    yield { attributes: less, left: 'memory mapping' };
  }
  if (less.btf !== null) {
    // With the flags again: on a kernel that knows them the types were the reason.
    yield { attributes: { ...attributes, btf: null }, left: 'types' };
    less = { ...less, btf: null };
    if (less.flags !== attributes.flags) {
      yield { attributes: less, left: 'types' };
    }
  }
  if (less.name.includes('.')) {
    yield { attributes: { ...less, name: less.name.replaceAll('.', '_') }, left: 'name' };
  }
  if (less.name !== '') {
    yield { attributes: { ...less, name: '' }, left: 'name' };
  }
}

/** Whether a refusal can mean that the kernel does not know a field, rather than what it says. */
function mayBeAge(error: Error): boolean {
  return error instanceof SyscallError && ['EINVAL', 'E2BIG', 'ENOTSUPP'].includes(error.errnoName);
}
