/** Places where pins cannot be made, or are of something else: what a load says, and leaves alone. */

import { mkdtempSync, readdirSync, rmdirSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SkepError } from '../../src/errors.ts';
import { withFaults } from '../../src/kernel/faults.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels, type Place } from '../support/kernels.ts';
import { output } from '../support/programs.ts';
import { comparableStates, pinStates } from './pin-state.ts';

/** The error of a load of the demo. */
function refusalOf(options: LoadOptions): SkepError {
  try {
    load(openFixture('demo'), { programs: false, ...options }).close();
  } catch (error) {
    expect(error).toBeInstanceOf(SkepError);
    return error as SkepError;
  }
  throw new Error('the load succeeded');
}

/** Calls `use` with a BPF file system of its own. */
function withMount(use: (directory: string) => void): void {
  const mounted = mkdtempSync(join(tmpdir(), 'skep-mount-'));
  output('mount', '-t', 'bpf', 'bpf', mounted);
  try {
    use(mounted);
  } finally {
    output('umount', mounted);
    rmdirSync(mounted);
  }
}

/** What skep may have made: some kernels put iterators there, whose names have dots. */
function ownNames(directory: string): string[] {
  return readdirSync(directory).filter((name) => !name.includes('.'));
}

const PINNED = { pinAll: true, programs: false } as const;

describeKernel('a BPF file system that is mounted read-only', () => {
  it.each([
    ['pins', '', 'map "tenant_zero", .*BPF_OBJ_PIN'],
    ['directories', '/app/maps', 'map "tenant_zero", .*mkdir'],
  ])('takes no %s: the error says how to change that', (_, below, call) => {
    withMount((mounted) => {
      output('mount', '-o', 'remount,ro', mounted);
      const error = refusalOf({ pinDirectory: `${mounted}${below}`, pinAll: true });
      expect(error.message).toMatch(
        new RegExp(`^${call} failed with EROFS \\(.*read-only: mount -o remount,rw, or pin else`),
      );
      expect(ownNames(mounted)).toEqual([]);
    });
  });

  it('opens no map for writing either, and keeps those that it has', () => {
    withMount((pins) => {
      load(openFixture('demo'), { ...PINNED, pinDirectory: pins }).close();
      const names = ownNames(pins);
      output('mount', '-o', 'remount,ro', pins);
      expect(refusalOf({ ...PINNED, pinDirectory: pins }).message).toMatch(
        /^map "tenant_zero", .*BPF_OBJ_GET failed with EROFS \(.*read-only.*remount,rw\)/,
      );
      expect(ownNames(pins)).toEqual(names);
      output('mount', '-o', 'remount,rw', pins);
      load(openFixture('demo'), { ...PINNED, pinDirectory: pins }).close();
      for (const name of names) {
        unlinkSync(`${pins}/${name}`);
      }
    });
  });
});

describeKernel('a place that is none for pins', () => {
  const pins = pinDirectory();

  it('is another file system, also behind a symbolic link: the remedy is told, nothing is made', () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'skep-elsewhere-'));
    symlinkSync(elsewhere, `${pins.path}/link`);
    for (const directory of [elsewhere, `${elsewhere}/new`, `${pins.path}/link`]) {
      const error = refusalOf({ pinDirectory: directory, pinAll: true });
      expect(error.code).toBe('ERR_SKEP_PIN_PATH');
      expect(error.message).toMatch(/does not lie on a BPF file system.*mount -t bpf bpf/);
    }
    expect(readdirSync(elsewhere)).toEqual([]);
    rmdirSync(elsewhere);
  });

  it('is a symbolic link that leads nowhere: it is left alone, and told of', () => {
    symlinkSync('/sys/fs/bpf/nowhere/at-all', `${pins.path}/flows`);
    const error = refusalOf({ pinDirectory: pins.path, pinAll: true });
    expect(error.message).toMatch(/map "flows" could not be pinned at .*flows: .*symbolic link/);
    expect(readdirSync(pins.path)).toEqual(['flows']);
  });
});

