/** The loader against a scripted kernel: what it calls in which order, and what it leaves. */

import { describe, expect, it } from 'vitest';
import { PinMismatchError, type SkepError, SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { load } from '../../src/loader/load.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { shapeOf } from '../../src/loader/shapes.ts';
import type { RawMap } from '../../src/maps/raw-map.ts';
import { openFixture } from '../support/fixtures.ts';
import { olderKernel } from '../support/older-kernel.ts';
import { type Call, ScriptedKernel } from '../support/scripted-kernel.ts';

const DIRECTORY = '/sys/fs/bpf/app';

/** Its maps alone: programs have tests of their own. */
function loadDemo(kernel: Kernel, options: LoadOptions = {}) {
  const defaults = { kernel, pinDirectory: DIRECTORY, pinAll: true, programs: false } as const;
  return load(openFixture('demo'), { ...defaults, ...options });
}

/** What a load may not leave behind: descriptors, pins, directories. */
function left(kernel: ScriptedKernel) {
  return {
    descriptors: [...kernel.descriptors.keys()],
    pins: [...kernel.pins.keys()],
    directories: [...kernel.directories],
  };
}

const NOTHING = { descriptors: [], pins: [], directories: ['/sys/fs/bpf'] };

describe('the order of a load', () => {
  it('opens each pin before it creates, and creates the template just before its outer map', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    const order = kernel.calls
      .filter(([method]) =>
        ['createMap', 'openPinnedMap', 'pin', 'updateBatch', 'freeze', 'loadBtf'].includes(method),
      )
      .map(([method, first, second]) => {
        if (method === 'createMap') return `create ${first}`;
        if (method === 'openPinnedMap') return `open ${first}`;
        return method === 'pin' ? `pin ${second}` : method;
      });
    const regular = (name: string, ...between: string[]) => [
      `open ${DIRECTORY}/${name}`,
      ...between,
      `create ${name}`,
      `pin ${DIRECTORY}/${name}`,
    ];
    expect(order).toEqual([
      ...regular('tenant_zero', 'loadBtf'),
      ...regular('tenant_one'),
      ...regular('flows'),
      ...regular('events'),
      'create demo.rodata',
      'freeze',
      'create demo.bss',
      `open ${DIRECTORY}/tenants`,
      'create tenants.inner',
      'create tenants',
      'updateBatch',
      `pin ${DIRECTORY}/tenants`,
    ]);
  });

  it('closes the template right after the outer map is created', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    const at = kernel.calls.findIndex(
      ([method, name]) => method === 'createMap' && name === 'tenants',
    );
    const template = (kernel.calls[at]![2] as { innerMapFd: number }).innerMapFd;
    expect(kernel.calls[at + 1]).toEqual(['close', template]);
  });

  it('creates nothing at all for maps that are pinned already', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    kernel.calls.length = 0;
    const maps = { '.rodata': { create: false }, '.bss': { create: false } };
    loadDemo(kernel, { maps }).close();
    expect(new Set(kernel.methods)).toEqual(
      // The last two look at an inner map, to compare it with the template.
      new Set(['openPinnedMap', 'mapInfo', 'nextKey', 'lookup', 'openMapById']),
    );
  });

  it('fills slots with the inner maps of this load, whichever is declared first', () => {
    const kernel = new ScriptedKernel();
    const app = load(openFixture('nested/linked'), { kernel });
    const outer = app.maps.get('linked_outer')!;
    const inner = app.maps.get('linked_inner')!;
    const value = outer.get(Uint8Array.of(2, 0, 0, 0))!;
    expect(new DataView(value.buffer).getUint32(0, true)).toBe(kernel.idOf(inner.fd));
    app.close();
    expect(left(kernel)).toEqual(NOTHING);
  });

  it('fills slots one by one where the kernel has no batches', () => {
    const kernel = new ScriptedKernel();
    kernel.hasBatches = false;
    const app = load(openFixture('nested/slots-64'), { kernel });
    expect(kernel.methods.filter((method) => method === 'update')).toHaveLength(64);
    app.close();
  });

  it('reports each step as it is done', () => {
    const kernel = new ScriptedKernel();
    const events: string[] = [];
    loadDemo(kernel, {
      onStep: ({ step, outcome }) => events.push(`${step.step} ${outcome}`),
    }).close();
    expect(events.slice(0, 4)).toEqual([
      'open-pin absent',
      'load-btf done',
      'create done',
      'pin done',
    ]);
    expect(events.slice(-6)).toEqual([
      'open-pin absent',
      'create-template done',
      'create done',
      'close-template done',
      'fill done',
      'pin done',
    ]);
  });
});

