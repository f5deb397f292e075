import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { programSection, suggestSection } from '../../src/obj/sections.ts';
import { attachTypeName, BPF_ATTACH_TYPE } from '../../src/uapi/attach-types.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';

/** What fixtures/oracle/section-names.c records; its first comment explains the fields. */
interface Recorded {
  readonly names: readonly (readonly [
    name: string,
    byName: readonly [type: number, attachType: number] | null,
    opened: readonly [type: number, attachType: number, autoload: boolean],
  ])[];
  readonly entries: Readonly<
    Record<
      string,
      {
        readonly autoAttach: boolean;
        readonly attachBtf: boolean;
        readonly flags: number;
        readonly attachType: number;
        readonly oldAttachType: number;
      }
    >
  >;
  readonly targets: readonly (readonly [name: string, target: string])[];
}

const recorded: Recorded = JSON.parse(
  readFileSync(new URL('../../fixtures/expected/section-names.json', import.meta.url), 'utf8'),
);

// In libbpf's development version, not in the release that was asked.
const NEWER = [
  'fentry.multi',
  'fentry.multi.s',
  'fexit.multi',
  'fexit.multi.s',
  'fsession.multi',
  'fsession.multi.s',
  'raw_tp.s',
  'raw_tracepoint.s',
  'tp.s',
  'tp_btf.s',
  'tracepoint.s',
];

const BPF_F_SLEEPABLE = 1 << 4;
const BPF_F_XDP_HAS_FRAGS = 1 << 5;

function isNewer(sectionName: string): boolean {
  return NEWER.includes(programSection(sectionName).name ?? '');
}

describe('the type of a program by its section', () => {
  const comparable = recorded.names.filter(([name]) => !isNewer(name));

  it('is what libbpf says of an object with such a section', () => {
    const ours = comparable.map(([name]) => {
      const { type, attachType, autoload } = programSection(name);
      return [name, type, attachType ?? 0, autoload];
    });
    expect(ours.length).toBeGreaterThan(1500);
    expect(ours).toEqual(comparable.map(([name, , opened]) => [name, ...opened]));
  });

  it('is unknown for exactly the names that libbpf does not find', () => {
    // libbpf takes the '?' away when it opens an object, not when it is asked for a name.
    const bare = comparable.filter(([name]) => !name.startsWith('?'));
    const known = bare.filter(([, byName]) => byName !== null).map(([name]) => name);
    expect(known.length).toBeGreaterThan(250);
    expect(bare.map(([name]) => name).filter((name) => programSection(name).name !== null)).toEqual(
      known,
    );
  });

  it('is known for all 116 names of libbpf, of which its release has all but the newest', () => {
    const ours = new Set(recorded.names.map(([name]) => programSection(name).name));
    ours.delete(null);
    expect(ours.size).toBe(116);
    const theirs = new Set(Object.keys(recorded.entries));
    expect([...ours].filter((name) => !theirs.has(name!)).sort()).toEqual(NEWER);
  });

  it('is UNSPEC for an unknown section, with nothing else claimed', () => {
    expect(programSection('unknown/target')).toEqual({
      type: BPF_PROG_TYPE.UNSPEC,
      attachType: null,
      attachTo: null,
      sleepable: false,
      frags: false,
      attachBtf: false,
      attachTypeOptional: false,
      usdt: false,
      autoAttach: false,
      autoload: true,
      name: null,
    });
    expect(programSection('?unknown')).toMatchObject({ type: 0, autoload: false, name: null });
  });
});

describe('how a program is loaded, by its section', () => {
  const entries = Object.entries(recorded.entries).map(([name, theirs]) => ({
    name,
    theirs,
    ours: programSection(name),
  }));

  it('carries the flags that libbpf sends', () => {
    for (const { name, theirs, ours } of entries) {
      expect([name, ours.sleepable, ours.frags]).toEqual([
        name,
        (theirs.flags & BPF_F_SLEEPABLE) !== 0,
        (theirs.flags & BPF_F_XDP_HAS_FRAGS) !== 0,
      ]);
      expect(theirs.flags & ~(BPF_F_SLEEPABLE | BPF_F_XDP_HAS_FRAGS)).toBe(0);
    }
  });

  it('wants a BTF id and can attach by itself where libbpf does', () => {
    const facts = (of: { attachBtf: boolean; autoAttach: boolean }) => [
      of.attachBtf,
      of.autoAttach,
    ];
    expect(entries.map(({ name, ours }) => [name, ...facts(ours)])).toEqual(
      entries.map(({ name, theirs }) => [name, ...facts(theirs)]),
    );
  });

  it('drops the attach type for old kernels where libbpf does', () => {
    // Attach type 0 looks the same sent and dropped.
    const visible = entries.filter(({ theirs }) => theirs.attachType !== 0);
    expect(visible.length).toBeGreaterThan(60);
    expect(visible.map(({ name, ours }) => [name, ours.attachTypeOptional])).toEqual(
      visible.map(({ name, theirs }) => [name, theirs.oldAttachType === 0]),
    );
    expect(programSection('cgroup_skb/ingress').attachTypeOptional).toBe(true);
  });

  it('calls USDT what libbpf turns into uprobe.multi while loading', () => {
    const turned = entries.filter(
      ({ theirs, ours }) => theirs.attachType !== (ours.attachType ?? 0),
    );
    expect(turned.map(({ name }) => name)).toEqual(['usdt', 'usdt.s']);
    expect(entries.filter(({ ours }) => ours.usdt)).toEqual(turned);
    for (const { theirs } of turned) {
      expect(theirs.attachType).toBe(BPF_ATTACH_TYPE.TRACE_UPROBE_MULTI);
    }
  });

  it('tells no attach type from attach type 0', () => {
    const zero = entries.filter(({ ours }) => ours.attachType === 0).map(({ name }) => name);
    expect(zero).toEqual(['cgroup_skb/ingress']);
    expect(programSection('cgroup/skb').attachType).toBeNull();
    expect(programSection('kprobe').attachType).toBeNull();
  });
});

