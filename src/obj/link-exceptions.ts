/**
 * Exception callbacks: a program may name a function that the kernel calls when the program throws
 * (`bpf_throw`). No instruction refers to it; a tag on the program does.
 *
 * Rules: libbpf's `bpf_prog_assign_exc_cb`. The tag is `exception_callback:NAME`, a `decl_tag` of the
 * program's function in BTF (`__exception_cb` of the kernel's selftests).
 */

import { ObjectError } from '../errors.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import type { Btf } from './btf/btf.ts';
import type { CodeFunction } from './link-functions.ts';
import type { ObjectCode } from './relocations-code.ts';

const TAG = 'exception_callback:';

/** Names of callbacks by the name of the tagged function. */
export type CallbackTags = ReadonlyMap<string, readonly string[]>;

/** Reads the tags of all programs. */
export function readCallbackTags(btf: Btf): CallbackTags {
  const found = new Map<string, string[]>();
  for (const id of btf.idsOfKind('decl_tag')) {
    const name = btf.nameOf(id);
    const tagged = btf.sizeOrType(id);
    if (name.startsWith(TAG) && btf.kindOf(tagged) === BTF_KIND.FUNC) {
      const program = btf.nameOf(tagged);
      const named = found.get(program) ?? [];
      found.set(program, named);
      named.push(name.slice(TAG.length));
    }
  }
  return found;
}

/**
 * The function that a program's tag names; undefined if there is no tag, or more than one (which the
 * kernel refuses).
 *
 * @throws ObjectError `ERR_SKEP_PROGRAM` if there is no such global function in `.text`
 */
export function exceptionCallback(
  code: ObjectCode,
  program: CodeFunction,
): CodeFunction | undefined {
  const tags = code.callbackTags;
  const [wanted, second] = tags.size === 0 ? [] : (tags.get(program.name) ?? []);
  if (wanted === undefined || second !== undefined) {
    return undefined;
  }
  const found = code.globalText.get(wanted);
  if (found === undefined) {
    throw new ObjectError(
      'ERR_SKEP_PROGRAM',
      `program "${program.name}": its exception callback "${wanted}" is no global function in .text`,
      { section: '.BTF' },
    );
  }
  return found;
}