describe('a load that fails', () => {
  const failable = countCalls();

  it('makes enough calls for the next test to mean something', () => {
    expect(failable).toBeGreaterThan(20);
  });

  it.each(Array.from({ length: failable }, (_, index) => index))(
    'leaves nothing when call %i is refused',
    (index) => {
      const kernel = new ScriptedKernel();
      let refused: Call | undefined;
      kernel.fail = (call, at) => {
        if (at === index) refused = call;
        // A map is tried again without its types: that has to fail as well.
        const isRetry =
          call[0] === 'createMap' && refused?.[0] === 'createMap' && call[1] === refused[1];
        return at === index || isRetry ? 'EIO' : undefined;
      };
      if (['loadBtf', 'openMapById'].includes(String(callAt(index)[0]))) {
        // A load goes on without BTF; and it does not look inside maps that it has just made.
        loadDemo(kernel).close();
        return;
      }
      expect(() => loadDemo(kernel)).toThrow(SyscallError);
      expect(refused).toBeDefined();
      expect(left(kernel)).toEqual(NOTHING);
    },
  );

  it('leaves the pins of maps that were there before', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    const before = [...kernel.pins];
    kernel.fail = ([method, name]) =>
      method === 'createMap' && name === 'demo.bss' ? 'ENOMEM' : undefined;
    expect(() => loadDemo(kernel)).toThrow(/ENOMEM/);
    expect([...kernel.pins]).toEqual(before);
    expect(kernel.descriptors.size).toBe(0);
  });

  it('leaves nothing when the caller throws from onStep', () => {
    const kernel = new ScriptedKernel();
    let count = 0;
    const onStep = () => {
      count += 1;
      if (count === 9) throw new Error('stop here');
    };
    expect(() => loadDemo(kernel, { onStep })).toThrow('stop here');
    expect(left(kernel)).toEqual(NOTHING);
  });

  function countCalls(): number {
    return recordCalls().length;
  }

  function callAt(index: number): Call {
    return recordCalls()[index]!;
  }

  function recordCalls(): Call[] {
    const kernel = new ScriptedKernel();
    const calls: Call[] = [];
    kernel.fail = (call) => {
      calls.push(call);
      return undefined;
    };
    loadDemo(kernel).close();
    return calls;
  }
});

