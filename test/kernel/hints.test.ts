/** What a refusal most likely means, where the same answer means two things. */

import { describe, expect, it } from 'vitest';
import { refused } from '../../src/kernel/refused.ts';
import { ERRNO } from '../../src/uapi/errno.ts';

describe('a file that is not there', () => {
  it.each([
    ['/sys/kernel/btf/vmlinux', /^this kernel was built without it, or \/proc or \/sys is not/],
    ['/proc/config.gz', /^this kernel was built without it, or \/proc or \/sys is not/],
    ['/sys/fs/cgroup/none', /^there is nothing at this path$/],
    ['/nope', /^there is nothing at this path$/],
    ['/system/none', /^there is nothing at this path$/],
  ])("is the kernel's, or somebody's: %s", (path, hint) => {
    expect(refused('open', ERRNO.ENOENT, path).hint).toMatch(hint);
  });
});

describe('a file that may not be opened', () => {
  it.each([
    ['/proc/kallsyms', /security module or a container/],
    ['/root/file', /^this user may not open it/],
  ])("is the kernel's, or somebody's: %s", (path, hint) => {
    expect(refused('open', ERRNO.EACCES, path).hint).toMatch(hint);
  });
});
