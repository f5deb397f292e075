/**
 * Creating one map in the kernel: names the kernel takes, types it accepts, and what to leave out
 * when an older kernel refuses.
 */

import { SyscallError } from '../errors.ts';
import type { Kernel, MapAttributes } from '../kernel/kernel.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';

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

/**
 * Creates a map. If the kernel refuses it, what older kernels do not know is left out step by step:
 * the types (before 4.18, and where a type does not take them), a dot in the name (before 5.2), the
 * name (before 4.15).
 *
 * @returns a file descriptor, the caller's to close
 * @throws SyscallError the first refusal, if none of that helps
 */
export function createMap(kernel: Kernel, attributes: MapAttributes): number {
  let refusal: unknown;
  for (const attempt of attempts(attributes)) {
    try {
      return kernel.createMap(attempt);
    } catch (error) {
      refusal ??= error;
      if (!mayBeAge(error)) {
        break;
      }
    }
  }
  throw refusal;
}

function* attempts(attributes: MapAttributes): Generator<MapAttributes> {
  yield attributes;
  if (attributes.btf !== null) {
    yield { ...attributes, btf: null };
  }
  if (attributes.name.includes('.')) {
    yield { ...attributes, btf: null, name: attributes.name.replaceAll('.', '_') };
  }
  if (attributes.name !== '') {
    yield { ...attributes, btf: null, name: '' };
  }
}

/** Whether a refusal can mean that the kernel does not know a field, rather than what it says. */
function mayBeAge(error: unknown): boolean {
  return error instanceof SyscallError && ['EINVAL', 'E2BIG', 'ENOTSUPP'].includes(error.errnoName);
}
