/** Maps of maps in a process without CAP_SYS_ADMIN, on both kernels. */

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { ROOT } from '../cli/skep.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';

/** Bits of `CapEff` (linux/capability.h). */
const CAP_SYS_ADMIN = 21n;
const CAP_BPF = 39n;

/** What skep says of an inner map that somebody else has put in. */
const REFUSAL =
  /^map "tenants", inner map with id \d+: BPF_MAP_GET_FD_BY_ID failed with EPERM \(needs CAP_SYS_ADMIN, since somebody else put that map in; .*keys\(\) and ids\(\) work without/;

const hasSetpriv = spawnSync('setpriv', ['--version']).error === undefined;
if (!hasSetpriv) {
  console.warn('TESTS WITHOUT CAP_SYS_ADMIN ARE SKIPPED: there is no setpriv (util-linux)');
}

/** Runs a script that prints JSON, as root with all privileges but CAP_SYS_ADMIN. */
function withoutAdmin(script: string): unknown {
  const prelude = `
    import fs from 'node:fs';
    import { load, ObjectFile, hasCode } from '${ROOT}/dist/index.js';
    import { HashMap } from '${ROOT}/dist/maps/hash-map.js';
    import { ArrayOfMaps } from '${ROOT}/dist/maps/array-of-maps.js';
    import { HashOfMaps } from '${ROOT}/dist/maps/hash-of-maps.js';
    import { u32, u64 } from '${ROOT}/dist/codec/numbers.js';
    const inner = { kind: HashMap, key: u32, value: u64, maxEntries: 4 };
    const outcome = (call) => {
      try { return call(); } catch (error) { return error.message; }
    };
    const print = (value) => console.log(JSON.stringify(value, (_, part) =>
      typeof part === 'bigint' ? Number(part) : part));`;
  const child = spawnSync(
    'setpriv',
    [
      '--bounding-set=-sys_admin',
      '--inh-caps=-sys_admin',
      process.execPath,
      '--input-type=module',
      '--eval',
      `${prelude}\n${script}`,
    ],
    { encoding: 'utf8', timeout: 60_000 },
  );
  expect(child.stderr).toBe('');
  return JSON.parse(child.stdout);
}

describeKernel('without CAP_SYS_ADMIN', () => {
  const directory = pinDirectory();

  it.skipIf(!hasSetpriv)('the child process has CAP_BPF, and not CAP_SYS_ADMIN', () => {
    const capabilities = withoutAdmin(
      "print(/CapEff:\\t(\\w+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);",
    );
    const bits = BigInt(`0x${String(capabilities)}`);
    expect([(bits >> CAP_SYS_ADMIN) & 1n, (bits >> CAP_BPF) & 1n]).toEqual([0n, 1n]);
  });

  it.skipIf(!hasSetpriv)('inner maps that the handle has put in are read back', () => {
    const printed = withoutAdmin(`
      const tenants = HashOfMaps.create({ key: u32, inner, maxEntries: 8 });
      const created = tenants.createInner();
      created.set(1, 10n);
      tenants.set(1, created);
      created.close();
      const shards = ArrayOfMaps.create({ inner, maxEntries: 8 });
      shards.setAll([2, 3].map((slot) => [slot, tenants.get(1)]));
      print([
        tenants.get(1).snapshot(),
        [...tenants].map(([key, map]) => [key, map.snapshot()]),
        [...shards].map(([slot, map]) => [slot, map.snapshot()]),
        shards.createInner({ maxEntries: 9 }).info().maxEntries,
      ]);`);
    const entries = [[1, 10]];
    expect(printed).toEqual([
      entries,
      [[1, entries]],
      [
        [2, entries],
        [3, entries],
      ],
      9,
    ]);
  });

  it.skipIf(!hasSetpriv)('inner maps are read back as long as they are in a slot', () => {
    const printed = withoutAdmin(`
      const tenants = HashOfMaps.create({ key: u32, inner, maxEntries: 8 });
      const [one, two] = [tenants.createInner(), tenants.createInner()];
      two.set(2, 20n);
      tenants.set(1, one).set(2, one).set(3, one).set(3, two).set(3, two);
      tenants.delete(1);
      // What is set during a walk counts, not what the walk has read ahead.
      for (const _ of tenants.ids()) tenants.set(2, two).set(3, one);
      one.close();
      two.close();
      print([tenants.get(2).snapshot(), tenants.get(3).snapshot()]);`);
    expect(printed).toEqual([[[2, 20]], []]);
  });

  it.skipIf(!hasSetpriv)('inner maps that the load has put in are read back', () => {
    const printed = withoutAdmin(`
      const object = ObjectFile.open('${fixturePath('objects/nested/hash-of-maps.bpf.o')}');
      const app = load(object);
      app.map('left', HashMap).set(5, 50n);
      const outer = app.map('outer', HashOfMaps);
      print([outer.get(1).snapshot(), outer.get(3).snapshot()]);`);
    expect(printed).toEqual([[[5, 50]], []]);
  });

  it.skipIf(!hasSetpriv)('others are refused, with what is missing and what works', () => {
    const path = `${directory.path}/tenants`;
    using tenants = HashOfMaps.create({
      key: u32,
      inner: { kind: HashMap, key: u32, value: u64, maxEntries: 4 },
      maxEntries: 8,
      name: 'tenants',
    });
    using theirs = tenants.createInner();
    tenants.set(1, theirs).set(2, theirs);
    tenants.pin(path);
    const printed = withoutAdmin(`
      const tenants = HashOfMaps.openPinned('${path}', { key: u32, inner });
      const refused = [() => tenants.get(1), () => [...tenants], () => tenants.createInner()];
      const messages = refused.map(outcome);
      const own = HashMap.create(inner);
      own.set(2, 20n);
      tenants.set(2, own);
      print([messages, [...tenants.keys()].sort(), tenants.has(1), [...tenants.ids()].length,
        tenants.get(2).snapshot(), tenants.createInner().info().maxEntries]);`);
    const message = expect.stringMatching(REFUSAL);
    expect(printed).toEqual([[message, message, message], [1, 2], true, 2, [[2, 20]], 4]);
  });
});

describe('without CAP_SYS_ADMIN (memory)', () => {
  const inner = { kind: HashMap, key: u32, value: u64, maxEntries: 4 } as const;

  /** What a handle that a test gets in passing holds, and its end. */
  function contents(map: HashMap<number, bigint> | undefined): [number, bigint][] | undefined {
    using open = map;
    return open?.snapshot();
  }

  it('inner maps that the handle has put in are read back, as long as they are in a slot', () => {
    const kernel = new MemoryKernel({ capabilities: ['CAP_BPF'] });
    const tenants = HashOfMaps.create({ key: u32, inner, maxEntries: 8, kernel });
    const [one, two] = [tenants.createInner(), tenants.createInner()];
    two.set(2, 20n);
    tenants.set(1, one).set(2, one).set(3, one).set(3, two).set(3, two);
    tenants.delete(1);
    // What is set during a walk counts, not what the walk has read ahead.
    for (const _ of tenants.ids()) tenants.set(2, two).set(3, one);
    one.close();
    two.close();
    expect([contents(tenants.get(2)), contents(tenants.get(3))]).toEqual([[[2, 20n]], []]);
    const shards = ArrayOfMaps.create({ inner, maxEntries: 8, kernel });
    const again = tenants.get(2)!;
    shards.setAll([2, 3].map((slot) => [slot, again]));
    again.close();
    expect(Array.from(shards, ([slot, map]) => [slot, contents(map)])).toEqual([
      [2, [[2, 20n]]],
      [3, [[2, 20n]]],
    ]);
    const made = shards.createInner({ maxEntries: 9 });
    expect(made.info().maxEntries).toBe(9);
    for (const map of [made, tenants, shards]) {
      map.close();
    }
    expect([kernel.openDescriptors(), kernel.mapIds()]).toEqual([[], []]);
  });

  it('inner maps that the load has put in are read back', () => {
    const kernel = new MemoryKernel({ capabilities: ['CAP_BPF'] });
    using app = load(openFixture('nested/hash-of-maps'), { kernel });
    app.map('left', HashMap<number, bigint>).set(5, 50n);
    const outer = app.map('outer', HashOfMaps<number, HashMap<number, bigint>>);
    expect([contents(outer.get(1)), contents(outer.get(3))]).toEqual([[[5, 50n]], []]);
  });

  it('others are refused, with what is missing and what works', () => {
    const owner = new MemoryKernel();
    const path = '/sys/fs/bpf/tenants';
    const all = { key: u32, inner, maxEntries: 8, name: 'tenants', kernel: owner };
    using theirTenants = HashOfMaps.create(all);
    using theirs = theirTenants.createInner();
    theirTenants.set(1, theirs).set(2, theirs).pin(path);
    const kernel = owner.process({ capabilities: ['CAP_BPF'] });
    using tenants = HashOfMaps.openPinned(path, { key: u32, inner }, { kernel });
    for (const refused of [() => tenants.get(1), () => [...tenants], () => tenants.createInner()]) {
      expect(refused).toThrow(REFUSAL);
    }
    using own = HashMap.create({ ...inner, kernel });
    own.set(2, 20n);
    tenants.set(2, own);
    using made = tenants.createInner();
    expect([
      [...tenants.keys()].sort(),
      tenants.has(1),
      [...tenants.ids()].length,
      contents(tenants.get(2)),
      made.info().maxEntries,
    ]).toEqual([[1, 2], true, 2, [[2, 20n]], 4]);
  });
});
