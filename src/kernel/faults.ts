/**
 * A kernel in front of another: every call is noted, and calls fail where a test asks for it. For
 * tests of what programs do when the kernel refuses something, on either kernel.
 */

import { ERRNO } from '../uapi/errno.ts';
import { answerOf } from './fault-answers.ts';
import type { Kernel } from './kernel.ts';
import type { TestRunRequest } from './program-calls.ts';
import { refused } from './refused.ts';

/** A method of a kernel that makes a call, and may be refused. */
export type CallName = keyof typeof COMMANDS;

/** The system call, or command of bpf(2), behind each method. */
const COMMANDS = {
  createMap: 'BPF_MAP_CREATE',
  duplicate: 'fcntl',
  mapInfo: 'BPF_OBJ_GET_INFO_BY_FD',
  openMapById: 'BPF_MAP_GET_FD_BY_ID',
  nextMapId: 'BPF_MAP_GET_NEXT_ID',
  valueBytes: 'BPF_OBJ_GET_INFO_BY_FD',
  lookup: 'BPF_MAP_LOOKUP_ELEM',
  update: 'BPF_MAP_UPDATE_ELEM',
  delete: 'BPF_MAP_DELETE_ELEM',
  lookupAndDelete: 'BPF_MAP_LOOKUP_AND_DELETE_ELEM',
  nextKey: 'BPF_MAP_GET_NEXT_KEY',
  lookupBatch: 'BPF_MAP_LOOKUP_BATCH',
  lookupAndDeleteBatch: 'BPF_MAP_LOOKUP_AND_DELETE_BATCH',
  updateBatch: 'BPF_MAP_UPDATE_BATCH',
  freeze: 'BPF_MAP_FREEZE',
  mapMemory: 'mmap',
  watch: 'poll',
  openOutputEvent: 'perf_event_open',
  loadBtf: 'BPF_BTF_LOAD',
  readBtf: 'BPF_BTF_GET_FD_BY_ID',
  pin: 'BPF_OBJ_PIN',
  openPinnedMap: 'BPF_OBJ_GET',
  unpin: 'unlink',
  fileSystem: 'statfs',
  makeDirectory: 'mkdir',
  removeDirectory: 'rmdir',
  loadProgram: 'BPF_PROG_LOAD',
  programInfo: 'BPF_OBJ_GET_INFO_BY_FD',
  programCode: 'BPF_OBJ_GET_INFO_BY_FD',
  openProgramById: 'BPF_PROG_GET_FD_BY_ID',
  nextProgramId: 'BPF_PROG_GET_NEXT_ID',
  openPinnedProgram: 'BPF_OBJ_GET',
  runProgram: 'BPF_PROG_TEST_RUN',
  linkStructOps: 'BPF_LINK_CREATE',
  openBtfById: 'BPF_BTF_GET_FD_BY_ID',
  nextBtfId: 'BPF_BTF_GET_NEXT_ID',
  btfInfo: 'BPF_OBJ_GET_INFO_BY_FD',
  configuration: 'open',
  symbolAddresses: 'open',
  kernelBtf: 'open',
} as const satisfies Partial<Record<keyof Kernel, string>>;

/** Methods that are noted, and cannot be refused. */
const ALWAYS: readonly string[] = ['close', 'unmapMemory', 'mapUsage'];

/** Which arguments of a method are memory that it writes to. */
const WRITTEN: Readonly<Partial<Record<Call['method'], readonly number[]>>> = {
  lookup: [2],
  lookupAndDelete: [2],
  nextKey: [2],
  lookupBatch: [2, 3],
  lookupAndDeleteBatch: [2, 3],
};

/** A call that was made, or would have been. */
export interface Call {
  readonly method: CallName | 'close' | 'unmapMemory' | 'mapUsage';
  /** What it was called with, as it was then. */
  readonly arguments: readonly unknown[];
  /**
   * What it read, if anything: keys and values, what a program left, as the arguments for them are
   * afterwards.
   */
  readonly read?: readonly Uint8Array[];
  /** What it returned; undefined if it threw. */
  readonly result?: unknown;
  /** What it threw. */
  readonly error?: unknown;
  /** The errno that a test let it fail with, also where the answer to that is a value and no error. */
  readonly fault?: ErrnoName;
}

