/** The package as users get it: packed, installed into an empty project, used from there. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { Project } from './project.ts';

const OBJECT = fixturePath('objects/demo.bpf.o');

let project: Project;

beforeAll(() => {
  project = new Project(process.env.SKEP_PACKAGE_PROJECT ?? null);
}, 60_000);

afterAll(() => {
  project.release();
});

describe('the package', () => {
  it('holds what it needs and nothing else', () => {
    expect(readdirSync(project.installed).sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist',
      'native',
      'package.json',
      'src',
    ]);
    const files = readdirSync(project.installed, { recursive: true }).map(String);
    expect(files).toContain('native/src/lib.rs');
    expect(files.filter((name) => /(^|\/)(test|fixtures|target|bench)(\/|$)/.test(name))).toEqual(
      [],
    );
    expect(files.filter((name) => /\.test\.|\.bpf\.o$|\.tsbuildinfo$/.test(name))).toEqual([]);
  });

  it('has no install script', () => {
    const { scripts } = project.manifest();
    expect(Object.keys(scripts).filter((name) => /install/.test(name))).toEqual([]);
  });

  it('has a file for every way to import it, and types', () => {
    const { exports } = project.manifest();
    for (const target of Object.values<string | Record<string, string>>(exports)) {
      for (const path of typeof target === 'string' ? [target] : Object.values(target)) {
        expect(existsSync(join(project.installed, path)), path).toBe(true);
      }
    }
  });

  it('reads an object', () => {
    const code =
      "import { ObjectFile } from 'skep'; console.log(ObjectFile.open(process.argv[1]).maps.get('tenants').inner.type);";
    expect(project.run(code, OBJECT)).toMatchObject({ status: 0, stdout: 'hash\n', stderr: '' });
  });

  it('reads an object by `skep/obj`, which loads nothing of Node.js', () => {
    const code = [
      "import { readFileSync } from 'node:fs';",
      "import { ObjectFile } from 'skep/obj';",
      'console.log(ObjectFile.parse(readFileSync(process.argv[1])).maps.size);',
    ].join('\n');
    expect(project.run(code, OBJECT)).toMatchObject({ status: 0, stdout: '5\n', stderr: '' });
  });

  it('can be required by CommonJS', () => {
    const code = [
      "const { ObjectFile } = require('skep');",
      "const { MemoryKernel } = require('skep/testing');",
      "const obj = require('skep/obj');",
      'console.log(ObjectFile.open(process.argv[1]).maps.size, typeof MemoryKernel, typeof obj.Btf);',
    ].join('\n');
    const { status, stdout, stderr } = project.node(['--input-type=commonjs', '-e', code, OBJECT]);
    expect([status, stdout], stderr).toEqual([0, '5 function function\n']);
  });

  it('uses nothing that this Node.js warns of', () => {
    const code = [
      "import { HashMap, load, ObjectFile, features } from 'skep';",
      "import { MemoryKernel } from 'skep/testing';",
      'const kernel = new MemoryKernel();',
      'const app = load(ObjectFile.open(process.argv[1]), { kernel });',
      "app.map('tenant_one', HashMap).set(1, 2n);",
      'app.close();',
      "await import('node:child_process').then(() => features({ kernel }));",
      "console.log('done');",
    ].join('\n');
    const strict = ['--throw-deprecation', '--pending-deprecation', '--input-type=module'];
    const outcome = project.node([...strict, '-e', code, OBJECT]);
    expect(outcome).toMatchObject({ status: 0, stdout: 'done\n', stderr: '' });
  });

  it('has a kernel for tests in `skep/testing`', () => {
    const code = [
      "import { HashMap, load, ObjectFile } from 'skep';",
      "import { MemoryKernel } from 'skep/testing';",
      'const kernel = new MemoryKernel();',
      'const app = load(ObjectFile.open(process.argv[1]), { kernel });',
      "const found = HashMap.openPinned('/sys/fs/bpf/flows', undefined, { kernel });",
      'console.log(app.maps.size, found.info().keySize, kernel.paths().join());',
    ].join('\n');
    expect(project.run(code, OBJECT)).toMatchObject({
      status: 0,
      stdout: '7 16 /sys/fs/bpf/flows,/sys/fs/bpf/tenants\n',
      stderr: '',
    });
  });
});

describe('its command, as npm puts it into a project', () => {
  it('inspects an object', () => {
    const { status, stdout, stderr } = project.skep('inspect', '--json', OBJECT);
    expect([status, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout).maps).toHaveLength(5);
  });

  it('loads an object on a kernel of its own', () => {
    const { status, stdout, stderr } = project.skep(
      ...['load', OBJECT, '--kernel', 'memory', '--json'],
    );
    expect([status, stderr]).toEqual([0, expect.stringMatching(/^skep: the kernel was in this/)]);
    expect(JSON.parse(stdout).maps).toHaveLength(7);
  });

  it('asks what there is by `doctor`, whatever there is', () => {
    const { status, stdout, stderr } = project.skep('doctor');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^SYSTEM +STATE/);
  });

  it('says its version', () => {
    expect(project.skep('--version').stdout.trim()).toBe(project.manifest().version);
  });

  it('can be run by itself', () => {
    const main = join(project.installed, project.manifest().bin.skep);
    expect(readFileSync(main, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});

describe('the package without its shim', () => {
  let bare: Project;

  beforeAll(() => {
    bare = project.withoutShim();
  }, 60_000);

  afterAll(() => {
    bare.remove();
  });

  it('says what to do, and still reads', () => {
    const code = [
      "import { load, ObjectFile, hasCode } from 'skep';",
      'const object = ObjectFile.open(process.argv[1]);',
      'try { load(object); } catch (error) {',
      "  console.log(hasCode(error, 'ERR_SKEP_NO_KERNEL'), error.message);",
      '}',
    ].join('\n');
    const { status, stdout, stderr } = bare.run(code, OBJECT);
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(
      process.platform === 'linux' ? /^true .*reinstall the package/ : /^true .*not Linux/,
    );
  });

  it('loads an object on the kernel for tests', () => {
    const { status, stdout, stderr } = bare.skep(
      ...['load', OBJECT, '--kernel', 'memory', '--json'],
    );
    expect([status, stderr]).toEqual([0, expect.stringMatching(/^skep: the kernel was in this/)]);
    expect(JSON.parse(stdout).maps).toHaveLength(7);
  });
});

describeKernel('the package', () => {
  const directory = pinDirectory();

  it('loads, pins and runs an object on Linux', () => {
    const code = [
      "import { HashMap, load, ObjectFile, Program } from 'skep';",
      'const [, file, pinDirectory] = process.argv;',
      'const app = load(ObjectFile.open(file), { pinDirectory });',
      "app.program('count_packets').run({ data: new Uint8Array(64) });",
      "app.map('tenant_one', HashMap).set(443, 7n);",
      "console.log(app.map('tenant_one', HashMap).get(443));",
      'app.close();',
    ].join('\n');
    expect(project.run(code, OBJECT, directory.path)).toMatchObject({
      status: 0,
      stdout: '7n\n',
      stderr: '',
    });
    expect(readdirSync(directory.path).sort()).toEqual(['flows', 'tenants']);
  });
});
