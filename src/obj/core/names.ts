/**
 * Names as CO-RE compares them: without their flavour. `task_struct___old` is the type `task_struct` as
 * somebody saw it once; what is behind the last `___` only keeps two views of one type apart.
 *
 * Rule: libbpf's `bpf_core_essential_name_len`.
 */

const UNDERSCORE = 0x5f;

/** Whether a flavour starts behind the character at `at`: `X___Y`, X and Y no underscores. */
function isSeparator(name: string, at: number): boolean {
  return (
    name.charCodeAt(at) !== UNDERSCORE &&
    name.startsWith('___', at + 1) &&
    name.charCodeAt(at + 4) !== UNDERSCORE
  );
}

/** A name without its flavour; most have none. */
export function essentialName(name: string): string {
  if (!name.includes('___')) {
    return name;
  }
  for (let at = name.length - 5; at >= 0; at -= 1) {
    if (isSeparator(name, at)) {
      return name.slice(0, at + 1);
    }
  }
  return name;
}
