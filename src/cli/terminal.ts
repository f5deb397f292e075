/** Where output goes: how wide that is, whether it has colours, and what must not reach it. */

/** How to lay text out. */
export interface Terminal {
  /** In columns; infinite for pipes and files, whose lines are for other programs. */
  readonly width: number;
  /** Makes text stand out, where that is possible. */
  bold(text: string): string;
}

/**
 * The terminal behind standard output. Without one there is no width, unless `COLUMNS` gives one,
 * and no style; `NO_COLOR` and `TERM=dumb` switch style off.
 */
export function standardOutput(): Terminal {
  const { stdout } = process;
  const styled = stdout.isTTY === true && stdout.hasColors();
  const given = Number(process.env.COLUMNS);
  const wanted = Number.isInteger(given) && given > 0 ? given : Number.POSITIVE_INFINITY;
  return {
    // A pseudo-terminal that nobody has given a size has 0 columns.
    width: stdout.isTTY === true && stdout.columns > 0 ? stdout.columns : wanted,
    bold: styled ? (text) => `\u001b[1m${text}\u001b[22m` : (text) => text,
  };
}

/** Prints what the command was asked for. */
export function print(text: string): void {
  write(process.stdout, text);
}

/** Prints a document. */
export function printJson(document: object): void {
  print(`${JSON.stringify(document, null, 2)}\n`);
}

/** Prints what is said about it. */
export function printError(text: string): void {
  write(process.stderr, text);
}

const watched = new Set<NodeJS.WriteStream>();

function write(stream: NodeJS.WriteStream, text: string): void {
  // Only streams that are used are looked at: opening one takes Node.js a millisecond or two.
  if (!watched.has(stream)) {
    watched.add(stream);
    stream.on('error', endOutput);
  }
  // What JSON leaves as it is; escaped in this way it is the same JSON. Other text has none of it.
  stream.write(text.replace(UNSAFE_IN_JSON, (character) => escapeUnit(character.charCodeAt(0))));
}

/**
 * Whoever reads the output has seen enough, as `head` does: no failure of ours. What was done stays
 * done, since writes to pipes are synchronous on Linux and this is told of them only afterwards.
 */
function endOutput(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') {
    // A full disk, say. If it is stderr that fails, the status has to do.
    process.exitCode = 1;
    printError(`skep: the output cannot be written: ${error.message}\n`);
  }
  process.exit();
}

/** Control characters and marks of direction that JSON may have in strings. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

// Control characters, and the ones that turn the direction of text around.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/**
 * Text from an object or the kernel as it can be shown: whoever wrote a name into it must not get to
 * move the cursor of whoever inspects it. What is not printable becomes `\xNN` or `\uNNNN`.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : escapeUnit(code);
  });
}

function escapeUnit(code: number): string {
  return `\\u${code.toString(16).padStart(4, '0')}`;
}
