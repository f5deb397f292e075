/**
 * Reads the verifier's log: which instructions it looked at, on which lines of C, what it knew of the
 * registers, and what it did not like. Pure; one pass, in time linear in the text.
 *
 * The log is text for people and no stable interface. Its forms are those of Linux 4.15 to 6.18:
 * `kernel/bpf/verifier.c` and `log.c`; a line of no known form is a message.
 */

import type {
  VerifierLog,
  VerifierLogEntry,
  VerifierPlace,
  VerifierStatistics,
} from '../errors.ts';

/** `12: (79) r6 = *(u64 *)(r0 +8)   ; R0=... R6=...`: what is behind the opcode is taken apart by hand. */
const INSTRUCTION = /^(\d+): \(([\da-f]{2})\) /;
/** What loaders write in the place of an instruction that they made invalid: a call, opcode 0x85. */
const POISONED = /^(\d+): (<invalid [\w -]+>)$/;
const CALL_OPCODE = 0x85;
/** `12: R0=...`, `12: frame1: R0=...`. */
const STATE_AT = /^(\d+): ?(?=(?:frame\d+:)? ?(?:R\d+(?:_\w+)?=|fp-\d+(?:_\w+)?=|refs=))/;
/** A state without an instruction: ` R6=0 R10=fp0`, behind "caller:" and its like. */
const STATE = /^ ?(?:frame\d+: ?)?(?:R\d+(?:_\w+)?=|fp-\d+(?:_\w+)?=)/;
/** `from 32 to 17: R0=...`, `from 3 to 5 (speculative execution): R0=...`. */
const PATH = /^from (\d+) to (\d+)(?: \([\w ]+\))?:(?: (.*))?$/;
const FUNCTION = /^func#(\d+) @(\d+)$/;
const VALIDATING = /^Validating (\S+)\(\) func#(\d+)\.\.\.$/;
/** Rows of the table behind "Live regs before insn:" (6.15). */
const LIVE_REGISTERS = /^ +\d+: [.\d]{10} \(/;
/** Starts of lines on how the verifier works; `last_idx`, `regs=` and `parent` are those before 6.4. */
const DETAILS: readonly string[] = [
  'mark_precise: ',
  'last_idx ',
  'regs=',
  'parent ',
  'propagating ',
  'cur state: ',
  'old state: ',
  'Live regs before insn:',
  'caller:',
  'callee:',
  'returning from callee:',
  'to caller at ',
  'Func#',
  // Liveness of stack slots, by call (6.18).
  '(',
];
/** `7: safe`, `from 5 to 9: safe`: a state like one that was seen before. */
const SAFE = /^(?:\d+|from \d+ to \d+(?: \([\w ]+\))?): safe$/;
const PROCESSED = /^processed (\d+) insns/;
const VERIFICATION_TIME = /^verification time (\d+) usec/;
const STACK_DEPTH = /stack depth (\d+(?:\+\d+)*)/;

/** So many messages in a row are one reason. */
const MOST_MESSAGES = 3;

/**
 * Reads a log.
 *
 * @param truncated whether the kernel had more to say than there was room for
 *
 * @example
 * const { cause, place } = parseVerifierLog(text);
 */
export function parseVerifierLog(text: string, truncated = false): VerifierLog {
  const entries: VerifierLogEntry[] = [];
  let line = 0;
  for (let start = 0; start < text.length; line += 1) {
    const found = text.indexOf('\n', start);
    const end = found === -1 ? text.length : found;
    // Where the beginning is missing, the first line is what is left of one.
    const entry = readLine(text.slice(start, end), line, truncated && line === 0);
    if (entry !== null) {
      entries.push(entry);
    }
    start = end + 1;
  }
  const reason = lastMessages(entries);
  return {
    text,
    truncated,
    entries,
    cause: reason.texts.join('; '),
    place: reason.texts.length === 0 ? null : placeBefore(entries, reason.start),
    statistics: statisticsOf(entries),
  };
}

/**
 * What one line is; null for an empty one.
 *
 * @param isRest whether it may be the end of a line; words are no message then
 */
function readLine(text: string, line: number, isRest: boolean): VerifierLogEntry | null {
  if (text === '') {
    return null;
  }
  const entry = readWhole(text, line);
  return isRest && entry.kind === 'message' ? { line, kind: 'detail', text } : entry;
}

function readWhole(text: string, line: number): VerifierLogEntry {
  const first = text.charCodeAt(0);
  if (first >= 0x30 && first <= 0x39) {
    return readNumbered(text, line);
  }
  if (text.startsWith('; ')) {
    return readSource(text, line);
  }
  if (text.startsWith('from ')) {
    const [matched, from, to, state] = PATH.exec(text) ?? [];
    if (matched !== undefined && !SAFE.test(text)) {
      return { line, kind: 'path', from: Number(from), to: Number(to), state: state ?? '' };
    }
  }
  if (PROCESSED.test(text) || VERIFICATION_TIME.test(text) || text.startsWith('stack depth ')) {
    return { line, kind: 'statistics', text };
  }
  return readFunction(text, line) ?? readRest(text, line);
}

/** A line that starts with a digit, which is the position of an instruction. */
function readNumbered(text: string, line: number): VerifierLogEntry {
  const instruction = INSTRUCTION.exec(text);
  if (instruction !== null) {
    const [prefix, slot, opcode] = instruction;
    // No instruction has a semicolon in it.
    const semicolon = text.indexOf(';', prefix.length);
    return {
      line,
      kind: 'instruction',
      slot: Number(slot),
      opcode: Number.parseInt(opcode!, 16),
      text: text.slice(prefix.length, semicolon === -1 ? undefined : semicolon).trimEnd(),
      state: semicolon === -1 ? null : text.slice(semicolon + 1).trim(),
    };
  }
  const state = STATE_AT.exec(text);
  if (state !== null) {
    const [prefix, slot] = state;
    return { line, kind: 'state', slot: Number(slot), state: text.slice(prefix.length).trim() };
  }
  const poisoned = POISONED.exec(text);
  if (poisoned !== null) {
    const [, slot, instead] = poisoned;
    return {
      line,
      kind: 'instruction',
      slot: Number(slot),
      opcode: CALL_OPCODE,
      text: instead!,
      state: null,
    };
  }
  return { line, kind: SAFE.test(text) ? 'detail' : 'message', text };
}

/** `; return data[14]; @ refused.bpf.c:42`. The place is there since Linux 6.8. */
function readSource(text: string, line: number): VerifierLogEntry {
  // The last one, as C may have " @ " in a string.
  const at = text.lastIndexOf(' @ ');
  const place = at === -1 ? null : /^(.+):(\d+)$/.exec(text.slice(at + 3));
  if (place === null) {
    return { line, kind: 'source', text: text.slice(2).trim(), file: null, fileLine: null };
  }
  const [, file, number] = place;
  return {
    line,
    kind: 'source',
    text: text.slice(2, at).trim(),
    file: file!,
    fileLine: Number(number),
  };
}

function readFunction(text: string, line: number): VerifierLogEntry | null {
  const start = FUNCTION.exec(text);
  if (start !== null) {
    const [, number, slot] = start;
    return { line, kind: 'function', number: Number(number), slot: Number(slot), name: null };
  }
  const validating = VALIDATING.exec(text);
  if (validating !== null) {
    const [, name, number] = validating;
    return { line, kind: 'function', number: Number(number), slot: null, name: name! };
  }
  return null;
}

function readRest(text: string, line: number): VerifierLogEntry {
  if (STATE.test(text)) {
    return { line, kind: 'state', slot: null, state: text.trim() };
  }
  const isDetail =
    DETAILS.some((start) => text.startsWith(start)) || LIVE_REGISTERS.test(text) || SAFE.test(text);
  return { line, kind: isDetail ? 'detail' : 'message', text: text.trimEnd() };
}

/**
 * The messages at the end, less what explains them; `start` is the index of the first. In a log of a
 * program that was taken there are none.
 */
function lastMessages(entries: readonly VerifierLogEntry[]): {
  readonly texts: readonly string[];
  readonly start: number;
} {
  let end = entries.length;
  while (isAside(entries[end - 1])) {
    end -= 1;
  }
  let start = end;
  while (start > 0 && end - start < MOST_MESSAGES && entries[start - 1]!.kind === 'message') {
    start -= 1;
  }
  const texts = entries
    .slice(start, end)
    .flatMap((entry) => (entry.kind === 'message' ? [entry.text] : []));
  return { texts, start };
}

/** Statistics, and the two states of an endless loop, which follow what is said of it. */
function isAside(entry: VerifierLogEntry | undefined): boolean {
  return (
    entry?.kind === 'statistics' ||
    (entry?.kind === 'detail' && /^(?:cur|old) state: /.test(entry.text))
  );
}

/** The last instruction before an entry, with its line of C. */
function placeBefore(entries: readonly VerifierLogEntry[], end: number): VerifierPlace | null {
  let at = end - 1;
  while (at >= 0 && entries[at]!.kind !== 'instruction') {
    at -= 1;
  }
  const instruction = entries[at];
  if (instruction?.kind !== 'instruction') {
    return null;
  }
  for (; at >= 0; at -= 1) {
    const source = entries[at]!;
    if (source.kind === 'source') {
      const { text, file, fileLine } = source;
      return {
        slot: instruction.slot,
        instruction: instruction.text,
        source: { text, file, line: fileLine },
      };
    }
  }
  return { slot: instruction.slot, instruction: instruction.text, source: null };
}

/** The numbers of the lines at the end; null if there is none that says what was processed. */
function statisticsOf(entries: readonly VerifierLogEntry[]): VerifierStatistics | null {
  let text = '';
  for (let at = entries.length - 1; at >= 0; at -= 1) {
    const entry = entries[at]!;
    if (entry.kind !== 'statistics') {
      break;
    }
    text = `${entry.text}\n${text}`;
  }
  const number = (pattern: RegExp) => {
    const digits = pattern.exec(text)?.[1];
    return digits === undefined ? null : Number(digits);
  };
  const instructions = number(/^processed (\d+) insns/m);
  if (instructions === null) {
    return null;
  }
  const depths = STACK_DEPTH.exec(text)?.[1];
  return {
    instructions,
    limit: number(/\(limit (\d+)\)/),
    maxStatesPerInstruction: number(/max_states_per_insn (\d+)/),
    totalStates: number(/total_states (\d+)/),
    peakStates: number(/peak_states (\d+)/),
    markRead: number(/mark_read (\d+)/),
    microseconds: number(/verification time (\d+) usec/),
    stackBytes: depths === undefined ? null : depths.split('+').map(Number),
  };
}

/**
 * The registers and stack slots of a state: `R1=ctx() fp-8=0000????` gives R1 and fp-8. Marks that older
 * kernels put behind a name (`R1_w`: written) are left out, as is the number of the frame.
 *
 * @param state of an entry of the log
 */
export function registersOf(state: string): ReadonlyMap<string, string> {
  const registers = new Map<string, string>();
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= state.length; at += 1) {
    const character = state[at];
    if (character === '(') {
      depth += 1;
    } else if (character === ')') {
      depth -= 1;
    } else if (character === undefined || (character === ' ' && depth <= 0)) {
      const word = state.slice(start, at);
      const equals = word.indexOf('=');
      if (/^(?:R\d|fp-)/.test(word) && equals !== -1) {
        registers.set(word.slice(0, equals).replace(/_\w+$/, ''), word.slice(equals + 1));
      }
      start = at + 1;
    }
  }
  return registers;
}
