/** What an in-process kernel says of itself, which a test decides. */

/** What an in-process kernel says of itself. None of it changes what the kernel does. */
export interface SystemOptions {
  /** Its version, as `uname -r` has it: `6.18.0` by default. */
  readonly release: string;
  /** The lines of `.config`; null, which is the default, for a kernel that does not tell. */
  readonly configuration: string | null;
  /** Addresses of symbols by name; none by default. */
  readonly symbols: Readonly<Record<string, bigint>>;
  /** BTF of the kernel itself, such as a file `vmlinux`; null, which is the default, for none. */
  readonly kernelBtf: Uint8Array | null;
}

/** Fills in what is not given. @throws TypeError for a release that is none */
export function systemOptions(options: Partial<SystemOptions>): SystemOptions {
  const { release = '6.18.0', configuration = null, symbols = {}, kernelBtf = null } = options;
  releaseVersion(release);
  return { release, configuration, symbols, kernelBtf };
}

/**
 * `LINUX_VERSION_CODE` of a release such as `6.18.3-arch1`.
 *
 * @throws TypeError for what is no release
 */
export function releaseVersion(release: string): number {
  const found = /^(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])/.exec(release);
  if (found === null) {
    throw new TypeError(`the release of a kernel is like "6.18.3", not "${release}"`);
  }
  const [major, minor, patch] = [found[1], found[2], found[3] ?? 0].map(Number);
  return major! * 0x1_0000 + minor! * 0x100 + Math.min(patch!, 255);
}
