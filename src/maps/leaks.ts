/**
 * Finding handles that nobody closed: those that are garbage collected while open are reported, with
 * where they were made. Off unless asked for, and without cost then.
 *
 * A report changes nothing: the descriptor stays open, as it does without the switch. A program must
 * not behave otherwise while it is looked at, and somebody may still use the descriptor's number.
 */

/** A handle that is gone, while its file descriptor is still open. */
export interface LeakedHandle {
  /** The class of the handle, e.g. `HashMap`. */
  readonly kind: string;
  /** The name of the map or program. */
  readonly name: string;
  /** The file descriptor, which is open until the process ends. */
  readonly fd: number;
  /** Where the handle was made: lines `at ...`, the innermost call first. */
  readonly stack: string;
}

/** What is asked of a handle. */
interface Handle {
  readonly name: string;
  readonly fd: number;
}

/** Code of the warnings that report leaks. */
const WARNING_CODE = 'SKEP_LEAK';

type Report = (leak: LeakedHandle) => void;

let report: Report | null = isAskedFor(process.env.SKEP_DEBUG) ? warn : null;
let registry: FinalizationRegistry<LeakedHandle> | undefined;

/**
 * Switches reports of leaks on or off. From then on, a handle that is made, and is garbage collected
 * before it was closed, is reported once. The environment variable `SKEP_DEBUG=leaks`, read when skep
 * is loaded, switches them on as well.
 *
 * A report comes when the collector runs, which may be late; what is still open when the process ends
 * is not reported. Reporting takes some microseconds for each handle that is made.
 *
 * @param how true for warnings of the process (`SKEP_LEAK`, on stderr unless somebody listens), a
 *   function to be called instead, or false for none
 */
export function reportLeaks(how: boolean | ((leak: LeakedHandle) => void)): void {
  if (typeof how !== 'boolean' && typeof how !== 'function') {
    throw new TypeError('reportLeaks takes true, false or a function');
  }
  report = how === true ? warn : how === false ? null : how;
}

/**
 * Watches a handle that has just been made.
 *
 * @param maker leaves this function, and what it has called, out of where the handle was made
 */
export function watchForLeak(handle: Handle, maker: (...args: never) => unknown): void {
  if (report === null) {
    return;
  }
  registry ??= new FinalizationRegistry((leak) => report?.(leak));
  const place: { stack?: string } = {};
  Error.captureStackTrace(place, maker);
  // Now and not when it is needed: until it is made into text, a stack holds on to what was called,
  // and that may hold on to the handle.
  const [, ...lines] = String(place.stack).split('\n');
  const kind = handle.constructor.name;
  const leak = { kind, name: handle.name, fd: handle.fd, stack: lines.join('\n') };
  registry.register(handle, leak, handle);
}

/** Notes that a handle was closed. */
export function closedInTime(handle: Handle): void {
  // Also while reports are off, since they may have been on when it was made.
  registry?.unregister(handle);
}

function warn({ kind, name, fd, stack }: LeakedHandle): void {
  process.emitWarning(
    `a ${kind}${kind === 'Program' ? '' : ' of map'} "${name}" was garbage collected without being closed; its file descriptor ${fd} stays open. Close it, or declare it with "using". It was made here:`,
    { code: WARNING_CODE, detail: stack },
  );
}

/** `SKEP_DEBUG` is a list with commas. */
function isAskedFor(debug: string | undefined): boolean {
  return (debug ?? '').split(',').some((word) => word.trim() === 'leaks');
}
