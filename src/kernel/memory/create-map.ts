/**
 * Making a map in the in-process kernel: `map_create` in `kernel/bpf/syscall.c`, whose checks are in
 * `create-rules.ts` and `value-types.ts`.
 */

import type { SyscallError } from '../../errors.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../../uapi/map-types.ts';
import type { Capability } from '../capabilities.ts';
import { checkMapNumbers, shortName } from '../check-numbers.ts';
import type { MapAttributes } from '../kernel.ts';
import { explainCreate, mapCapabilities } from '../map-hints.ts';
import { refused } from '../refused.ts';
import {
  checkAllocation,
  checkAttributes,
  checkName,
  fixedBytes,
  hasMapType,
  roomOf,
} from './create-rules.ts';
import { isStream, type OpenFile } from './descriptors.ts';
import { innerMetaOf } from './inner-meta.ts';
import type { Machine } from './machine.ts';
import { BtfObject, type InnerMeta, MapObject } from './objects.ts';
import { checkTypes } from './value-types.ts';

/** What this needs of the process. */
export interface CreateContext {
  readonly machine: Machine;
  may(capability: Capability): boolean;
  /** What is behind a descriptor. */
  open(fd: number): OpenFile | undefined;
}

type Refuse = (errno: number, hint?: string) => SyscallError;

/**
 * Makes a map. Nobody holds it yet.
 *
 * @throws TypeError for attributes that no call has room for; SyscallError as the kernel refuses it
 */
export function createMap(attributes: MapAttributes, context: CreateContext): MapObject {
  checkMapNumbers(attributes);
  const { machine } = context;
  const { cpus, pageSize } = machine.options;
  const name = shortName(attributes.name, 'map');
  const map = { ...attributes, name, flags: attributes.flags >>> 0 };
  const refuse: Refuse = (errno, hint) =>
    refused('BPF_MAP_CREATE', errno, `map "${attributes.name}"`, hint);
  const early = checkAttributes(map, pageSize);
  if (early < 0) {
    throw refuse(-early);
  }
  if (!mapCapabilities(map.type).every((capability) => context.may(capability))) {
    throw refuse(ERRNO.EPERM, explainCreate(map.type, context.may));
  }
  if (!hasMapType(map.type)) {
    const hint = `the in-process kernel has no maps of type ${mapTypeName(map.type)}`;
    throw refuse(ERRNO.EINVAL, hint);
  }
  const allocation = checkAllocation(map, pageSize);
  if (allocation < 0) {
    throw refuse(-allocation);
  }
  const inner = innerMeta(map, context, refuse);
  const late = checkName(name);
  if (late < 0) {
    throw refuse(-late);
  }
  const btf = typesOf(map, context, refuse);
  const special = btf === null ? [] : checkTypes(map, btf.types);
  if (typeof special === 'number') {
    throw refuse(-special);
  }
  const { mapMemoryBytes } = machine.options;
  const taken = machine.mapBytes;
  if (taken + fixedBytes(map, machine.options) > mapMemoryBytes) {
    const hint = `too little memory for that many entries: the maps of this in-process kernel may take ${mapMemoryBytes} bytes together (its option mapMemoryBytes), and have taken ${taken}`;
    throw refuse(ERRNO.ENOMEM, hint);
  }
  try {
    return machine.addMap({ ...map, maxEntries: roomOf(map, cpus) }, { btf, special, inner });
  } catch (cause) {
    // More memory than a buffer can have.
    throw cause instanceof RangeError ? refuse(ERRNO.ENOMEM) : cause;
  }
}

function innerMeta(map: MapAttributes, context: CreateContext, refuse: Refuse): InnerMeta | null {
  if (map.type !== BPF_MAP_TYPE.ARRAY_OF_MAPS && map.type !== BPF_MAP_TYPE.HASH_OF_MAPS) {
    return null;
  }
  // Without a template the kernel is handed descriptor 0, which is no map.
  const fd = map.innerMapFd ?? 0;
  const template = context.open(fd)?.object;
  if (template === undefined && !isStream(fd)) {
    throw refuse(ERRNO.EBADF);
  }
  const meta = template instanceof MapObject ? innerMetaOf(template) : -ERRNO.EINVAL;
  if (typeof meta === 'number') {
    throw refuse(-meta);
  }
  return meta;
}

function typesOf(map: MapAttributes, context: CreateContext, refuse: Refuse): BtfObject | null {
  if (map.btf === null || (map.btf.keyTypeId === 0 && map.btf.valueTypeId === 0)) {
    return null;
  }
  const table = context.open(map.btf.fd)?.object;
  if (!(table instanceof BtfObject)) {
    const isOpen = table !== undefined || isStream(map.btf.fd);
    throw refuse(isOpen ? ERRNO.EINVAL : ERRNO.EBADF);
  }
  return table;
}
