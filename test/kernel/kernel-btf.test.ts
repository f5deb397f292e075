/** Files with BTF that cannot be read: what is said, and whose fault it is. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ObjectError, SkepError } from '../../src/errors.ts';
import { openKernelBtf } from '../../src/kernel/kernel-btf.ts';

const directory = mkdtempSync(join(tmpdir(), 'skep-btf-'));
afterAll(() => rmSync(directory, { recursive: true }));

function refusal(path: string): SkepError {
  try {
    openKernelBtf(path);
  } catch (error) {
    expect(error).toBeInstanceOf(SkepError);
    return error as SkepError;
  }
  throw new Error('it was read');
}

describe('a path without readable BTF', () => {
  it.each([
    ['', 'EISDIR', 'it is a directory; give a file with BTF'],
    ['absent', 'ENOENT', 'there is no such file'],
    ['file/inside', 'ENOTDIR', 'a part of the path is no directory'],
  ])('%j is an error with its path and %s, and not the fault of the kernel', (name, code, text) => {
    writeFileSync(join(directory, 'file'), '');
    const path = join(directory, name);
    const error = refusal(path);
    expect(error.message).toBe(`${path} cannot be read (${code}): ${text}`);
    expect(error).toMatchObject({ code: 'ERR_SKEP_FILE', cause: { code } });
    expect(error.message).not.toContain('CONFIG_DEBUG_INFO_BTF');
  });

  it('of a module that there is not, or that has none, says so', () => {
    const path = '/sys/kernel/btf/skep_no_such_module';
    expect(refusal(path)).toMatchObject({ code: 'ERR_SKEP_FILE', cause: { code: 'ENOENT' } });
    expect(refusal(path).message).toMatch(/the module is not there, or was built without BTF$/);
  });

  it('is an error of what is in it, if that is no BTF', () => {
    const path = join(directory, 'damaged');
    writeFileSync(path, 'no BTF at all');
    expect(refusal(path)).toBeInstanceOf(ObjectError);
    expect(refusal(path)).toMatchObject({ code: 'ERR_SKEP_BTF', section: path });
  });
});