describe('a pin that exists', () => {
  it.each(['EPERM', 'EACCES', 'EINVAL'])('is never created over after %s', (errno) => {
    const kernel = new ScriptedKernel();
    kernel.fail = ([method]) => (method === 'openPinnedMap' ? errno : undefined);
    expect(() => loadDemo(kernel)).toThrow(new RegExp(errno));
    expect(kernel.methods).not.toContain('createMap');
    expect(left(kernel)).toEqual(NOTHING);
  });

  it('is refused with every field in which it differs', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    const flows = kernel.pins.get(`${DIRECTORY}/flows`)!;
    kernel.pins.delete(`${DIRECTORY}/flows`);
    kernel.pinAsOther(`${DIRECTORY}/flows`, {
      ...flows.attributes,
      keySize: 12,
      maxEntries: 5,
      flags: 1,
    });
    const error = caught(() => loadDemo(kernel));
    expect(error).toBeInstanceOf(PinMismatchError);
    expect((error as PinMismatchError).differences).toEqual([
      { field: 'keySize', wanted: '16', found: '12' },
      { field: 'maxEntries', wanted: '10240', found: '5' },
      { field: 'flags', wanted: 'none', found: 'NO_PREALLOC' },
    ]);
    expect((error as SkepError).message).toContain(`${DIRECTORY}/flows`);
    expect(kernel.descriptors.size).toBe(0);
  });

  it('of a map of maps is refused if its inner maps are not like the template', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    const outer = kernel.pins.get(`${DIRECTORY}/tenants`)!;
    const inner = kernel.pins.get(`${DIRECTORY}/tenant_zero`)!;
    kernel.pinAsOther(`${DIRECTORY}/other`, { ...inner.attributes, valueSize: 16 });
    const other = kernel.pins.get(`${DIRECTORY}/other`)!;
    outer.entries.clear();
    outer.entries.set('7,0,0,0', Uint8Array.of(other.id, 0, 0, 0));
    const error = caught(() => loadDemo(kernel));
    expect((error as PinMismatchError).differences).toEqual([
      { field: 'inner.valueSize', wanted: '8', found: '16' },
    ]);
  });

  it('of a map of maps is taken if no inner map may be looked at', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    kernel.fail = ([method]) => (method === 'openMapById' ? 'EPERM' : undefined);
    loadDemo(kernel).close();
    expect(kernel.descriptors.size).toBe(0);
  });

  it('keeps its slots', () => {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    kernel.calls.length = 0;
    loadDemo(kernel).close();
    expect(kernel.methods).not.toContain('updateBatch');
  });
});

describe('a race for a pin', () => {
  const other = `${DIRECTORY}/tenant_zero`;

  it('is lost gracefully: the winner is checked, used, and put into the slots', () => {
    const kernel = new ScriptedKernel();
    const shape = attributesOf('tenant_zero');
    kernel.before = ([method, , path]) => {
      if (method === 'pin' && path === other && !kernel.pins.has(other)) {
        kernel.pinAsOther(other, shape);
      }
    };
    const app = loadDemo(kernel);
    const winner = kernel.pins.get(other)!;
    expect(kernel.idOf(app.maps.get('tenant_zero')!.fd)).toBe(winner.id);
    const slot = app.maps.get('tenants')!.get(new Uint8Array(4))!;
    expect(new DataView(slot.buffer).getUint32(0, true)).toBe(winner.id);
    app.close();
    expect(kernel.descriptors.size).toBe(0);
  });

  it('ends with our own pin if the winner is gone when we look', () => {
    const kernel = new ScriptedKernel();
    const shape = attributesOf('tenant_zero');
    let rounds = 0;
    kernel.before = ([method, first, second]) => {
      if (method === 'pin' && second === other && rounds === 0) {
        rounds += 1;
        kernel.pinAsOther(other, shape);
      } else if (method === 'openPinnedMap' && first === other && rounds === 1) {
        rounds += 1;
        kernel.pins.delete(other);
      }
    };
    const app = loadDemo(kernel);
    expect(rounds).toBe(2);
    expect(kernel.pins.get(other)!.id).toBe(kernel.idOf(app.maps.get('tenant_zero')!.fd));
    // The map created first was kept for the second try.
    expect(
      kernel.calls.filter(([method, name]) => method === 'createMap' && name === 'tenant_zero'),
    ).toHaveLength(1);
    app.close();
  });

  it('for a directory is tried again when a load that failed has removed it', () => {
    const kernel = new ScriptedKernel();
    let removed = false;
    kernel.before = ([method]) => {
      if (method === 'pin' && !removed) {
        removed = true;
        kernel.directories.delete(DIRECTORY);
      }
    };
    kernel.fail = ([method, , path]) =>
      method === 'pin' && !kernel.directories.has(String(path).replace(/\/[^/]*$/, ''))
        ? 'ENOENT'
        : undefined;
    loadDemo(kernel).close();
    expect(removed).toBe(true);
    expect(kernel.pins.size).toBe(5);
  });

  it('that nobody wins ends in an error and not in a loop', () => {
    const kernel = new ScriptedKernel();
    kernel.fail = ([method]) =>
      method === 'pin' ? 'EEXIST' : method === 'openPinnedMap' ? 'ENOENT' : undefined;
    expect(() => loadDemo(kernel)).toThrow(/made and removed a pin/);
    expect(left(kernel)).toEqual(NOTHING);
  });

  it('is an error if the winner does not match', () => {
    const kernel = new ScriptedKernel();
    const shape = { ...attributesOf('tenant_zero'), maxEntries: 1 };
    kernel.before = ([method, , path]) => {
      if (method === 'pin' && path === other) kernel.pinAsOther(other, shape);
    };
    expect(() => loadDemo(kernel)).toThrow(PinMismatchError);
    expect(kernel.descriptors.size).toBe(0);
    expect([...kernel.pins.keys()]).toEqual([other]);
  });

  function attributesOf(name: string) {
    const kernel = new ScriptedKernel();
    loadDemo(kernel).close();
    return kernel.pins.get(`${DIRECTORY}/${name}`)!.attributes;
  }
});

