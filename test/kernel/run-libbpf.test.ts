/**
 * Programs as libbpf loads them, which bpftool is made with: the kernel gives both the same tag, a hash of
 * the instructions that it was given (all but descriptors of maps), and compares nothing itself.
 */

import { expect, it } from 'vitest';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, needsLinux, pinDirectory } from '../support/kernel.ts';
import { hasProgram, output } from '../support/programs.ts';

/** Objects that bpftool of Debian 12 (libbpf 1.1) loads whole, by what there is to them. */
const OBJECTS: readonly [what: string, object: string][] = [
  ['maps and global data', 'run/packets'],
  ['maps of maps', 'run/tenants'],
  ['CO-RE', 'objects/programs/core'],
  ['options of the kernel', 'run/options'],
  ['options, symbols and functions of the kernel', 'objects/programs/linking'],
  ['references of all forms', 'objects/programs/relocations'],
  ['subprograms', 'objects/programs/subprograms'],
  ['several programs in a section', 'objects/programs/several-per-section'],
  ['constants', 'objects/data/strings'],
  ['the version of a kernel', 'objects/programs/version'],
];

describeKernel('programs with', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool')).for(OBJECTS)(
    '%s are given to the kernel as libbpf gives them: %s',
    ([, name], context) => {
      if (name === 'objects/programs/linking') {
        needsLinux(context, '6.2', 'bpf_rcu_read_lock');
      }
      const path = fixturePath(`${name}.bpf.o`);
      const directory = `${pins.path}/libbpf`;
      output('bpftool', 'prog', 'loadall', path, directory);
      using app = load(ObjectFile.open(path));
      expect(app.programs.size).toBeGreaterThan(0);
      for (const [program, handle] of app.programs) {
        const shown = output('bpftool', 'prog', 'show', 'pinned', `${directory}/${program}`, '-j');
        const { type, tag } = JSON.parse(shown);
        const info = handle.info();
        expect({ program, type: info.typeName, tag: info.tag }).toEqual({ program, type, tag });
      }
    },
  );
});
