/** Exit statuses, messages, help: how the command behaves whatever it is asked for. */

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAIN, objectPath, ROOT, shell, skep, stdoutOf } from './skep.ts';

const demo = objectPath('demo');

describe('wrong usage ends with status 2, one line on stderr, and nothing on stdout', () => {
  it.each([
    [['inspct', 'x'], "unknown command 'inspct' (Did you mean inspect?)"],
    [['map', 'lst'], "unknown command 'lst' (Did you mean list?)"],
    [['inspect'], "missing required argument 'FILE'"],
    [['inspect', demo, demo], "too many arguments for 'inspect'. Expected 1 argument but got 2."],
    [['inspect', '--jsn', demo], "unknown option '--jsn' (Did you mean --json?)"],
    [
      ['inspect', '--json', '--diagram', demo],
      "option '--diagram' cannot be used with option '--json'",
    ],
    [['load', demo, '--pin-dir'], "option '--pin-dir <DIR>' argument missing"],
    [
      ['load', demo, '--pin', 'flows'],
      "option '--pin <NAME=PATH>' argument 'flows' is invalid. Expected NAME=PATH.",
    ],
    [
      ['load', demo, '--pin', '=/sys/fs/bpf/x'],
      "option '--pin <NAME=PATH>' argument '=/sys/fs/bpf/x' is invalid. Expected NAME=PATH.",
    ],
    [
      ['load', demo, '--pin', 'flows=/a', '--pin', 'flows=/b'],
      `option '--pin <NAME=PATH>' argument 'flows=/b' is invalid. Map "flows" was given before.`,
    ],
    [
      ['load', demo, '--max-entries', 'flows='],
      "option '--max-entries <NAME=N>' argument 'flows=' is invalid. Expected NAME=N.",
    ],
    ...['ten', '-1', '1.5', '1e3', '0x', '4294967296', ' 1'].map((number): [string[], string] => [
      ['load', demo, '--max-entries', `flows=${number}`],
      `option '--max-entries <NAME=N>' argument 'flows=${number}' is invalid. "${number}" is no number from 0 to 4294967295, decimal or with 0x.`,
    ]),
    [
      ['load', demo, '--max-entries', 'flow=1'],
      'the object has no map "flow"; did you mean "flows"?',
    ],
    [
      ['load', demo, '--pin', 'tenant_zer0=/sys/fs/bpf/x'],
      'the object has no map "tenant_zer0"; did you mean "tenant_zero"?',
    ],
    [
      ['load', demo, '--plan', '--pin', 'constructor=/sys/fs/bpf/x'],
      'the object has no map "constructor"; it has tenant_zero, tenant_one, tenants, flows, events, .rodata, .bss',
    ],
    [
      ['load', demo, '--plan', '--kernel', 'memory', '--max-entries', '.bss=2'],
      'data section ".bss" has one entry, its contents',
    ],
    [
      ['map', 'show', 'id'],
      'expected MAP, where MAP is the path of a pin, id:N or name:NAME; got "id"',
    ],
    [
      ['map', 'dump', '/sys/fs/bpf/a', '/sys/fs/bpf/b'],
      'expected MAP, where MAP is the path of a pin, id:N or name:NAME; got "/sys/fs/bpf/a /sys/fs/bpf/b"',
    ],
    [
      ['map', 'pin', 'id', '7'],
      'expected MAP PATH, where MAP is the path of a pin, id:N or name:NAME; got "id 7"',
    ],
    [
      ['map', 'show', 'id', 'seven'],
      '"seven" is no id of a map; ids are numbers, as "map list" shows',
    ],
    [['map', 'unpin'], "missing required argument 'PATH'"],
  ] as [string[], string][])('%j', (args, message) => {
    expect(skep(args)).toEqual({ status: 2, stdout: '', stderr: `skep: ${message}\n` });
  });

  it.each([[[]], [['map']], [['program']]])(
    'but without a command the help is on stderr: %j',
    (args) => {
      const { status, stdout, stderr } = skep(args);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(/^Usage: skep .*Examples:/s);
    },
  );
});

