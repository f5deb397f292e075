/** Arrays of `char` that hold no text. */

import { describe, expect, it } from 'vitest';
import { load } from '../../src/loader/load.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { openMap } from '../../src/maps/open-map.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { openFixture } from '../support/fixtures.ts';

const RAW = Uint8Array.of(1, 0, 2, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3);

describe('an array of char', () => {
  const object = openFixture('maps/flavour-keys');
  const [name] = [...object.maps.keys()].filter((each) => /(^|_)text$/.test(each)) as [string];

  it('is text up to the first NUL, or all its bytes where the caller wants them', () => {
    using app = load(object, { kernel: new MemoryKernel() });
    const asBytes = app.map(name, HashMap<Uint8Array, unknown>, { characters: 'bytes' });
    asBytes.set(RAW, 0);
    expect([...asBytes.keys()]).toEqual([RAW]);
    expect([...app.map(name, HashMap<string, unknown>).keys()]).toEqual(['\x01']);
  });

  it('is either by the types of the kernel, too', () => {
    const kernel = new MemoryKernel();
    using app = load(object, { kernel });
    const map = app.maps.get(name)!;
    map.pin('/sys/fs/bpf/text');
    app.map(name, HashMap).set(RAW, 0);
    using asText = HashMap.openPinned('/sys/fs/bpf/text', undefined, { kernel });
    expect([...asText.keys()]).toEqual(['\x01']);
    const options = { kernel, characters: 'bytes' } as const;
    using asBytes = HashMap.openPinned('/sys/fs/bpf/text', undefined, options);
    expect([...asBytes.keys()]).toEqual([RAW]);
    using found = openMap('/sys/fs/bpf/text', options) as HashMap<unknown, unknown>;
    expect([...found.keys()]).toEqual([RAW]);
  });
});