/** What is to fail, and how. */
interface Fault {
  readonly method: CallName | null;
  readonly errno: ErrnoName;
  /** Calls that go well before; afterwards each one fails, or only that one. */
  countdown: number;
  readonly once: boolean;
}

/** A kernel with a log of its calls, and faults. Made by {@link withFaults}. */
export interface FaultyKernel {
  /** What to hand to the code under test. */
  readonly kernel: Kernel;
  /** The calls so far, in order. */
  readonly calls: readonly Call[];
  /** Called before each call, so that a test can do something in between: another process's part. */
  before: (method: Call['method'], args: readonly unknown[]) => void;
  /**
   * Lets one call fail: the `n`-th from now, counted from 1, of those that can be refused. The call is not
   * made; what comes of it is what the running kernel's front makes of that errno: an error mostly, and
   * an answer where the errno is one. `ENOENT` of a lookup is `false`, and `ENOTSUPP` or `EINVAL` of a
   * batch says that the kernel has none.
   *
   * @param errno its name, such as `ENOMEM`
   * @param method only calls of this method are counted
   */
  failCall(n: number, errno: ErrnoName, method?: CallName): void;
  /** Lets every call of a method fail from now on. */
  failEvery(method: CallName, errno: ErrnoName): void;
  /** Takes all faults back and forgets the calls. */
  reset(): void;
  /** The calls as text, a line each. */
  print(): string;
}

/** A name of an errno. */
export type ErrnoName = keyof typeof ERRNO;

/**
 * Puts a log and faults in front of a kernel. What is not called through the kernel given back is
 * neither noted nor refused.
 *
 * @example
 * const faulty = withFaults(new MemoryKernel());
 * faulty.failCall(3, 'ENOMEM');
 * expect(() => load(object, { kernel: faulty.kernel })).toThrow('ENOMEM');
 */
export function withFaults(kernel: Kernel): FaultyKernel {
  const calls: Call[] = [];
  let faults: Fault[] = [];
  const add = (method: CallName | undefined, errno: ErrnoName, n: number, once: boolean) => {
    if (!Object.hasOwn(ERRNO, errno)) {
      throw new TypeError(`there is no errno ${errno}`);
    }
    if (method !== undefined && !isRefusable(method)) {
      throw new TypeError(`no method ${String(method)} of a kernel can be refused`);
    }
    if (!Number.isInteger(n) || n < 1) {
      throw new TypeError(`calls are counted from 1, not ${n}`);
    }
    faults.push({ method: method ?? null, errno, countdown: n, once });
  };
  const faulty: FaultyKernel = {
    kernel: new Proxy(kernel, {
      get: (target, name) => member(target, name, (call, args) => run(target, call, args)),
    }),
    calls,
    before: () => {},
    failCall: (n, errno, method) => add(method, errno, n, true),
    failEvery: (method, errno) => add(method, errno, 1, false),
    reset() {
      calls.length = 0;
      faults = [];
    },
    print: () => calls.map(printCall).join('\n'),
  };
  const run = (target: Kernel, method: Call['method'], args: readonly unknown[]): unknown => {
    const given = args.map(copyOf);
    faulty.before(method, given);
    const fault = isRefusable(method) ? dueFault(faults, method) : undefined;
    const note = fault === undefined ? {} : { fault };
    try {
      const result =
        fault === undefined
          ? (target[method] as (...all: readonly unknown[]) => unknown)(...args)
          : answerTo(method as CallName, fault, args);
      const read = fault === undefined ? readBy(method, args, result) : null;
      calls.push({ method, arguments: given, result, ...(read === null ? {} : { read }), ...note });
      return result;
    } catch (error) {
      calls.push({ method, arguments: given, error, ...note });
      throw error;
    }
  };
  return faulty;
}