describe('options', () => {
  it('override entries and flags, and the path of a pin', () => {
    const kernel = new ScriptedKernel();
    const app = loadDemo(kernel, {
      pinAll: false,
      maps: {
        flows: { maxEntries: 7, flags: 1, pin: '/sys/fs/bpf/elsewhere/f' },
        tenants: { pin: false },
      },
    });
    expect([...kernel.pins.keys()]).toEqual(['/sys/fs/bpf/elsewhere/f']);
    expect(app.maps.get('flows')!.info()).toMatchObject({ maxEntries: 7, flags: 1 });
    expect(app.maps.get('flows')!.pinPath).toBe('/sys/fs/bpf/elsewhere/f');
    app.close();
  });

  it('leave a map out', () => {
    const kernel = new ScriptedKernel();
    const app = loadDemo(kernel, { maps: { events: { create: false } } });
    expect(app.maps.has('events')).toBe(false);
    expect(app.omitted).toEqual([{ map: 'events', reason: 'left out by the options' }]);
    app.close();
  });

  it("replace a map by a handle, which stays the caller's", () => {
    const kernel = new ScriptedKernel();
    const first = loadDemo(kernel);
    const own = first.maps.get('flows')!;
    kernel.calls.length = 0;
    const second = loadDemo(kernel, { maps: { flows: { replace: own } } });
    expect(second.maps.get('flows')!.info().id).toBe(own.info().id);
    expect(
      kernel.calls.some(
        ([method, path]) => method === 'openPinnedMap' && String(path).endsWith('/flows'),
      ),
    ).toBe(false);
    second.close();
    expect(own.closed).toBe(false);
    expect(own.info().maxEntries).toBe(10240);
    first.close();
    expect(kernel.descriptors.size).toBe(0);
  });

  it('refuse a replacement that does not match', () => {
    const kernel = new ScriptedKernel();
    const first = loadDemo(kernel);
    const replace = first.maps.get('events')!;
    const error = caught(() =>
      loadDemo(kernel, { pinDirectory: '/sys/fs/bpf/b', maps: { flows: { replace } } }),
    );
    expect(error).toBeInstanceOf(PinMismatchError);
    expect((error as Error).message).toContain('the handle "events"');
    first.close();
  });

  it.each<[string, LoadOptions, RegExp]>([
    ['an unknown option', { pinDir: '/x' } as LoadOptions, /pinDir/],
    [
      'an unknown map',
      { maps: { flow: {} } },
      /no map "flow" \(did you mean "flows"\?\); it has .*flows/,
    ],
    ['an unknown map option', { maps: { flows: { maxEntry: 1 } } } as LoadOptions, /maxEntry/],
    ['a negative number of entries', { maps: { flows: { maxEntries: -1 } } }, /maxEntries/],
    ['a fraction of flags', { maps: { flows: { flags: 0.5 } } }, /flags/],
    ['something else than a handle', { maps: { flows: { replace: {} as RawMap } } }, /handle/],
    [
      'a map that is left out and pinned',
      { maps: { flows: { create: false, pin: '/sys/fs/bpf/x' } } },
      /left out|not created/,
    ],
    ['something else than a kernel', { kernel: {} as ScriptedKernel }, /kernel: expected a Kernel/],
    ['several entries for a data section', { maps: { '.rodata': { maxEntries: 2 } } }, /one entry/],
  ])('refuse %s with a TypeError', (_, options, message) => {
    const kernel = new ScriptedKernel();
    const error = caught(() => loadDemo(kernel, options));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(message);
    expect(kernel.calls).toEqual([]);
  });

  it.each<[string, LoadOptions, RegExp]>([
    [
      'a path with a dot',
      { maps: { flows: { pin: '/sys/fs/bpf/a.b/c' } } },
      /dot in "a\.b".*"a_b"/,
    ],
    ['a relative path', { maps: { flows: { pin: 'flows' } } }, /relative/],
    [
      'two maps at one path, spelled otherwise',
      { maps: { flows: { pin: `${DIRECTORY}//x/../events` } } },
      /cannot both/,
    ],
    ['two maps at one path', { maps: { flows: { pin: `${DIRECTORY}/events` } } }, /cannot both/],
  ])('refuse %s before anything is done', (_, options, message) => {
    const kernel = new ScriptedKernel();
    const error = caught(() => loadDemo(kernel, options));
    expect(error).toMatchObject({ code: 'ERR_SKEP_PIN_PATH' });
    expect((error as Error).message).toMatch(message);
    expect(kernel.calls).toEqual([]);
  });

  it('say how to mount a BPF file system where there is none', () => {
    const kernel = new ScriptedKernel();
    kernel.fileSystem = () => 'other';
    const error = caught(() => loadDemo(kernel));
    expect((error as Error).message).toContain('mount -t bpf bpf /sys/fs/bpf');
    expect(kernel.descriptors.size).toBe(0);
  });
});

