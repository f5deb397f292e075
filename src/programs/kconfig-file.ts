/** The text of a kernel's `.config`. Format: scripts/kconfig/confdata.c of the kernel. */

/**
 * The values of these options as they stand behind `=`; those that are not set are left out. Of lines
 * for one option the first counts, as in libbpf.
 */
export function configured(text: string, names: ReadonlySet<string>): Map<string, string> {
  const found = new Map<string, string>();
  for (let start = 0; start < text.length && found.size < names.size; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    if (text.startsWith('CONFIG_', start)) {
      const equals = text.indexOf('=', start);
      const name = equals === -1 || equals > end ? '' : text.slice(start, equals);
      const value = text.slice(equals + 1, end).replace(/\r$/, '');
      if (names.has(name) && !found.has(name) && value !== '') {
        found.set(name, value);
      }
    }
    start = end + 1;
  }
  return found;
}
