/** A kernel in front of another that refuses types with kinds which it is too old to know. */

import { SyscallError } from '../../src/errors.ts';
import { type FaultyKernel, withFaults } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import type { BtfPart } from '../../src/obj/btf-for-kernel-older.ts';
import { ERRNO } from '../../src/uapi/errno.ts';

/** The first version of Linux that knows each part: the commits that added them to kernel/bpf/btf.c. */
export const SINCE: Readonly<Record<BtfPart, string>> = {
  functions: '5.0',
  'data sections': '5.2',
  'global functions': '5.6',
  float: '5.13',
  'declaration tags': '5.16',
  'type tags': '5.17',
  enum64: '6.0',
  'section names with ?': '6.9',
};

export const PARTS = Object.keys(SINCE) as BtfPart[];

/** What a version does not know. */
export function unknownTo(version: string): BtfPart[] {
  const number = (text: string) => {
    const [major, minor] = text.split('.').map(Number);
    return major! * 1000 + minor!;
  };
  return PARTS.filter((part) => number(SINCE[part]) > number(version));
}

/** Whether types have some part, told from the types as objects. */
export function hasPart(btf: Btf, part: BtfPart): boolean {
  const some = (...kinds: Parameters<Btf['idsOfKind']>[0][]) =>
    kinds.flatMap((kind) => btf.idsOfKind(kind)).map((id) => btf.type(id));
  switch (part) {
    case 'functions':
      return some('func', 'func_proto').length > 0;
    case 'data sections':
      return some('var', 'datasec').length > 0;
    case 'global functions':
      return some('func').some((type) => type.kind === 'func' && type.linkage !== 'static');
    case 'float':
      return some('float').length > 0;
    case 'declaration tags':
      return some('decl_tag').length > 0;
    case 'type tags':
      return some('type_tag').length > 0;
    case 'enum64':
      return some('enum64').length > 0 || some('enum').some((t) => t.kind === 'enum' && t.signed);
    case 'section names with ?':
      return some('datasec').some((type) => 'name' in type && type.name.startsWith('?'));
  }
}

/** A kernel that does not know everything, and what was asked of it. */
export interface OlderKernel extends FaultyKernel {
  /** Types that it was given, and whether it took them. */
  readonly given: { readonly types: Btf; readonly taken: boolean }[];
}

/** @param unknown what it refuses in types; `btf` for types at all */
export function olderKernel(behind: Kernel, unknown: readonly BtfPart[] | 'btf'): OlderKernel {
  const given: { types: Btf; taken: boolean }[] = [];
  const faulty = withFaults(behind);
  faulty.before = (method, args) => {
    if (method !== 'loadBtf') {
      return;
    }
    const types = Btf.parse(args[0] as Uint8Array);
    const taken = unknown !== 'btf' && !unknown.some((part) => hasPart(types, part));
    given.push({ types, taken });
    if (!taken) {
      throw new SyscallError('BTF', {
        command: 'BPF_BTF_LOAD',
        errno: ERRNO.EINVAL,
        errnoName: 'EINVAL',
      });
    }
  };
  return Object.assign(faulty, { given });
}
