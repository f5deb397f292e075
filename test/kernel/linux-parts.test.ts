/** Parts of the Linux kernel's front that need no kernel. */

import { describe, expect, it } from 'vitest';
import { explain } from '../../src/kernel/hints.ts';
import { chargesMemlock, countCpus } from '../../src/kernel/linux.ts';
import { ERRNO } from '../../src/uapi/errno.ts';

describe('the number of possible CPUs', () => {
  it.each([
    ['0\n', 1],
    ['0-3\n', 4],
    ['0-3,8-11\n', 8],
    ['0,2,4-5', 4],
  ])('of %j is %i', (list, count) => {
    expect(countCpus(list)).toBe(count);
  });

  it.each(['', 'none', '3-1'])('is an error for %j', (list) => {
    expect(() => countCpus(list)).toThrow(/no list of CPUs/);
  });
});

describe('the limit of locked memory', () => {
  it.each([
    ['4.19.0-27-amd64', true],
    ['5.10.0-30-cloud-amd64', true],
    ['5.11.0', false],
    ['6.1.0-18-amd64', false],
    ['6.18.44', false],
  ])('counts for Linux %s: %s', (release, counts) => {
    expect(chargesMemlock(release)).toBe(counts);
  });
});

describe('hints', () => {
  it('name the capability that is missing', () => {
    expect(explain('BPF_MAP_CREATE', ERRNO.EPERM, 'EPERM')).toContain('CAP_BPF');
    expect(explain('BPF_MAP_GET_FD_BY_ID', ERRNO.EPERM, 'EPERM')).toContain('CAP_SYS_ADMIN');
    expect(explain('BPF_OBJ_PIN', ERRNO.EPERM, 'EPERM')).toContain('mount -t bpf');
  });

  it('say that a container may stand in the way', () => {
    expect(explain('BPF_MAP_CREATE', ERRNO.ENOSYS, 'ENOSYS')).toContain('seccomp');
  });

  it('are left out where the name says it all', () => {
    expect(explain('BPF_MAP_LOOKUP_ELEM', ERRNO.EFAULT, 'EFAULT')).toBeUndefined();
  });
});
