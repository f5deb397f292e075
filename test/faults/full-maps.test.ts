/** Loads whose slots or contents do not fit into their maps: the error says which map, and nothing is left. */

import { expect, it } from 'vitest';
import { SkepError } from '../../src/errors.ts';
import { type Call, withFaults } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import type { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernels, type Place } from '../support/kernels.ts';
import { pinStates, removePins } from './pin-state.ts';

/** What there is, seen from outside. */
function traces(place: Place): unknown {
  return [place.openDescriptors(), pinStates(place)];
}

/** The error of a load, which has left all as it was. */
function refusalOf(place: Place, path: string, options: LoadOptions): SkepError {
  const before = traces(place);
  try {
    load(ObjectFile.open(fixturePath(path)), { kernel: place.kernel, ...options }).close();
  } catch (error) {
    expect(error).toBeInstanceOf(SkepError);
    expect(traces(place)).toEqual(before);
    return error as SkepError;
  }
  throw new Error('the load succeeded');
}

/** A kernel on which somebody else puts maps into a map of maps, just before its slots are filled. */
function withIntruder(kernel: Kernel, keys: readonly number[]): Kernel {
  const faulty = withFaults(kernel);
  faulty.before = (method: Call['method'], args) => {
    const [fd, , values] = args as [number, Uint8Array, Uint8Array];
    const isFilling = method === 'updateBatch' || method === 'update';
    if (!isFilling || kernel.mapInfo(fd).name !== 'tenants') {
      return;
    }
    faulty.before = () => {};
    for (const number of keys) {
      const key = new Uint8Array(4);
      new DataView(key.buffer).setUint32(0, number, kernel.littleEndian);
      // Any map like the inner template will do: the one for the first slot.
      kernel.update(fd, key, values.slice(0, 4), 0);
    }
  };
  return faulty.kernel;
}

describeKernels('slots and contents for which a map has no room', (place) => {
  it.each<[string, string, LoadOptions, RegExp]>([
    [
      'a hash of maps',
      'objects/demo.bpf.o',
      { maps: { tenants: { maxEntries: 1 } } },
      /^map "tenants" has room for 1 entries, but its initial values need 2$/,
    ],
    [
      'an array of maps',
      'objects/nested/slots-64.bpf.o',
      { maps: { shards: { maxEntries: 63 } } },
      /^map "shards" has room for 63 entries, but its initial values need 64$/,
    ],
    [
      'an array of programs',
      'run/stages.bpf.o',
      { maps: { stages: { maxEntries: 1 } } },
      /^slot \d+ of map "stages".* does not exist: it has 1/,
    ],
  ])('are told of before any call: %s', (_, path, options, message) => {
    const faulty = withFaults(place.kernel);
    expect(refusalOf(place, path, { ...options, kernel: faulty.kernel }).message).toMatch(message);
    expect(faulty.calls).toEqual([]);
  });

  it('as others have filled it meanwhile, are refused by the kernel', () => {
    const options = {
      programs: false,
      pinAll: true,
      pinDirectory: `${place.directory}/app`,
    } as const;
    const maps = { tenants: { maxEntries: 2 } };
    // One of two slots finds room: what was put in before goes with the map.
    for (const keys of [[7], [7, 8]]) {
      const kernel = withIntruder(place.kernel, keys);
      const { message } = refusalOf(place, 'objects/demo.bpf.o', { ...options, maps, kernel });
      expect(message).toMatch(
        /^the initial values of map "tenants": BPF_MAP_UPDATE_(BATCH|ELEM) failed with E2BIG \(the map is full/,
      );
    }
  });

  it('are no matter for a map at its pin that is full of others: it stays as it is', () => {
    const options = {
      kernel: place.kernel,
      programs: false,
      pinDirectory: place.directory,
      pinAll: true,
      maps: { tenants: { maxEntries: 2 } },
    } as const;
    const open = () => load(ObjectFile.open(fixturePath('objects/demo.bpf.o')), options);
    {
      using app = open();
      using tenants = app.map('tenants', HashOfMaps<number, HashMap<number, bigint>>);
      using one = tenants.get(1);
      tenants.delete(0);
      tenants.set(7, one!);
    }
    const before = pinStates(place);
    open().close();
    expect(pinStates(place)).toEqual(before);
    removePins(place);
  });
});