describeKernels('a path that is taken', (place) => {
  /** The error, and that all is as before. */
  function refusedAt(options: LoadOptions): SkepError {
    const before = pinStates(place);
    const error = refusalOf({ pinDirectory: place.directory, kernel: place.kernel, ...options });
    expect(pinStates(place)).toEqual(before);
    return error;
  }

  it('by a directory, is an error that says so', () => {
    place.makeDirectory(`${place.directory}/flows`);
    expect(refusedAt(PINNED).message).toMatch(
      /^map "flows", .*\/flows: BPF_OBJ_GET failed with EACCES \(.*no pin but a directory\)/,
    );
  });

  it('by a program, is an error that says so', () => {
    const path = `${place.directory}/flows`;
    pinProgram(place, path);
    expect(refusedAt(PINNED).message).toMatch(
      /^map "flows", .*\/flows: BPF_OBJ_GET failed with EINVAL \(it is no map but a bpf-prog\)/,
    );
  });

  it('by another map, is an error with each difference', () => {
    const maps = { tenant_one: { pin: `${place.directory}/flows` } };
    load(openFixture('demo'), {
      kernel: place.kernel,
      programs: false,
      pinDirectory: `${place.directory}/other`,
      maps,
    }).close();
    const error = refusedAt(PINNED);
    expect(error.code).toBe('ERR_SKEP_PIN_MISMATCH');
    expect(error.message).toMatch(/map "flows".*keySize: wanted 16, found 2/);
  });

  it.each(['map', 'directory'])(
    'by a %s, is no place for a program, which replaces programs only',
    (kind) => {
      const path = `${place.directory}/taken`;
      if (kind === 'directory') {
        place.makeDirectory(path);
      } else {
        load(openFixture('demo'), {
          kernel: place.kernel,
          programs: false,
          pinDirectory: `${place.directory}/other`,
          maps: { flows: { pin: path } },
        }).close();
      }
      const error = refusedAt({
        pinDirectory: `${place.directory}/fresh`,
        programs: { count_packets: { pin: path } },
        replacePrograms: true,
      });
      expect(error.message).toMatch(
        /^program "count_packets", pin .*EEXIST \(what is there is no program/,
      );
    },
  );
});

/** A program of the fixture with three, at a path. */
function pinProgram({ kernel }: Place, path: string): void {
  const object = ObjectFile.open(fixturePath('run/stages.bpf.o'));
  load(object, { kernel, programs: { ten: { pin: path } } }).close();
}

describeKernels('programs that replace those at their pins', (place) => {
  const stages = (options: LoadOptions) =>
    load(ObjectFile.open(fixturePath('run/stages.bpf.o')), {
      kernel: place.kernel,
      pinPrograms: place.directory,
      ...options,
    });

  it('are at the pins afterwards, and the others are gone', () => {
    using first = stages({});
    expect(() => stages({})).toThrow(/EEXIST.*replacePrograms/);
    const before = comparableStates(place);
    using second = stages({ replacePrograms: true });
    expect([...comparableStates(place).keys()]).toEqual([...before.keys()]);
    for (const [name, program] of second.programs) {
      const fd = place.kernel.openPinnedProgram(`${place.directory}/${name}`);
      expect(place.kernel.programInfo(fd).id, name).toBe(program.info().id);
      place.kernel.close(fd);
      expect(first.program(name).info().id, name).not.toBe(program.info().id);
    }
  });

  it('are taken back by those that were there, when the load fails after all', () => {
    stages({}).close();
    const before = pinStates(place);
    const faulty = withFaults(place.kernel);
    // The last of three pins.
    faulty.failEvery('makeDirectory', 'EIO');
    const pin = `${place.directory}/new/twenty`;
    const options = { replacePrograms: true, programs: { enter: { pin } }, kernel: faulty.kernel };
    expect(() => stages(options)).toThrow(/program "enter", .*EIO/);
    expect(faulty.calls.filter(({ method, error }) => method === 'pin' && !error).length).toBe(4);
    expect(pinStates(place)).toEqual(before);
  });
});

describeKernels('slots for which a map has no room', (place) => {
  it('are told of before any call', () => {
    const faulty = withFaults(place.kernel);
    const error = refusalOf({ kernel: faulty.kernel, maps: { tenants: { maxEntries: 1 } } });
    expect(error.message).toMatch(/map "tenants" has room for 1 entries.*need 2/);
    expect(faulty.calls).toEqual([]);
  });
});
