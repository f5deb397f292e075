/**
 * Each call of a load, failed with each errno that it can really give. What comes of it is one of two: an
 * error that says what failed, and nothing left behind; or the same as if the call had not failed.
 */

import { afterEach, beforeEach, expect, it } from 'vitest';
import { SkepError, SyscallError } from '../../src/errors.ts';
import { type Call, type CallName, type ErrnoName, withFaults } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { isShortageErrno } from '../../src/kernel/shortage.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { describeKernels, type Place } from '../support/kernels.ts';
import { ASKING_LOADS, type Load, PINNED_LOADS } from './loads.ts';
import { pinStates, removePins } from './pin-state.ts';

const MODULES: readonly ErrnoName[] = ['EPERM', 'ENOENT', 'EMFILE', 'ENOMEM'];

/** What each call can give besides success: kernel/bpf/syscall.c, fs/namei.c, kernel/bpf/inode.c. */
const ERRNOS: Readonly<Partial<Record<CallName, readonly ErrnoName[]>>> = {
  createMap: ['EPERM', 'EINVAL', 'E2BIG', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSYS'],
  duplicate: ['EMFILE'],
  mapInfo: ['EACCES', 'ENOMEM'],
  valueBytes: ['EACCES'],
  openMapById: ['EPERM', 'ENOENT', 'EMFILE'],
  lookup: ['EPERM', 'ENOENT', 'ENOMEM'],
  update: ['EPERM', 'EINVAL', 'E2BIG', 'ENOMEM', 'EBUSY'],
  nextKey: ['EPERM', 'ENOENT', 'ENOMEM'],
  updateBatch: ['EPERM', 'EINVAL', 'ENOTSUPP', 'ENOMEM', 'E2BIG'],
  freeze: ['EBUSY', 'EPERM', 'EINVAL'],
  mapMemory: ['ENOMEM', 'EPERM', 'EAGAIN'],
  loadBtf: ['EPERM', 'EINVAL', 'E2BIG', 'ENOMEM', 'EMFILE'],
  readBtf: MODULES,
  openBtfById: MODULES,
  nextBtfId: ['EPERM', 'EINVAL'],
  btfInfo: ['EACCES'],
  pin: ['EPERM', 'EACCES', 'ENOENT', 'EEXIST', 'EROFS', 'ENOSPC', 'ENOMEM'],
  openPinnedMap: ['EPERM', 'EACCES', 'ENOENT', 'EINVAL', 'EMFILE', 'ENOMEM'],
  openPinnedProgram: ['EPERM', 'EACCES', 'ENOENT', 'EINVAL', 'EMFILE'],
  openProgramById: ['EPERM', 'ENOENT', 'EMFILE'],
  unpin: ['EPERM', 'EACCES', 'ENOENT', 'EROFS'],
  fileSystem: ['EACCES', 'ENOENT', 'ENOTDIR', 'ELOOP'],
  makeDirectory: ['EPERM', 'EACCES', 'ENOENT', 'EEXIST', 'EROFS', 'ENOSPC', 'ENOMEM'],
  loadProgram: ['EPERM', 'EACCES', 'EINVAL', 'E2BIG', 'ENOMEM', 'EMFILE', 'EAGAIN', 'EINTR'],
  programInfo: ['EACCES'],
  configuration: ['EACCES', 'ENOENT', 'EMFILE'],
  symbolAddresses: ['EACCES', 'ENOENT', 'EMFILE'],
  kernelBtf: ['EACCES', 'ENOENT', 'EMFILE'],
};

/** Calls that are noted and cannot fail. Every other one of a load needs its errnos above. */
const NEVER_FAIL: readonly Call['method'][] = ['close', 'unmapMemory', 'mapUsage'];

/**
 * What the error can say no more of than the call and the errno, and why. For everything else it must have
 * a hint, and for these it must have none, so that the list stays true.
 */
const WITHOUT_REMEDY: Readonly<Record<string, string>> = {
  'BPF_PROG_LOAD EACCES': 'the verifier says why in its log, which the running kernel gives',
  'BPF_PROG_LOAD EINVAL': 'as EACCES',
  'BPF_PROG_LOAD E2BIG': 'as EACCES',
  'BPF_PROG_LOAD EPERM':
    'depends on what the process holds: program-hints.ts, of the running kernel alone',
};

/** What there is of a load, seen from outside: descriptors, and what is at each path. */
function traces(place: Place): unknown {
  const { kernel } = place;
  const counted = kernel instanceof MemoryKernel ? [kernel.mapIds(), kernel.programIds()] : [];
  return [place.openDescriptors(), pinStates(place), counted];
}

/** Loads and closes; what it leaves pinned. */
async function pinsOf(place: Place, given: Load, kernel: Kernel): Promise<readonly string[]> {
  // An arena has one address: the mapping of the load before goes at the end of a turn.
  await new Promise((resolve) => setImmediate(resolve));
  load(ObjectFile.open(given.path), { ...given.options(place.directory), kernel }).close();
  return place.paths();
}

function checkError(call: Call | undefined, errno: ErrnoName, thrown: unknown, place: Place): void {
  const what = `${call?.method} with ${errno}`;
  expect(thrown, what).toBeInstanceOf(SkepError);
  const { message } = thrown as SkepError;
  // Whose call it was: a map or program of the object, a path of its pins, or a file of the kernel.
  const subjects = [
    ...['map "', 'program "', 'struct of functions "', place.directory],
    ...['types of the running kernel', 'CONFIG_DEBUG_INFO_BTF', '/proc/', '/sys/'],
  ];
  expect(
    subjects.some((subject) => message.includes(subject)),
    `${what}: ${message}`,
  ).toBe(true);
  // BTF that others load meanwhile makes for more calls, and another one than in the log may fail.
  const isListed = ERRNOS[call?.method as CallName]?.includes(errno);
  if (isListed === true && thrown instanceof SyscallError && thrown.errnoName === errno) {
    const pair = `${thrown.command} ${errno}`;
    const mayLack = Object.hasOwn(WITHOUT_REMEDY, pair);
    expect(thrown.hint === undefined, `${what}: ${message}`).toBe(mayLack);
  }
}

/** The errnos to try for a call: on Linux, where a load takes longer, two of them, which change. */
function errnosOf(place: Place, call: Call, n: number): readonly ErrnoName[] {
  const all = ERRNOS[call.method as CallName];
  expect(
    all,
    `${call.method} is a call of a load, so its errnos are to be listed here`,
  ).toBeDefined();
  return place.runsOn === 'memory' ? all! : [all![n % all!.length]!, all![(n + 1) % all!.length]!];
}

/**
 * Fails each call in turn.
 *
 * @param hasPins whether something is pinned before, as by a load that went well
 */
async function failEach(
  place: Place,
  given: Load,
  hasPins: boolean,
): Promise<ReadonlySet<CallName>> {
  const seen = new Set<CallName>();
  if (hasPins) {
    await pinsOf(place, given, place.kernel);
  }
  const log = withFaults(place.kernel);
  const wanted = await pinsOf(place, given, log.kernel);
  const calls = log.calls.filter(({ method }) => !NEVER_FAIL.includes(method));
  if (!hasPins) {
    removePins(place);
  }
  for (const [index, call] of calls.entries()) {
    for (const errno of errnosOf(place, call, index)) {
      seen.add(call.method as CallName);
      // A program that is refused is loaded again, for the log: once is not enough.
      for (const isLasting of call.method === 'loadProgram' ? [false, true] : [false]) {
        await failOne(place, given, { n: index + 1, errno, isLasting }, wanted);
        if (!hasPins) {
          removePins(place);
        }
      }
    }
  }
  removePins(place);
  return seen;
}

/** Which call fails, counted from 1; with the calls of programs, whether all others do as well. */
interface OneFault {
  readonly n: number;
  readonly errno: ErrnoName;
  readonly isLasting: boolean;
}

async function failOne(
  place: Place,
  given: Load,
  { n, errno, isLasting }: OneFault,
  wanted: readonly string[],
): Promise<void> {
  const before = traces(place);
  const faulty = withFaults(place.kernel);
  if (isLasting) {
    faulty.failEvery('loadProgram', errno);
  } else {
    faulty.failCall(n, errno);
  }
  let pins: readonly string[] | undefined;
  let thrown: unknown;
  try {
    pins = await pinsOf(place, given, faulty.kernel);
  } catch (error) {
    thrown = error;
  }
  const failed = faulty.calls.find(({ fault }) => fault !== undefined);
  const what = `call ${n}, ${failed?.method} with ${errno}`;
  // How many calls ask for BTF depends on what others load meanwhile.
  expect(failed !== undefined || ASKING_LOADS.includes(given), `${what}: ${thrown}`).toBe(true);
  if (pins !== undefined) {
    expect(pins, what).toEqual(wanted);
    const isShortage = failed !== undefined && isShortageErrno(ERRNO[errno]);
    const mayPass = failed?.method === 'loadProgram' && !isLasting;
    expect(isShortage && !mayPass, `${what} is no answer`).toBe(false);
    return;
  }
  checkError(failed, errno, thrown, place);
  expect(traces(place), what).toEqual(before);
}

const CALLS_OF_LOADS = new Set<CallName>();

describeKernels('each errno of each call of a load', (place) => {
  const loads = [...PINNED_LOADS, ...ASKING_LOADS].filter(
    ({ inMemory }) => inMemory || place.runsOn === 'linux',
  );
  let before: unknown;
  beforeEach(() => {
    before = traces(place);
  });
  afterEach(() => {
    expect(traces(place)).toEqual(before);
  });

  it.each(loads.map((each) => [each.title, each] as const))(
    'is an error that leaves nothing, or changes nothing: %s',
    async (_, given) => {
      for (const method of await failEach(place, given, false)) {
        CALLS_OF_LOADS.add(method);
      }
    },
    120_000,
  );

  const pinning = loads.filter((each) => !ASKING_LOADS.includes(each));
  it.each(pinning.map((each) => [each.title, each] as const))(
    'leaves what was pinned before: %s',
    async (_, given) => {
      for (const method of await failEach(place, given, true)) {
        CALLS_OF_LOADS.add(method);
      }
    },
    120_000,
  );

  it('has been tried of every call that changes something', () => {
    const changing = ['createMap', 'update', 'updateBatch', 'freeze', 'pin', 'unpin'] as const;
    const more = ['makeDirectory', 'loadBtf', 'loadProgram', 'openPinnedMap', 'openPinnedProgram'];
    const arenas = place.runsOn === 'linux' ? ['mapMemory'] : [];
    expect([...CALLS_OF_LOADS]).toEqual(expect.arrayContaining([...changing, ...more, ...arenas]));
  });
});
