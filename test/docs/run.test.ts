/**
 * The examples of README.md and docs/testing.md, run on the in-process kernel. What they print is what
 * the comments behind `console.log(...)` say.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'node:util';

import ts from 'typescript';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as skep from '../../src/index.ts';
import { hasMapType } from '../../src/kernel/memory/create-rules.ts';
import * as testing from '../../src/testing.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../../src/uapi/map-types.ts';
import { type Example, examplesOf, ROOT } from './code.ts';

/** The kernel that examples get which do not name one. */
const running = vi.hoisted((): { kernel: unknown } => ({ kernel: undefined }));
vi.mock('../../src/kernel/linux.ts', () => ({ linuxKernel: () => running.kernel }));

let kernel: testing.MemoryKernel;
beforeEach(() => {
  kernel = new testing.MemoryKernel();
  running.kernel = kernel;
});

/** The last kind of map of Linux 6.18, which is the measure. */
const NEWEST = BPF_MAP_TYPE.ARENA;

/** The object that examples call `app.bpf.o`. */
const APP = 'fixtures/objects/demo.bpf.o';
const openObject = (path: string) =>
  skep.ObjectFile.open(join(ROOT, path === 'app.bpf.o' ? APP : path));

type Module = Readonly<Record<string, unknown>>;
type Body = (require: (name: string) => Module, exports: object, ...rest: unknown[]) => unknown;
const AsyncFunction = (async () => {}).constructor as new (...args: string[]) => Body;

/** What came of an example. */
interface Ran {
  readonly printed: readonly string[];
  readonly exported: Module;
}

/** Runs an example, and the tests in it, with the modules that it imports. */
async function run(
  { code }: Example,
  own: Readonly<Record<string, Module>> = {},
  globals: { readonly AbortSignal?: object; readonly printed?: string[] } = {},
): Promise<Ran> {
  const tests: (() => unknown)[] = [];
  const test = (_name: string, body: () => unknown) => tests.push(body);
  const modules: Readonly<Record<string, Module>> = {
    skep: { ...skep, ObjectFile: { open: openObject } },
    'skep/testing': testing,
    vitest: { test, expect },
    'node:test': { test },
    'node:assert/strict': assert as unknown as Module,
    ...own,
  };
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.CommonJS,
      esModuleInterop: true,
    },
  });
  const printed = globals.printed ?? [];
  const console = { log: (...values: unknown[]) => printed.push(format(...values)) };
  const exported = {};
  const body = new AsyncFunction('require', 'exports', 'console', 'AbortSignal', outputText);
  await body((name) => modules[name]!, exported, console, globals.AbortSignal ?? AbortSignal);
  for (const each of tests) {
    await each();
  }
  return { printed, exported };
}

/** The comments behind `console.log(...)`, in order. */
function promised({ code }: Example): string[] {
  return Array.from(code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm), (match) => match[1]!);
}

describe('README.md', () => {
  const [example] = examplesOf('README.md');

  it('uses a hash, a map of maps and a ring buffer, and leaves nothing open', async () => {
    // A record for the loop to wait for; the example's own patience ends with it.
    const patience = new AbortController();
    const stub = {
      timeout() {
        setTimeout(() => {
          const id = kernel.mapIds().find((each) => nameOf(each) === 'events')!;
          const record = new Uint8Array(32);
          const view = new DataView(record.buffer);
          view.setUint32(16, 6, true);
          view.setBigUint64(24, 7n, true);
          const events = kernel.openMapById(id);
          kernel.produce(events, record);
          kernel.close(events);
          setTimeout(() => patience.abort(), 10);
        });
        return patience.signal;
      },
    };
    const printed: string[] = [];
    const loop = run(example!, {}, { AbortSignal: stub, printed });
    await expect(loop).rejects.toMatchObject({ name: 'AbortError' });
    expect(printed).toEqual(['6 7n']);
    expect(kernel.openDescriptors()).toEqual([]);
    expect(kernel.paths()).toEqual([
      '/sys/fs/bpf/demo',
      '/sys/fs/bpf/demo/flows',
      '/sys/fs/bpf/demo/tenants',
    ]);
  });

  function nameOf(id: number): string {
    const fd = kernel.openMapById(id);
    const { name } = kernel.mapInfo(fd);
    kernel.close(fd);
    return name;
  }
});

describe('docs/testing.md', () => {
  it('lists the kinds of map that the in-process kernel does not have', () => {
    const page = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8');
    const [, section] = /### Kinds of map that are not there\n(.*?)An object with/s.exec(page)!;
    const listed = Array.from(section!.matchAll(/`([a-z_]+)`/g), (match) => match[1]);
    const missing = Object.values(BPF_MAP_TYPE).filter(
      (type) => type !== BPF_MAP_TYPE.UNSPEC && type <= NEWEST && !hasMapType(type),
    );
    expect(listed.sort()).toEqual([...new Set(missing.map(mapTypeName))].sort());
  });

  const examples = examplesOf('docs/testing.md');
  const application = examples.find(({ file }) => file === 'app.ts')!;

  it.each(examples.filter((example) => example !== application))(
    'line $line does what it says',
    async (example) => {
      const { exported } = await run(application);
      const { printed } = await run(example, { './app.ts': exported });
      // A line that is printed again and again, with a number in front, is said to be so once.
      const lines = printed.map((line) => line.replace(/^\d+ (?=\[)/, 'n '));
      expect(lines.filter((line, at) => line !== lines[at - 1])).toEqual(promised(example));
    },
  );
});
