/**
 * The errors of skep. Everything thrown for a reason outside the caller's code is a
 * {@link SkepError} with a stable `code`; misuse (a wrong argument type, an option that does not
 * exist) is a plain `TypeError` or `RangeError`.
 *
 * Importable by every layer; imports nothing.
 */

/** The stable codes of {@link SkepError}. Match on these, not on messages or classes. */
export type SkepErrorCode =
  | 'ERR_SKEP_FILE'
  | 'ERR_SKEP_ELF'
  | 'ERR_SKEP_BTF'
  | 'ERR_SKEP_MAP_DEFINITION'
  | 'ERR_SKEP_PROGRAM'
  | 'ERR_SKEP_DATA'
  | 'ERR_SKEP_NO_KERNEL'
  | 'ERR_SKEP_SYSCALL'
  | 'ERR_SKEP_PIN_MISMATCH'
  | 'ERR_SKEP_PIN_PATH'
  | 'ERR_SKEP_LOAD'
  | 'ERR_SKEP_VERIFIER'
  | 'ERR_SKEP_MAP_KIND'
  | 'ERR_SKEP_INNER_MISMATCH'
  | 'ERR_SKEP_INNER_UNKNOWN'
  | 'ERR_SKEP_ITERATION'
  | 'ERR_SKEP_CLOSED';

/** The base class: `code` is stable, `cause` keeps the error underneath. */
export class SkepError extends Error {
  readonly code: SkepErrorCode;

  constructor(code: SkepErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static {
    // On the prototype, as Error itself does, so that it is not printed as a property.
    SkepError.prototype.name = 'SkepError';
  }
}

/** Where in an object a fault was found. */
export interface ObjectPlace {
  /** Name of the section, or the part of the file (`ELF header`) when it is no section. */
  readonly section?: string | undefined;
  /** Byte offset in that section (in the file, for parts that are no section). */
  readonly offset?: number | undefined;
  readonly cause?: unknown;
}

/** The bytes of an object are not what their format says: ELF, BTF, programs or data sections. */
export class ObjectError extends SkepError {
  readonly section: string | undefined;
  readonly offset: number | undefined;

  constructor(
    code: 'ERR_SKEP_ELF' | 'ERR_SKEP_BTF' | 'ERR_SKEP_PROGRAM' | 'ERR_SKEP_DATA',
    message: string,
    place: ObjectPlace = {},
  ) {
    super(code, message, place.cause === undefined ? undefined : { cause: place.cause });
    this.section = place.section;
    this.offset = place.offset;
  }

  static {
    ObjectError.prototype.name = 'ObjectError';
  }
}

/** A map of `.maps` (or `maps`) is declared in a way that no loader can act on. */
export class MapDefinitionError extends SkepError {
  /** Name of the map; `outer.inner` for the template inside `outer`. */
  readonly map: string;
  /** The member at fault, e.g. `key_size`; undefined if it is the map as a whole. */
  readonly member: string | undefined;
  /** BTF id of the type that was found, where that helps. */
  readonly typeId: number | undefined;