describe('failures end with status 1 and one line with the code of the error', () => {
  it.each([
    [
      ['inspect', 'no/such/file'],
      "no/such/file cannot be read: ENOENT: no such file or directory, open 'no/such/file' [ERR_SKEP_FILE]",
    ],
    [
      ['inspect', 'package.json'],
      'package.json: this is not an ELF file (no 0x7f "ELF" at its start) [ERR_SKEP_ELF]',
    ],
    [
      ['inspect', '--json', 'package.json'],
      'package.json: this is not an ELF file (no 0x7f "ELF" at its start) [ERR_SKEP_ELF]',
    ],
    [
      ['load', '--plan', 'fixtures/malformed/type-missing.bpf.o'],
      /^fixtures\/malformed\/type-missing\.bpf\.o: map ".*", member "type": .*\[ERR_SKEP_MAP_DEFINITION\]$/,
    ],
    [
      ['load', '--plan', objectPath('nested/no-inner-definition')],
      /^map ".*" is a map of maps without an inner definition.* \[ERR_SKEP_LOAD\]$/,
    ],
    [
      ['load', '--plan', '--pin', 'flows=flows', demo],
      'the pin path "flows" is relative; give an absolute one, such as /sys/fs/bpf/flows [ERR_SKEP_PIN_PATH]',
    ],
  ] as [string[], string | RegExp][])('%j', (args, message) => {
    const { status, stdout, stderr } = skep(args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    // A plan says so first if there is no native shim to ask.
    const line = stderr.replace(/^skep: no kernel to ask.*\n/, '');
    expect(line).toMatch(/^skep: [^\n]*\n$/);
    const text = line.slice('skep: '.length, -1);
    if (typeof message === 'string') {
      expect(text).toBe(message);
    } else {
      expect(text).toMatch(message);
    }
  });

  it('and with --verbose, wherever it stands, also where it happened and what caused it', () => {
    for (const args of [
      ['--verbose', 'inspect', 'package.json'],
      ['inspect', '--verbose', 'package.json'],
      ['inspect', 'package.json', '--verbose'],
    ]) {
      const { status, stderr } = skep(args);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^skep: package\.json: .*\n {4}at .*\[cause\]: ObjectError: /s);
    }
    expect(skep(['inspect', 'package.json']).stderr).not.toContain('    at ');
  });
});

describe('skep --version and --help', () => {
  it('print to stdout and end with status 0', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(stdoutOf(['--version'])).toBe(`${version}\n`);
    expect(stdoutOf(['-V'])).toBe(`${version}\n`);
    expect(stdoutOf(['--help'])).toMatch(/^Usage: skep /);
  });

  it.each([
    'inspect',
    'load',
    'map',
    'map list',
    'map show',
    'map dump',
    'map get',
    'map set',
    'map delete',
    'map create',
    'map watch',
    'map pin',
    'map unpin',
    'program',
    'program list',
    'program show',
    'program dump',
    'program run',
    'program pin',
    'program unpin',
  ])('have an example of skep %s, in lines of 80 columns', (command) => {
    const help = stdoutOf([...command.split(' '), '--help']);
    expect(help).toMatch(new RegExp(`Examples?:\\n {2}skep ${command}`));
    expect(help.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('has lines of 80 columns itself', () => {
    const lines = stdoutOf(['--help']).split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });
});

describe('a reader that goes away', () => {
  it.each([
    `inspect ${demo}`,
    `inspect --json ${objectPath('maps/many')}`,
    `inspect --diagram ${demo}`,
    'load --help',
    `load --plan --kernel memory ${demo}`,
  ])('is no failure of skep %s, and nothing is said about it', (command) => {
    // `true` has ended long before there is anything to read.
    const { stderr } = shell(`{ $SKEP ${command}; echo "status $?" >&2; } | true`);
    expect(stderr).toBe('status 0\n');
  });

  it('does not hide a failure', () => {
    const { stderr } = shell('{ $SKEP inspect package.json 2>&1; echo "status $?" >&2; } | true');
    expect(stderr).toBe('status 1\n');
  });
});

describe.skipIf(process.platform !== 'linux')('a full disk', () => {
  it('is a failure, said in one line', () => {
    const { status, stderr } = shell(`$SKEP inspect ${demo} > /dev/full`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^skep: the output cannot be written: ENOSPC.*\n$/);
  });
});

describe('where there is no kernel to talk to', () => {
  // A copy of the package without the native shim, as on a system that is not Linux.
  let copy: string;
  let main: string;
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'skep-cli-'));
    main = join(copy, 'dist/bundle/command.js');
    cpSync(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  });
  afterAll(() => {
    rmSync(copy, { recursive: true });
  });

  it.each([
    `load ${demo}`,
    'map list',
    'map show id 1',
    'map unpin /sys/fs/bpf/x',
    'program list',
    'program dump id 1',
    `program run ${demo}`,
  ])('skep %s fails with one error that says so', (command) => {
    const { status, stdout, stderr } = skep(command.split(' '), { main });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^skep: the native shim .* is missing: .* \[ERR_SKEP_NO_KERNEL\]\n$/);
  });

  it('skep inspect works', () => {
    expect(stdoutOf(['inspect', demo], { main })).toBe(stdoutOf(['inspect', demo]));
    expect(stdoutOf(['inspect', '--json', demo], { main })).toContain('"format": 1');
  });

  it('skep load --plan plans for the machine that Node.js knows of, and says so', () => {
    const { status, stdout, stderr } = skep(['load', '--plan', demo], { main });
    expect(status).toBe(0);
    expect(stderr).toMatch(
      /^skep: no kernel to ask, so this plan is for \d+ CPUs and pages of 4096 bytes\n$/,
    );
    expect(stdout).toContain('17  pin "tenants" at /sys/fs/bpf/tenants\n18  load program ');
  });
});