/** What a call has written to the caller's memory; null if nothing. */
export function readBy(
  method: Call['method'],
  args: readonly unknown[],
  result: unknown,
): readonly Uint8Array[] | null {
  if (method === 'runProgram') {
    const { dataOut, contextOut } = args[1] as TestRunRequest;
    const rooms = [dataOut, contextOut].filter((room) => room !== null);
    return rooms.length === 0 ? null : rooms.map((room) => room.slice());
  }
  const places = WRITTEN[method];
  // False: there is nothing. Null: there are no batches. 0: none in this one.
  if (places === undefined || result === false || result === null || result === 0) {
    return null;
  }
  return places.map((place) => (args[place] as Uint8Array).slice());
}

function isRefusable(method: string): method is CallName {
  return Object.hasOwn(COMMANDS, method);
}

function member(
  target: Kernel,
  name: string | symbol,
  call: (method: Call['method'], args: readonly unknown[]) => unknown,
): unknown {
  const value: unknown = Reflect.get(target, name, target);
  if (typeof value !== 'function' || typeof name !== 'string') {
    return value;
  }
  if (isRefusable(name) || ALWAYS.includes(name)) {
    return (...args: readonly unknown[]) => call(name as Call['method'], args);
  }
  return value.bind(target);
}

/** The errno of the fault that it is the turn of; undefined for none. */
function dueFault(faults: Fault[], method: CallName): ErrnoName | undefined {
  let due: Fault | undefined;
  // Every fault counts the call, also if another one lets it fail.
  for (const fault of faults) {
    if (fault.method === null || fault.method === method) {
      fault.countdown -= fault.countdown > 0 ? 1 : 0;
      due ??= fault.countdown === 0 ? fault : undefined;
    }
  }
  if (due?.once === true) {
    faults.splice(faults.indexOf(due), 1);
  }
  return due?.errno;
}

/** What a call gives that fails with this errno. @throws SyscallError where that is no answer */
function answerTo(method: CallName, errno: ErrnoName, args: readonly unknown[]): unknown {
  const answer = answerOf(method, ERRNO[errno], args);
  if (answer === undefined) {
    throw refused(COMMANDS[method], ERRNO[errno], 'a call that a test lets fail');
  }
  return answer.value;
}

/**
 * Buffers are the caller's, who writes on: their bytes at that time are what counts, also in what
 * programs are loaded with and run on. Cursors are kept as they are, since which one it is matters.
 */
export function copyOf(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return value.slice();
  }
  if (typeof value !== 'object' || value === null || 'position' in value || Array.isArray(value)) {
    return value;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, copyOf(part)]));
}

/** Larger buffers and texts are told by their size: types of a kernel have megabytes. */
const LONGEST_PRINTED = 1024;

function printCall({ method, arguments: args, read, result, error, fault }: Call): string {
  const text = `${method}(${args.map(printValue).join(', ')})`;
  if (error !== undefined) {
    return `${text} throws ${error instanceof Error ? error.message : String(error)}`;
  }
  const value = result === undefined ? text : `${text} = ${printValue(result)}`;
  const told = fault === undefined ? value : `${value} for ${fault}`;
  return read === undefined ? told : `${told}, reading ${read.map(printValue).join(', ')}`;
}

function printValue(value: unknown): string {
  if (value instanceof Uint8Array && value.length <= LONGEST_PRINTED) {
    return `<${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(' ')}>`;
  }
  if (value instanceof Uint8Array) {
    return `<${value.length} bytes>`;
  }
  if (value instanceof ArrayBuffer) {
    return `<${value.byteLength} bytes of memory>`;
  }
  if (typeof value === 'string' && value.length > LONGEST_PRINTED) {
    return `<${value.length} characters>`;
  }
  return JSON.stringify(value, (_, part: unknown) => {
    if (part instanceof Uint8Array) {
      return `<${part.length} bytes>`;
    }
    if (part instanceof Set) {
      return [...part];
    }
    if (part instanceof Map) {
      return Object.fromEntries(part);
    }
    return typeof part === 'bigint' ? `${part}n` : part;
  });
}
