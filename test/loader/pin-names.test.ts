/** Objects that name their maps and programs so that a pin would lie somewhere else than it was told to. */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { load, plan } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { fixturePath } from '../support/fixtures.ts';

const DIRECTORY = '/sys/fs/bpf/app';

/** An object of fixtures/ with another name in place of this one; it is not longer. */
function renamed(from: string, to: string): ObjectFile {
  const bytes = readFileSync(fixturePath('objects/demo.bpf.o'));
  const wanted = Buffer.from(`\0${from}\0`);
  let count = 0;
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
    bytes.fill(0, at + 1, at + 1 + from.length);
    bytes.write(to, at + 1);
    count += 1;
  }
  expect(count).toBeGreaterThan(0);
  return ObjectFile.parse(bytes);
}

/** What a refused pin says. */
const REFUSED = expect.objectContaining({
  code: 'ERR_SKEP_PIN_PATH',
  message: expect.stringContaining('which is no name of a file; give a path of its own'),
});

it.each(['../xx', 'a/bcd', './xxx', '..', '.', '/etc/', '/'])(
  'a map called %j is not pinned by its name, and nothing is created',
  (name) => {
    const object = renamed('flows', name);
    const kernel = new MemoryKernel();
    kernel.makeDirectory(DIRECTORY);
    const options = { kernel, pinDirectory: DIRECTORY, programs: false } as const;
    expect(() => plan(object, options)).toThrow(REFUSED);
    expect(() => load(object, options)).toThrow(REFUSED);
    expect(kernel.paths()).toEqual([DIRECTORY]);
    expect([kernel.mapIds(), kernel.openDescriptors()]).toEqual([[], []]);
  },
);

it('such a map can be pinned at a path that the caller gives, or not at all', () => {
  const object = renamed('flows', '../xx');
  for (const [pin, paths] of [
    [`${DIRECTORY}/flows`, [DIRECTORY, `${DIRECTORY}/flows`, `${DIRECTORY}/tenants`]],
    [false, [DIRECTORY, `${DIRECTORY}/tenants`]],
  ] as const) {
    const kernel = new MemoryKernel();
    kernel.makeDirectory(DIRECTORY);
    const maps = { '../xx': { pin } };
    using app = load(object, { kernel, pinDirectory: DIRECTORY, programs: false, maps });
    expect(app.maps.has('../xx')).toBe(true);
    expect(kernel.paths()).toEqual(paths);
  }
});

it.each(['../xx', 'a/b'])('a program called %j is not pinned by its name', (name) => {
  const object = renamed('count_packets', name);
  const options = { kernel: new MemoryKernel(), pinPrograms: DIRECTORY };
  expect(() => plan(object, options)).toThrow(REFUSED);
});