describe('starting', () => {
  /** What is of use here in a file that V8 writes about the scripts that ran. */
  interface Coverage {
    readonly result: readonly { readonly url: string }[];
  }

  /** What is of use here in a source map. */
  interface SourceMap {
    readonly sources: readonly string[];
  }

  /** The files of the package that a command loads, as V8 counts them, as URLs. */
  function loadedFiles(args: readonly string[]): string[] {
    const directory = mkdtempSync(join(tmpdir(), 'skep-cli-'));
    try {
      stdoutOf(args, { env: { NODE_V8_COVERAGE: directory } });
      const [file] = readdirSync(directory);
      const coverage = JSON.parse(readFileSync(join(directory, file!), 'utf8')) as Coverage;
      return coverage.result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  /** The modules that were put into those files. */
  function loadedModules(args: readonly string[]): string[] {
    return loadedFiles(args).flatMap((url) => {
      const path = new URL(`${url}.map`);
      // What the bundler adds of its own has none.
      const text = existsSync(path) ? readFileSync(path, 'utf8') : '{"sources":[]}';
      const map = JSON.parse(text) as SourceMap;
      return map.sources.map((source) => relative(ROOT, fileURLToPath(new URL(source, url))));
    });
  }

  it.each([[['inspect', demo]], [['inspect', demo, '--json']], [['inspect', demo, '--diagram']]])(
    'loads neither zod nor the loader nor the kernel for %j',
    (args) => {
      const modules = loadedModules(args);
      expect(modules).toContain('src/obj/object.ts');
      // Reading a file is the one thing of the loader that inspecting needs.
      const heavy =
        /^node_modules\/zod\/|^src\/(?:kernel|maps)\/|^src\/loader\/(?!object-file\.ts)/;
      expect(modules.filter((module) => heavy.test(module))).toEqual([]);
    },
  );

  it('loads the parser of options only if there are any', () => {
    const parser = 'node_modules/commander/lib/command.js';
    expect(loadedModules(['inspect', demo])).not.toContain(parser);
    expect(loadedModules(['inspect', demo, '--json'])).toContain(parser);
  });

  it('opens six files for the plainest inspection, as each takes its time', () => {
    const files = loadedFiles(['inspect', demo]);
    expect(files).toContain(pathToFileURL(MAIN).href);
    expect(files.length).toBeLessThanOrEqual(6);
  });
});
