/** The package as users get it: packed, unpacked into an empty project, used from there. */

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixturePath } from '../support/fixtures.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OBJECT = fixturePath('objects/demo.bpf.o');

let project = '';
let installed = '';

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'skep-project-'));
  // `dist` is built by the test command; packing must not build it again under running tests.
  const packed = spawnSync(
    'npm',
    ['pack', '--ignore-scripts', '--silent', '--pack-destination', project],
    {
      cwd: ROOT,
      encoding: 'utf8',
    },
  );
  expect(packed.status, packed.stderr).toBe(0);
  installed = join(project, 'node_modules/skep');
  mkdirSync(installed, { recursive: true });
  const tarball = join(project, readdirSync(project).find((name) => name.endsWith('.tgz'))!);
  expect(spawnSync('tar', ['xzf', tarball, '--strip-components=1', '-C', installed]).status).toBe(
    0,
  );
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name));
  }
}, 60_000);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

/** Runs a module in the project; its standard output. */
function run(
  code: string,
  ...args: string[]
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--input-type=module', '-e', code, ...args], {
    cwd: project,
    encoding: 'utf8',
  });
}

describe('the package', () => {
  it('holds what it needs and nothing else', () => {
    expect(readdirSync(installed).sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist',
      'native',
      'package.json',
      'src',
    ]);
    expect(existsSync(join(installed, 'native/src/lib.rs'))).toBe(true);
    expect(existsSync(join(installed, 'native/target'))).toBe(false);
  });

  it('has no install script', () => {
    const { scripts } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    expect(Object.keys(scripts).filter((name) => /install/.test(name))).toEqual([]);
  });

  it('reads an object', () => {
    const code =
      "import { ObjectFile } from 'skep'; console.log(ObjectFile.open(process.argv[1]).maps.get('tenants').inner.type);";
    expect(run(code, OBJECT)).toMatchObject({ status: 0, stdout: 'hash\n' });
  });

  it('reads an object by `skep/obj`, which loads nothing of Node.js', () => {
    const code = [
      "import { readFileSync } from 'node:fs';",
      "import { ObjectFile } from 'skep/obj';",
      'console.log(ObjectFile.parse(readFileSync(process.argv[1])).maps.size);',
    ].join('\n');
    expect(run(code, OBJECT)).toMatchObject({ status: 0, stdout: '5\n' });
  });

  it('says what to do when the shim is missing, and still reads', () => {
    rmSync(join(installed, 'native'), { recursive: true });
    const code = [
      "import { load, ObjectFile, hasCode } from 'skep';",
      'const object = ObjectFile.open(process.argv[1]);',
      'try { load(object); } catch (error) {',
      "  console.log(hasCode(error, 'ERR_SKEP_NO_KERNEL'), error.message);",
      '}',
    ].join('\n');
    const { status, stdout } = run(code, OBJECT);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      process.platform === 'linux' ? /^true .*reinstall the package/ : /^true .*not Linux/,
    );
  });

  it('has the command', () => {
    const { bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    const shown = spawnSync(
      process.execPath,
      [join(installed, bin.skep), 'inspect', '--json', OBJECT],
      {
        encoding: 'utf8',
      },
    );
    expect(shown.status, shown.stderr).toBe(0);
    expect(JSON.parse(shown.stdout).maps).toHaveLength(5);
  });

  it('has a kernel for tests in `skep/testing`, for which the shim is not needed', () => {
    expect(existsSync(join(installed, 'native'))).toBe(false);
    const code = [
      "import { HashMap, load, ObjectFile } from 'skep';",
      "import { MemoryKernel } from 'skep/testing';",
      'const kernel = new MemoryKernel();',
      'const app = load(ObjectFile.open(process.argv[1]), { kernel });',
      "const found = HashMap.openPinned('/sys/fs/bpf/flows', undefined, { kernel });",
      'console.log(app.maps.size, found.info().keySize, kernel.paths().join());',
    ].join('\n');
    expect(run(code, OBJECT)).toMatchObject({
      status: 0,
      stdout: '7 16 /sys/fs/bpf/flows,/sys/fs/bpf/tenants\n',
      stderr: '',
    });
  });

  it('has types for every way to import it', () => {
    const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    for (const target of Object.values<string | Record<string, string>>(exports)) {
      for (const path of typeof target === 'string' ? [target] : Object.values(target)) {
        expect(existsSync(join(installed, path)), path).toBe(true);
      }
    }
  });

  it('has a command that works without the shim on a kernel of its own', () => {
    const { bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    const loaded = spawnSync(
      process.execPath,
      [join(installed, bin.skep), 'load', OBJECT, '--kernel', 'memory', '--json'],
      { encoding: 'utf8' },
    );
    expect(loaded.status, loaded.stderr).toBe(0);
    expect(JSON.parse(loaded.stdout).maps).toHaveLength(7);
  });
});
