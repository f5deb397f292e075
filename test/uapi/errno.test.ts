import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ERRNO, errnoName } from '../../src/uapi/errno.ts';

// Node's own tables: libuv's for what Node itself can meet, the C library's for the rest.
const LIBUV = [...getSystemErrorMap()].map(([number, [name]]): [number, string] => [number, name]);
const C_LIBRARY = Object.entries(constants.errno);
// Another system's errno numbers are other numbers; the tables of Node tell those of where it runs.
const onLinux = it.runIf(process.platform === 'linux');

describe('errno', () => {
  onLinux('names every number as Node does', () => {
    // libuv's own errors start at 3000; ENOTSUP is C's second name of EOPNOTSUPP.
    const theirs = LIBUV.filter(([number]) => number > -3000 && number !== -ERRNO.EOPNOTSUPP);
    expect(theirs.length).toBeGreaterThan(60);
    expect(theirs.map(([number]) => [number, errnoName(number)])).toEqual(theirs);
  });

  onLinux('numbers every name as the C library does', () => {
    const theirs = C_LIBRARY.filter(([name]) => name !== 'ENOTSUP');
    expect(theirs.length).toBeGreaterThan(70);
    expect(ERRNO).toMatchObject(Object.fromEntries(theirs));
  });

  it('takes the number with either sign', () => {
    expect(errnoName(ERRNO.ENOENT)).toBe('ENOENT');
    expect(errnoName(-ERRNO.ENOENT)).toBe('ENOENT');
  });

  it('prefers the first of two names', () => {
    expect(errnoName(ERRNO.EWOULDBLOCK)).toBe('EAGAIN');
    expect(errnoName(ERRNO.EDEADLOCK)).toBe('EDEADLK');
  });

  it('knows the ENOTSUPP of the kernel, which no C library has', () => {
    expect(errnoName(524)).toBe('ENOTSUPP');
    expect(errnoName(95)).toBe('EOPNOTSUPP');
  });

  it('gives a placeholder for a number without a name', () => {
    expect(errnoName(41)).toBe('errno_41');
    expect(errnoName(-4001)).toBe('errno_4001');
    expect(errnoName(0)).toBe('errno_0');
  });
});