  constructor(
    map: string,
    member: string | undefined,
    problem: string,
    options: { readonly typeId?: number | undefined; readonly cause?: unknown } = {},
  ) {
    const subject = member === undefined ? `map "${map}"` : `map "${map}", member "${member}"`;
    super(
      'ERR_SKEP_MAP_DEFINITION',
      `${subject}: ${problem}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.map = map;
    this.member = member;
    this.typeId = options.typeId;
  }

  static {
    MapDefinitionError.prototype.name = 'MapDefinitionError';
  }
}

/** There is no kernel to talk to: not Linux, or the native shim is not built. */
export class KernelUnavailableError extends SkepError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('ERR_SKEP_NO_KERNEL', message, options);
  }

  static {
    KernelUnavailableError.prototype.name = 'KernelUnavailableError';
  }
}

/** The kernel refused a call. */
export class SyscallError extends SkepError {
  /** The command as the kernel's header names it, e.g. `BPF_MAP_CREATE`. */
  readonly command: string;
  /** The number, positive. */
  readonly errno: number;
  /** The name, e.g. `EPERM`. */
  readonly errnoName: string;
  /** What the likely reason is and what to do about it, if anything can be said. */
  readonly hint: string | undefined;

  constructor(
    what: string,
    call: {
      readonly command: string;
      readonly errno: number;
      readonly errnoName: string;
      readonly hint?: string | undefined;
      readonly cause?: unknown;
    },
  ) {
    const hint = call.hint === undefined ? '' : ` (${call.hint})`;
    super(
      'ERR_SKEP_SYSCALL',
      `${what}: ${call.command} failed with ${call.errnoName}${hint}`,
      call.cause === undefined ? undefined : { cause: call.cause },
    );
    this.command = call.command;
    this.errno = call.errno;
    this.errnoName = call.errnoName;
    this.hint = call.hint;
  }

  static {
    SyscallError.prototype.name = 'SyscallError';
  }
}

/** One field in which an existing map is not what the object declares. */
export interface MapDifference {
  /** The field, e.g. `maxEntries`; fields of the inner template are written `inner.maxEntries`. */
  readonly field: string;
  readonly wanted: string;
  readonly found: string;
}

/** A map that was to be reused is not compatible with its definition. */
export class PinMismatchError extends SkepError {
  readonly map: string;
  /** The pin's path, or a description of the handle that was offered instead. */
  readonly path: string;
  readonly differences: readonly MapDifference[];

  constructor(map: string, path: string, differences: readonly MapDifference[], remedy: string) {
    const list = differences
      .map(({ field, wanted, found }) => `${field}: wanted ${wanted}, found ${found}`)
      .join('; ');
    super(
      'ERR_SKEP_PIN_MISMATCH',
      `map "${map}": what is at ${path} does not match the object (${list}); ${remedy}`,
    );
    this.map = map;
    this.path = path;
    this.differences = differences;
  }

  static {
    PinMismatchError.prototype.name = 'PinMismatchError';
  }
}

/** One field in which a map differs from the template of a map of maps. */
export interface InnerDifference extends MapDifference {
  /** What the kernel demands. */
  readonly rule: string;
}

/** A map that was to be an inner map does not fit, and why. */
export class InnerMismatchError extends SkepError {
  /** The map of maps. */
  readonly map: string;
  readonly differences: readonly InnerDifference[];

  constructor(
    map: string,
    inner: string,
    differences: readonly InnerDifference[],
    options?: { readonly cause?: unknown },
  ) {
    const list = differences
      .map(
        ({ field, wanted, found, rule }) => `${field}: wanted ${wanted}, found ${found} (${rule})`,
      )
      .join('; ');
    super(
      'ERR_SKEP_INNER_MISMATCH',
      `map "${map}": ${inner} does not fit as an inner map: ${list}`,
      options,
    );
    this.map = map;
    this.differences = differences;
  }

  static {
    InnerMismatchError.prototype.name = 'InnerMismatchError';
  }
}

/** A line of the verifier's log. Positions of instructions are slots of 8 bytes in the program. */
export type VerifierLogEntry = {
  /** Its number in the text, from 0. */
  readonly line: number;
} & (
  | {
      /** An instruction that is looked at. */
      readonly kind: 'instruction';
      readonly slot: number;
      readonly opcode: number;
      readonly text: string;
      /** Registers that it changes or uses, as after it (6.1); null where the kernel says nothing. */
      readonly state: string | null;
    }
  | {
      /** The line of C that the next instructions come from. */
      readonly kind: 'source';
      readonly text: string;
      /** Where it is (6.8); null before. */
      readonly file: string | null;
      readonly fileLine: number | null;
    }
  | {
      /** Registers and stack before an instruction, or of a caller or callee (`slot` is null). */
      readonly kind: 'state';
      readonly slot: number | null;
      readonly state: string;
    }
  | {
      /** Another path begins: a branch taken or not taken, or a return. */
      readonly kind: 'path';
      readonly from: number;
      readonly to: number;
      readonly state: string;
    }
  | {
      /** A function of the program, where it starts (5.0), or that it is verified on its own (5.6). */
      readonly kind: 'function';
      readonly number: number;
      readonly slot: number | null;
      readonly name: string | null;
    }
  | {
      /** How the verifier works: precision, liveness, calls, states it has seen before. */
      readonly kind: 'detail';
      readonly text: string;
    }
  | {
      /** What it says in words. What is wrong is among these. */
      readonly kind: 'message';
      readonly text: string;
    }
  | {
      /** What verifying took, at the end. */
      readonly kind: 'statistics';
      readonly text: string;
    }
);

/** What verifying a program took. What the kernel did not say is null. */
export interface VerifierStatistics {
  /** Instructions gone through, on all paths. */
  readonly instructions: number;
  /** How many it would have gone through at most (5.2). */
  readonly limit: number | null;
  readonly maxStatesPerInstruction: number | null;
  readonly totalStates: number | null;
  readonly peakStates: number | null;
  readonly markRead: number | null;
  /** With log level 4. */
  readonly microseconds: number | null;
  /** Bytes of stack of each function; with log level 4, before 5.2 always. */
  readonly stackBytes: readonly number[] | null;
}

/** Where the verifier stopped. */
export interface VerifierPlace {
  readonly slot: number;
  readonly instruction: string;
  /** The line of C; null for programs without line information. */
  readonly source: {
    readonly text: string;
    readonly file: string | null;
    readonly line: number | null;
  } | null;
}

/** The verifier's log, read. */
export interface VerifierLog {
  readonly text: string;
  /** Whether the beginning (since Linux 6.4) or the end is missing, as there was no room for it. */
  readonly truncated: boolean;
  readonly entries: readonly VerifierLogEntry[];
  /** The last thing it says before the statistics: what is wrong. '' if it says nothing. */
  readonly cause: string;
  /** The last instruction before {@link VerifierLog.cause}; null if it came to none. */
  readonly place: VerifierPlace | null;
  readonly statistics: VerifierStatistics | null;
}

/** The verifier did not take a program. */
export class VerifierError extends SkepError {
  readonly program: string;
  readonly log: VerifierLog;
  /** The number, positive. */
  readonly errno: number;
  /** The name, e.g. `EACCES`. */
  readonly errnoName: string;

  /**
   * @param advice what may be the reason behind the reason, if anything is known
   */
  constructor(program: string, log: VerifierLog, refusal: SyscallError, advice?: string) {
    const why = log.cause === '' ? `it gives no reason (${refusal.errnoName})` : log.cause;
    const more = advice === undefined ? '' : `; ${advice}`;
    super(
      'ERR_SKEP_VERIFIER',
      `program "${program}": refused by the verifier: ${why}${wherein(log)}${more}${wholeLog(log)}`,
      { cause: refusal },
    );
    this.program = program;
    this.log = log;
    this.errno = refusal.errno;
    this.errnoName = refusal.errnoName;
    // 16 MiB of text are no use in a stack trace.
    Object.defineProperty(this, 'log', { enumerable: false });
  }

  /** The whole log, as the kernel wrote it. */
  get text(): string {
    return this.log.text;
  }

  static {
    VerifierError.prototype.name = 'VerifierError';
  }
}

/** Behind the reason, what is known of: `; at file.c:42 "return data[14];", instruction 1: r0 = ...`. */
function wherein({ place }: VerifierLog): string {
  if (place === null) {
    return '';
  }
  const instruction = `instruction ${place.slot}: ${place.instruction}`;
  if (place.source === null) {
    return `; at ${instruction}`;
  }
  const { text, file, line } = place.source;
  const where = file === null ? '' : `${file}:${line} `;
  return `; at ${where}"${text}", ${instruction}`;
}

function wholeLog({ text, truncated, entries }: VerifierLog): string {
  if (text === '') {
    return '; there is no log: load it with a log level to get one';
  }
  const cut = truncated ? ', of which a part is missing' : '';
  return `; the error's "text" has the whole log (lines: ${entries.length}${cut})`;
}

/** Whether `error` is a {@link SkepError} with this code. */
export function hasCode(error: unknown, code: SkepErrorCode): error is SkepError {
  return error instanceof SkepError && error.code === code;
}