describe('what cannot be loaded', () => {
  it.each([
    ['demo.eb', /big-endian/],
    ['nested/no-inner-definition', /without an inner definition/],
    ['nested/slot-beyond-size', /initial values need/],
    ['legacy/extra-non-zero', /behind the fields of a legacy definition/],
  ])('%s is refused before anything is done', (name, message) => {
    const kernel = new ScriptedKernel();
    const error = caught(() => load(openFixture(name), { kernel }));
    expect(error).toMatchObject({ code: 'ERR_SKEP_LOAD' });
    expect((error as Error).message).toMatch(message);
    expect(kernel.calls).toEqual([]);
  });
});

describe('what a machine decides', () => {
  it('is filled in when a map is created: CPUs, pages', () => {
    const kernel = new ScriptedKernel();
    const app = load(openFixture('maps/perf-per-cpu'), { kernel });
    for (const map of app.maps.values()) {
      expect(map.info().maxEntries).toBeGreaterThan(0);
    }
    app.close();
    const rings = load(openFixture('maps/ringbuf-rounded'), { kernel });
    for (const map of rings.maps.values()) {
      expect(Math.log2(map.info().maxEntries) % 1).toBe(0);
    }
    rings.close();
  });

  it('includes whether BTF is taken: without it maps are created without types', () => {
    const kernel = new ScriptedKernel();
    kernel.fail = ([method]) => (method === 'loadBtf' ? 'EINVAL' : undefined);
    const reasons: (string | undefined)[] = [];
    const app = loadDemo(kernel, {
      onStep: ({ step, outcome, reason }) => {
        if (step.step === 'load-btf') reasons.push(outcome, reason);
      },
    });
    expect(reasons[0]).toBe('refused');
    expect(reasons[1]).toContain('EINVAL');
    expect(app.maps.get('flows')!.info().btfId).toBe(0);
    app.close();
  });

  it('includes which BTF is taken: older kernels get older kinds of type', () => {
    const scripted = new ScriptedKernel();
    const { kernel, given } = olderKernel(scripted, ['global functions', 'float']);
    const app = loadDemo(kernel);
    expect(given[0]!.taken).toBe(false);
    expect(given.at(-1)!.taken).toBe(true);
    expect(app.maps.get('flows')!.info().btfId).not.toBe(0);
    app.close();
    expect(scripted.descriptors.size).toBe(0);
  });

  it('includes whether data can be mapped: without that the flag is left out, and said', () => {
    const kernel = new ScriptedKernel();
    const MMAPABLE = 0x400;
    kernel.fail = ([method, , attributes]) =>
      method === 'createMap' && ((attributes as { flags: number }).flags & MMAPABLE) !== 0
        ? 'EINVAL'
        : undefined;
    const reasons: string[] = [];
    const pin = '/sys/fs/bpf/data';
    const options: LoadOptions = {
      maps: { '.bss': { pin } },
      onStep: ({ reason }) => {
        if (reason !== undefined) reasons.push(reason);
      },
    };
    const first = loadDemo(kernel, options);
    expect(first.maps.get('.bss')!.info().flags & MMAPABLE).toBe(0);
    expect(reasons[0]).toMatch(/made without its memory mapping, which the kernel refused/);
    first.close();
    // And the map that was made so is found again.
    loadDemo(kernel, options).close();
    expect(kernel.descriptors.size).toBe(0);
  });

  it('includes the entries of lists per CPU, which the kernel rounds up', () => {
    const kernel = new ScriptedKernel();
    const app = loadDemo(kernel, { maps: { flows: { maxEntries: 1001 } } });
    expect(app.maps.get('flows')!.info().maxEntries).toBe(1001);
    app.close();
    const definition = {
      ...openFixture('demo').maps.get('flows')!,
      typeNumber: 9,
      flags: 2,
      maxEntries: 1001,
    };
    expect(shapeOf(definition, kernel).maxEntries).toBe(1002);
  });

  it('says what an inner map lacks that does not fit its slot', () => {
    const kernel = new ScriptedKernel();
    kernel.fail = ([method]) =>
      method === 'updateBatch' || method === 'update' ? 'EINVAL' : undefined;
    const error = caught(() => load(openFixture('nested/inner-mismatch'), { kernel }));
    expect((error as Error).message).toMatch(
      /^the initial values of map "outer": .* EINVAL \(slot 0, map "narrow", is not like the inner template: \w+: wanted/,
    );
    expect(left(kernel)).toEqual(NOTHING);
  });

  it('retries without types, then without a name that old kernels do not take', () => {
    const kernel = new ScriptedKernel();
    kernel.fail = (call) => {
      const attributes = call[2] as { btf: unknown; name: string };
      return call[0] === 'createMap' && (attributes.btf !== null || attributes.name !== '')
        ? 'EINVAL'
        : undefined;
    };
    const app = loadDemo(kernel, {
      pinAll: false,
      maps: { flows: { pin: false }, tenants: { pin: false } },
    });
    const tries = kernel.calls
      .filter(([method]) => method === 'createMap')
      .map(([, name, attributes]) => [name, (attributes as { btf: unknown }).btf !== null]);
    expect(tries.slice(0, 3)).toEqual([
      ['tenant_zero', true],
      ['tenant_zero', false],
      ['', false],
    ]);
    app.close();
  });
});

function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('it did not throw');
}