describe('the names newer than the libbpf that was asked', () => {
  it.each(['tracepoint', 'tp', 'raw_tracepoint', 'raw_tp', 'tp_btf'])(
    '%s.s is the sleepable form of the same',
    (name) => {
      expect(programSection(`${name}.s/x`)).toEqual({
        ...programSection(`${name}/x`),
        sleepable: true,
        name: `${name}.s`,
      });
    },
  );

  it.each(['fentry', 'fexit', 'fsession'])('%s.multi takes a pattern, not a BTF id', (name) => {
    const plain = programSection(`${name}.multi/tcp_*`);
    expect(attachTypeName(plain.attachType!)).toBe(`trace_${name}_multi`);
    expect(plain).toMatchObject({
      type: BPF_PROG_TYPE.TRACING,
      attachTo: 'tcp_*',
      attachBtf: false,
      sleepable: false,
    });
    expect(programSection(`${name}.multi.s/tcp_*`)).toEqual({
      ...plain,
      sleepable: true,
      name: `${name}.multi.s`,
    });
  });
});

describe('what a program attaches to, by its section', () => {
  it('is the target that libbpf looks up in the BTF of the kernel', () => {
    expect(recorded.targets.length).toBeGreaterThan(30);
    expect(recorded.targets.map(([name]) => [name, programSection(name).attachTo])).toEqual(
      recorded.targets,
    );
  });

  it.each([
    ['tracepoint/syscalls/sys_enter_openat', 'syscalls/sys_enter_openat'],
    ['?kprobe/vfs_read+0x8', 'vfs_read+0x8'],
    ['uprobe//bin/sh:main', '/bin/sh:main'],
    ['usdt/libc.so.6:libc:setjmp', 'libc.so.6:libc:setjmp'],
  ])('is what follows the first slash: %s', (name, attachTo) => {
    expect(programSection(name).attachTo).toBe(attachTo);
  });

  it.each([
    'tracepoint',
    'tracepoint/',
    '?fentry',
    'xdp',
    'xdp/devmap',
    'tc/ingress',
    'cgroup/bind4',
  ])('is nothing for %s', (name) => {
    const section = programSection(name);
    expect(section.name).not.toBeNull();
    expect(section.attachTo).toBeNull();
  });

  it('is nothing for an unknown section, whatever follows its slash', () => {
    expect(programSection('socket/tail').attachTo).toBeNull();
  });
});

describe("the mark '?'", () => {
  it('only turns automatic loading off', () => {
    for (const name of ['xdp', 'kprobe/vfs_read', 'unknown']) {
      expect(programSection(`?${name}`)).toEqual({ ...programSection(name), autoload: false });
      expect(programSection(name).autoload).toBe(true);
    }
  });

  it('counts once', () => {
    expect(programSection('??xdp').name).toBeNull();
  });
});

describe('the suggestion for an unknown section', () => {
  it.each([
    ['xdpx', 'xdp'],
    ['XDP', 'xdp'],
    ['?kporbe/vfs_read', 'kprobe'],
    ['kprobes/vfs_read', 'kprobe'],
    ['trace_point/syscalls/sys_enter_openat', 'tracepoint'],
    ['xdp/my_program', 'xdp'],
    ['xdp_devmap/my_program', 'xdp/devmap'],
    ['socket/tail', 'socket'],
    ['classifier/ingress', 'classifier'],
    ['tc/ingres', 'tc/ingress'],
    ['cgroup/conect4', 'cgroup/connect4'],
    ['cgroup_skb/ingres', 'cgroup_skb/ingress'],
    ['tp_bft/sched_switch', 'tp_btf'],
  ])('for %s is %s', (name, suggestion) => {
    expect(suggestSection(name)).toBe(suggestion);
  });

  it.each([
    '',
    '?',
    '/',
    'unknown',
    'static',
    'cgroup',
    'cgroup/foo',
    'maps',
    'my/own/section',
    'constructor',
  ])('is nothing where nothing is near: %j', (name) => {
    expect(suggestSection(name)).toBeNull();
  });

  it('is nothing for a known section', () => {
    for (const [name] of recorded.names) {
      if (programSection(name).name !== null) expect(suggestSection(name)).toBeNull();
    }
  });

  it('is always a known name', () => {
    const suggestions = recorded.names.map(([name]) => suggestSection(name)).filter(Boolean);
    expect(suggestions.length).toBeGreaterThan(500);
    for (const name of suggestions) expect(programSection(name!).name).toBe(name);
  });

  it('does not compare a name that is far too long', () => {
    expect(suggestSection('k'.repeat(1_000_000))).toBeNull();
    expect(suggestSection(`kprobe.multy/${'x'.repeat(1_000_000)}`)).toBe('kprobe.multi');
  });
});
