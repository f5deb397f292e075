/**
 * How both kernels follow paths: `fs/namei.c`, and the BPF file system's own rule that names have no
 * dots (`bpf_lookup` in `kernel/bpf/inode.c`).
 */

import { afterEach, beforeEach, expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { describeKernels, type Place } from '../support/kernels.ts';

/** What came of each call on a path: the same columns for all of {@link TABLE}. */
interface Row {
  readonly kind: string;
  readonly open: string;
  readonly pin: string;
  readonly unpin: string;
  readonly make: string;
  readonly remove: string;
}

const DIRECTORY: Row = {
  kind: 'bpf',
  open: 'EACCES',
  pin: 'EEXIST',
  unpin: 'EISDIR',
  make: 'false',
  remove: 'true',
};
const PIN: Row = {
  kind: 'bpf',
  open: 'opened',
  pin: 'EEXIST',
  unpin: 'true',
  make: 'false',
  remove: 'ENOTDIR',
};
const NOTHING: Row = {
  kind: 'missing',
  open: 'ENOENT',
  pin: 'pinned',
  unpin: 'false',
  make: 'true',
  remove: 'false',
};
const SLASH_BEHIND_PIN: Row = { ...PIN, kind: 'missing', open: 'ENOTDIR', unpin: 'ENOTDIR' };
const NO_WAY: Row = { ...NOTHING, pin: 'ENOENT', make: 'ENOENT' };
const THROUGH_PIN: Row = {
  kind: 'missing',
  open: 'ENOTDIR',
  pin: 'ENOTDIR',
  unpin: 'ENOTDIR',
  make: 'ENOTDIR',
  remove: 'ENOTDIR',
};
/** What it lies in cannot be there. */
const THROUGH_PIN_TWICE: Row = { ...THROUGH_PIN, unpin: 'false' };
const DOTS: Row = {
  kind: 'missing',
  open: 'EPERM',
  pin: 'EPERM',
  unpin: 'EPERM',
  make: 'EPERM',
  remove: 'EPERM',
};
const TOO_LONG: Row = {
  kind: 'ENAMETOOLONG',
  open: 'ENAMETOOLONG',
  pin: 'ENAMETOOLONG',
  unpin: 'ENAMETOOLONG',
  make: 'ENAMETOOLONG',
  remove: 'ENAMETOOLONG',
};

/** Below a directory with a pin `pin`, and a directory `dir` with nothing in it. */
const TABLE: readonly (readonly [path: string, row: Row])[] = [
  ['/pin', PIN],
  ['//pin', PIN],
  ['/./pin', PIN],
  ['/dir/../pin', PIN],
  ['/dir/.././/dir/..//pin', PIN],
  ['/dir', DIRECTORY],
  ['/dir/', DIRECTORY],
  ['/dir//', DIRECTORY],
  ['/dir/.', { ...DIRECTORY, remove: 'EINVAL' }],
  ['/dir/./', { ...DIRECTORY, remove: 'EINVAL' }],
  ['/dir/..', { ...DIRECTORY, remove: 'false' }],
  ['', { ...DIRECTORY, remove: 'false' }],
  ['/', { ...DIRECTORY, remove: 'false' }],
  ['/pin/', SLASH_BEHIND_PIN],
  ['/pin//', SLASH_BEHIND_PIN],
  ['/pin/.', THROUGH_PIN],
  ['/pin/..', THROUGH_PIN],
  ['/pin/new', THROUGH_PIN],
  // However many slashes there are: the directory of the path is a pin.
  ['/pin//new', THROUGH_PIN],
  ['/pin//new//', THROUGH_PIN],
  ['/pin//.', THROUGH_PIN],
  ['/pin//..', THROUGH_PIN],
  ['/pin/../pin', THROUGH_PIN_TWICE],
  ['/pin/new/new', THROUGH_PIN_TWICE],
  ['/pin//new//new', THROUGH_PIN_TWICE],
  ['/new', NOTHING],
  ['/dir/./new', NOTHING],
  ['/dir//new', NOTHING],
  ['/new//new', NO_WAY],
  ['//dir//..//pin', PIN],
  ['/with space', NOTHING],
  ['/\u00fc', NOTHING],
  ['/new/', { ...NOTHING, pin: 'ENOENT' }],
  ['/new/.', NO_WAY],
  ['/new/..', NO_WAY],
  ['/new/new', NO_WAY],
  ['/new/../pin', NO_WAY],
  ['/with.dot', DOTS],
  ['/...', DOTS],
  // What a path to be removed lies in is looked for first, and is not there.
  ['/with.dot/new', { ...DOTS, unpin: 'false' }],
  ['/with.dot/..', { ...DOTS, unpin: 'false' }],
  [`/${'n'.repeat(255)}`, NOTHING],
  [`/${'n'.repeat(256)}`, TOO_LONG],
  [`/${'\u00fc'.repeat(127)}`, NOTHING],
  [`/${'\u00fc'.repeat(128)}`, TOO_LONG],
  [`/${'n.'.repeat(128)}`, DOTS],
  [`/${'./'.repeat(2000)}pin`, PIN],
  [`/${'./'.repeat(2100)}pin`, TOO_LONG],
];

describeKernels('paths', (place) => {
  let map: number;
  beforeEach(() => {
    map = place.kernel.createMap({
      type: BPF_MAP_TYPE.HASH,
      keySize: 4,
      valueSize: 4,
      maxEntries: 1,
      flags: 0,
      name: '',
      numaNode: 0,
      mapExtra: 0n,
      innerMapFd: null,
      btf: null,
    });
    place.kernel.pin(map, `${place.directory}/pin`);
    place.kernel.makeDirectory(`${place.directory}/dir`);
  });
  afterEach(() => {
    place.kernel.close(map);
  });

  it.each(
    TABLE.map(([path, row]) => [path.length > 40 ? `${path.slice(0, 20)}...` : path, path, row]),
  )('%s', (_, path, row) => {
    const whole = `${place.directory}${path}`;
    const told = Object.fromEntries(
      Object.entries(calls(place, map)).map(([name, call]) => [name, asText(() => call(whole))]),
    );
    expect(told).toEqual(row);
  });

  it('lead to the same place whatever is said on the way', () => {
    const { kernel, directory } = place;
    const start = directory.slice(0, directory.lastIndexOf('/'));
    const name = directory.slice(start.length + 1);
    for (const way of [`/${directory}`, `${start}/./${name}`, `${start}/../bpf/${name}`]) {
      expect(kernel.fileSystem(`${way}/pin`)).toBe('bpf');
    }
    expect(kernel.fileSystem(`${start}/..`)).toBe('other');
    expect(kernel.fileSystem('')).toBe('missing');
    expect(asText(() => kernel.pin(map, '/'))).toBe('EEXIST');
    expect(asText(() => kernel.removeDirectory(start))).toBe('EBUSY');
  });
});

/** Each call on a path; what it changed is as before afterwards. */
function calls(place: Place, map: number): Record<keyof Row, (path: string) => string> {
  const { kernel } = place;
  return {
    kind: (path) => kernel.fileSystem(path),
    open: (path) => {
      kernel.close(kernel.openPinnedMap(path, 'read-write'));
      return 'opened';
    },
    pin: (path) => {
      kernel.pin(map, path);
      kernel.unpin(path);
      return 'pinned';
    },
    unpin: (path) => again(kernel.unpin(path), () => kernel.pin(map, `${place.directory}/pin`)),
    make: (path) => again(kernel.makeDirectory(path), () => kernel.removeDirectory(path)),
    remove: (path) => again(kernel.removeDirectory(path), () => restore(kernel, path)),
  };
}

function restore(kernel: Kernel, path: string): void {
  kernel.makeDirectory(path);
}

function again(done: boolean, restore: () => unknown): string {
  if (done) {
    restore();
  }
  return String(done);
}

function asText(call: () => unknown): string {
  try {
    return String(call());
  } catch (error) {
    return error instanceof SyscallError ? error.errnoName : String(error);
  }
}
