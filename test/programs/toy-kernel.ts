/**
 * A kernel with a handful of types and one module, `toy`, as libbpf encodes them
 * (fixtures/expected/split-btf, made by fixtures/oracle/split-btf.c). It keeps account of what is asked.
 */

import { SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { ERRNO, errnoName } from '../../src/uapi/errno.ts';
import { fixtureJson } from '../support/fixtures.ts';
import { partialKernel } from './partial-kernel.ts';

interface Recorded {
  readonly kernel: string;
  readonly module: string;
  readonly kernelIds: Readonly<Record<string, number>>;
  readonly moduleIds: Readonly<Record<string, number>>;
}

/** The bytes, and the ids that libbpf has for each `kind name`. */
export const toyTypes = fixtureJson<Recorded>('expected/split-btf/toy.json');

const kernelBytes = new Uint8Array(Buffer.from(toyTypes.kernel, 'hex'));
const moduleBytes = new Uint8Array(Buffer.from(toyTypes.module, 'hex'));

/** Id of the module's BTF object. Others belong to nobody, to the kernel, and to what is gone. */
const TOY = 7;
const OBJECTS: ReadonlyMap<number, { readonly name: string; readonly isKernel: boolean }> = new Map(
  [
    [1, { name: 'vmlinux', isKernel: true }],
    [3, { name: '', isKernel: false }],
    [TOY, { name: 'toy', isKernel: true }],
  ],
);
/** Listed, but gone when it is opened. */
const GONE = 5;

/** What was asked of it. */
export interface ToyKernel {
  readonly kernel: Kernel;
  /** How often the kernel's own types were asked for, and modules listed. */
  readonly asked: { kernelBtf: number; modules: number };
  /** Open descriptors, with the ids that they are of. */
  readonly open: Map<number, number>;
}

/** What a toy kernel is made with. */
export interface ToyOptions extends Partial<Kernel> {
  /** The errno that listing BTF objects ends in. */
  readonly refuseListing?: number;
  /** The module is unloaded after it was listed. */
  readonly unloadModule?: boolean;
}

/** Makes one. */
export function toyKernel({ refuseListing, unloadModule, ...parts }: ToyOptions = {}): ToyKernel {
  const asked = { kernelBtf: 0, modules: 0 };
  const open = new Map<number, number>();
  let nextFd = 50;
  const kernel = partialKernel({
    kernelBtf() {
      asked.kernelBtf += 1;
      return kernelBytes;
    },
    nextBtfId(after) {
      asked.modules += after === 0 ? 1 : 0;
      if (refuseListing !== undefined) throw refusal('BPF_BTF_GET_NEXT_ID', refuseListing);
      return [...OBJECTS.keys(), GONE].sort((a, b) => a - b).find((id) => id > after) ?? null;
    },
    openBtfById(id) {
      if (!OBJECTS.has(id)) throw refusal('BPF_BTF_GET_FD_BY_ID', ERRNO.ENOENT);
      nextFd += 1;
      open.set(nextFd, id);
      return nextFd;
    },
    btfInfo(fd) {
      const id = open.get(fd)!;
      return { id, size: 100, ...OBJECTS.get(id)! };
    },
    readBtf(id) {
      if (id !== TOY || unloadModule) throw refusal('BPF_BTF_GET_FD_BY_ID', ERRNO.ENOENT);
      return moduleBytes;
    },
    close(fd) {
      if (!open.delete(fd)) throw new Error(`descriptor ${fd} is not open`);
    },
    ...parts,
  });
  return { kernel, asked, open };
}

function refusal(command: string, errno: number): SyscallError {
  return new SyscallError('BTF', { command, errno, errnoName: errnoName(errno) });
}
