/** The declarations of the package, compiled in a project of a user, in the ways that there are. */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Project } from './project.ts';

const TSC = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));

/** A program that uses every way to import the package. */
const PROGRAM = `
import { bytes, HashMap, HashOfMaps, load, ObjectFile, struct, u32, type LoadedObject } from 'skep';
import { Btf, ObjectFile as Parsed } from 'skep/obj';
import { MemoryKernel } from 'skep/testing';

const app: LoadedObject = load(ObjectFile.open('a.bpf.o'), { kernel: new MemoryKernel() });
const flows = app.map('flows', HashMap<{ source_port: number }, { packets: bigint }>);
for (const [{ source_port }, { packets }] of flows) {
  const port: number = source_port;
  const count: bigint = packets;
  console.log(port, count);
}
const tenants = app.map('tenants', HashOfMaps<number, HashMap<number, bigint>>);
const inner: HashMap<number, bigint> | undefined = tenants.get(7);
const event = struct({ flow: bytes(16), protocol: u32 });
for await (const { protocol } of app.ringBuffer('events', { value: event })) {
  const number: number = protocol;
  console.log(number);
}
console.log(inner, Btf, Parsed.parse(new Uint8Array()).maps.size);
// @ts-expect-error keys of this map are no text
flows.get('text');
`;

let project: Project;

beforeAll(() => {
  project = new Project(process.env.SKEP_PACKAGE_PROJECT ?? null);
  project.write('program.mts', PROGRAM);
  project.write('program.cts', `import skep = require('skep');\nconsole.log(skep.ObjectFile);\n`);
}, 60_000);

afterAll(() => {
  project.release();
});

const STRICT = [
  ...['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022'],
  ...['--lib', 'es2022,esnext.disposable', '--types', 'node', '--exactOptionalPropertyTypes'],
];

describe('the declarations', () => {
  it.each([
    ['nodenext', 'nodenext', ['program.mts', 'program.cts']],
    ['bundler', 'esnext', ['program.mts']],
  ])(
    'compile strictly by module resolution %s',
    { timeout: 120_000 },
    (resolution, module, files) => {
      const how = ['--module', module, '--moduleResolution', resolution];
      const { status, stdout } = project.node([TSC, ...STRICT, ...how, ...files]);
      expect([stdout, status]).toEqual(['', 0]);
    },
  );
});
