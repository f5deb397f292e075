/** Runs the `skep` command for real: dist/bundle/command.js in a process of its own. */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout, without a slash at its end. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
/** The command's file. */
export const MAIN = join(ROOT, 'dist/bundle/command.js');

/** How long another test file may take to build before its lock counts as left behind. */
const BUILD_MS = 120_000;

buildIfStale();

/** How a command ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What to run it with besides the arguments. */
export interface Surroundings {
  /** Added to an environment of nothing but PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another copy of dist/bundle/command.js. */
  readonly main?: string;
}

/** Runs `skep` in the root of the checkout, so that paths in its output are the same everywhere. */
export function skep(args: readonly string[], { env, main = MAIN }: Surroundings = {}): Ended {
  return ended(
    spawnSync(process.execPath, [main, ...args], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ...env },
      maxBuffer: 1 << 26,
    }),
  );
}

/** Runs a line of sh in the root of the checkout; `$SKEP` is the command. */
export function shell(line: string, env: Readonly<Record<string, string>> = {}): Ended {
  const command = `'${process.execPath}' '${MAIN}'`;
  return ended(
    spawnSync('sh', ['-c', line.replaceAll('$SKEP', command)], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ...env },
    }),
  );
}

/** The output of a command that must succeed without a word on stderr. */
export function stdoutOf(args: readonly string[], surroundings: Surroundings = {}): string {
  const { status, stdout, stderr } = skep(args, surroundings);
  if (status !== 0 || stderr !== '') {
    throw new Error(`skep ${args.join(' ')}: status ${status}, ${stderr}`);
  }
  return stdout;
}

/** The path of an object of fixtures/objects/ as it is given to the command. */
export function objectPath(name: string): string {
  return `fixtures/objects/${name}.bpf.o`;
}

function ended({ status, stdout, stderr, error }: SpawnSyncReturns<string>): Ended {
  if (error !== undefined) {
    throw error;
  }
  return { status, stdout, stderr };
}

/** `npm test` has built already; whoever runs one test file alone may not have. */
function buildIfStale(): void {
  // Test files run side by side, and one build is enough.
  const lock = join(tmpdir(), `skep-build-${Buffer.from(ROOT).toString('hex').slice(-40)}`);
  while (isStale()) {
    if (!takeLock(lock)) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      continue;
    }
    try {
      // The compiler writes what it can; a mistake elsewhere is for `npm run typecheck` to tell.
      const compiled = runNode('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
      const bundled = runNode('scripts/bundle.mjs');
      if (bundled.status !== 0) {
        throw new Error(`src/ does not compile:\n${compiled.stdout}${bundled.stderr}`);
      }
    } finally {
      rmdirSync(lock);
    }
  }
}

function runNode(script: string, ...args: readonly string[]): SpawnSyncReturns<string> {
  const options = { cwd: ROOT, encoding: 'utf8' } as const;
  return spawnSync(process.execPath, [join(ROOT, script), ...args], options);
}

function takeLock(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    const made = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - made > BUILD_MS) {
      rmdirSync(lock);
    }
    return false;
  }
}

function isStale(): boolean {
  const built = statSync(MAIN, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const source = join(ROOT, 'src');
  return readdirSync(source, { recursive: true }).some(
    (file) => statSync(join(source, String(file))).mtimeMs > built,
  );
}
