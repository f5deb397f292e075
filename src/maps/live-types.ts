/** The types of a map that is in the kernel, from the BTF that the kernel keeps with it. */

import { bytes } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import { type BtfCodecOptions, codecOf } from '../codec/from-btf.ts';
import { u32 } from '../codec/numbers.ts';
import { SyscallError } from '../errors.ts';
import type { Kernel, MapInfo } from '../kernel/kernel.ts';
import { Btf } from '../obj/btf/btf.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { lpmKey, lpmKeyOf } from './lpm-key-codec.ts';

/** How a map's keys and values look; null where nobody knows. */
export interface LiveTypes {
  readonly key: Codec<unknown, unknown> | null;
  /** Of one CPU's value in per-CPU maps. */
  readonly value: Codec<unknown, unknown> | null;
}

/** Codecs for keys and values, whatever is known of them. */
export interface LiveCodecs {
  readonly key: Codec<unknown, never>;
  /** Of one CPU's value in per-CPU maps. */
  readonly value: Codec<unknown, never>;
}

/** What is asked of a map. */
export type TypedInfo = Pick<
  MapInfo,
  'name' | 'type' | 'keySize' | 'valueSize' | 'btfId' | 'keyTypeId' | 'valueTypeId'
>;

/** Types whose keys are indices, with or without BTF: the kernel takes no other size than 4 there. */
const INDEXED: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.ARRAY,
  BPF_MAP_TYPE.PROG_ARRAY,
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
  BPF_MAP_TYPE.PERCPU_ARRAY,
  BPF_MAP_TYPE.STACK_TRACE,
  BPF_MAP_TYPE.CGROUP_ARRAY,
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.DEVMAP,
  BPF_MAP_TYPE.SOCKMAP,
  BPF_MAP_TYPE.CPUMAP,
  BPF_MAP_TYPE.XSKMAP,
  BPF_MAP_TYPE.REUSEPORT_SOCKARRAY,
]);

/**
 * Asks the kernel for the types that a map was created with. Needs CAP_SYS_ADMIN, unless the map has
 * none. The indices of arrays and the addresses of tries have a form of their own.
 *
 * @throws SyscallError `EPERM` without it
 * @throws ObjectError `ERR_SKEP_BTF` for a type that has no values
 */
export function liveTypes(
  kernel: Pick<Kernel, 'readBtf'>,
  info: TypedInfo,
  options: BtfCodecOptions = {},
): LiveTypes {
  const own = ownKey(info);
  // The kernel's own types (struct_ops) come without ids of keys and values.
  if (info.btfId === 0 || (info.keyTypeId === 0 && info.valueTypeId === 0)) {
    return { key: own, value: null };
  }
  const btf = Btf.parse(kernel.readBtf(info.btfId), `the kernel's BTF ${info.btfId}`);
  const codec = (typeId: number) => (typeId === 0 ? null : codecOf(btf, typeId, options));
  const { keyTypeId, valueTypeId, type } = info;
  const key =
    type === BPF_MAP_TYPE.LPM_TRIE && keyTypeId !== 0
      ? (lpmKeyOf(btf, keyTypeId) ?? codec(keyTypeId))
      : (own ?? codec(keyTypeId));
  // A data section's value is the section as a whole, which is no type of a value.
  const isSection = btf.kindOf(valueTypeId) === BTF_KIND.DATASEC;
  return { key: key as LiveTypes['key'], value: isSection ? null : codec(valueTypeId) };
}

/**
 * Codecs for a map without an object: by the kernel's types, as bytes where there are none.
 *
 * @throws SyscallError `EPERM` without CAP_SYS_ADMIN, if the map has types
 */
export function liveCodecs(
  kernel: Pick<Kernel, 'readBtf'>,
  info: TypedInfo,
  options: BtfCodecOptions = {},
): LiveCodecs {
  try {
    const { key, value } = liveTypes(kernel, info, options);
    // Values of a perf event array are descriptors; its records have any length.
    const valueSize = info.type === BPF_MAP_TYPE.PERF_EVENT_ARRAY ? 0 : info.valueSize;
    return {
      key: (key ?? bytes(info.keySize)) as LiveCodecs['key'],
      value: (value ?? bytes(valueSize)) as LiveCodecs['value'],
    };
  } catch (error) {
    throw error instanceof SyscallError && error.errnoName === 'EPERM'
      ? notPermitted(info.name, error)
      : error;
  }
}

/** The codec of keys whose form is the kernel's, and not the program's. */
function ownKey({ type, keySize }: TypedInfo): LiveTypes['key'] {
  if (INDEXED.has(type) && keySize === u32.sizeBytes) {
    return u32 as LiveTypes['key'];
  }
  const isTrie = type === BPF_MAP_TYPE.LPM_TRIE && keySize > 4;
  return isTrie ? (lpmKey(keySize - 4) as LiveTypes['key']) : null;
}

function notPermitted(map: string, error: SyscallError): SyscallError {
  return new SyscallError(`types of map "${map}"`, {
    command: error.command,
    errno: error.errno,
    errnoName: error.errnoName,
    hint: 'asking the kernel for the types of a map needs CAP_SYS_ADMIN; pass them instead, as in HashMap.openPinned(path, { key: u32, value: u64 })',
    cause: error,
  });
}
