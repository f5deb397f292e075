/** The directory of a path: the same for both kernels, which ask first what it lies on. */

/**
 * The directory of a path, as dirname(3) has it. That of Node.js leaves a slash behind it if the path has
 * two there, and with a slash the path is another one to Linux: one that only a directory has.
 */
export function parentOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  const parent = trimmed.slice(0, Math.max(trimmed.lastIndexOf('/'), 0)).replace(/\/+$/, '');
  return parent !== '' ? parent : path.startsWith('/') ? '/' : '.';
}
