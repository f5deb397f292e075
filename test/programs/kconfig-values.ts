/** What .kconfig of an object holds, read as tests compare it. */

import type { Kernel } from '../../src/kernel/kernel.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { kconfigContents } from '../../src/programs/kconfig.ts';
import { fixturePath } from '../support/fixtures.ts';

/** The values of an object's options by name: text as text, everything else as a number. */
export function valuesOf(object: ObjectFile, contents: Uint8Array): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const { name, offset, size, type } of object.data.get('.kconfig')!.variables) {
    const bytes = contents.subarray(offset, offset + size);
    values[name] = type!.includes('[')
      ? Buffer.from(bytes).toString('latin1').replace(/\0+$/, '')
      : Number(Buffer.from(bytes).readUIntLE(0, Math.min(size, 6)));
  }
  return values;
}

/** LINUX_HAS_BPF_COOKIE in an object that declares nothing else. */
export function cookieOf(kernel: Kernel): unknown {
  const object = ObjectFile.open(fixturePath('run/cookie.bpf.o'));
  return valuesOf(object, kconfigContents(object, kernel)).LINUX_HAS_BPF_COOKIE;
}
