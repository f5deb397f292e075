/** Structs of functions on the running kernel: congestion controls of TCP that it calls. */

import { readFileSync } from 'node:fs';
import { afterEach, expect, it, type TestContext } from 'vitest';
import type { SkepError } from '../../src/errors.ts';
import { type FaultyKernel, withFaults } from '../../src/kernel/faults.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { StructOps } from '../../src/maps/struct-ops.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { Program } from '../../src/programs/program.ts';
import { fixturePath } from '../support/fixtures.ts';
import { bpfDescriptors, describeKernel, isLinux, needsLinux } from '../support/kernel.ts';
import { type OlderKernel, olderKernel } from '../support/older-kernel.ts';
import { hasProgram, output } from '../support/programs.ts';

interface Counters {
  readonly started: number;
  readonly avoided: number;
  readonly largest_window: number;
}

const open = (name: string) => ObjectFile.open(fixturePath(`run/${name}.bpf.o`));
/** Structs that are declared with a link, and do without on kernels that have none. */
const LINKED = isLinux('6.4') ? [] : ['linked', 'nameless'];
const loadControls = (options: LoadOptions<Counters> = {}) => {
  const maps = { ...options.maps };
  for (const name of LINKED) {
    maps[name] = { flags: 0, ...maps[name] };
  }
  return load<Counters>(open('struct-ops'), { ...options, maps });
};
const needsLinks = (context: TestContext) => needsLinux(context, '6.4', 'links of struct_ops');

/** The congestion controls of this fixture that the kernel has. */
function registered(): string[] {
  const path = '/proc/sys/net/ipv4/tcp_available_congestion_control';
  const names = readFileSync(path, 'utf8').trim().split(' ');
  return names.filter((name) => name.startsWith('bpf_skep'));
}

/** Sends a megabyte over a connection with a congestion control, in a network of its own. */
const CONNECTION = `
import socket, sys, threading
listener = socket.create_server(('127.0.0.1', 0))
client = socket.socket()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, sys.argv[1].encode())
client.connect(listener.getsockname())
server, _ = listener.accept()
received = []
def receive():
    while data := server.recv(65536):
        received.append(len(data))
thread = threading.Thread(target=receive)
thread.start()
client.sendall(bytes(1 << 20))
used = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
client.close()
thread.join()
print(used.split(b'\\0')[0].decode(), sum(received))
`;
const connect = (control: string) =>
  output(
    'unshare',
    '-n',
    'sh',
    '-c',
    'ip link set lo up && exec python3 -c "$0" "$1"',
    CONNECTION,
    control,
  ).trim();
const canConnect = ['unshare', 'ip', 'python3'].every(hasProgram);

describeKernel('a struct of functions', () => {
  afterEach(() => {
    expect(registered(), 'congestion controls left').toEqual([]);
  });

  it('is registered while its link is held, and can be again', (context) => {
    needsLinks(context);
    using app = loadControls();
    const struct = app.structOps('linked');
    expect([struct.hasLink, struct.status(), registered()]).toEqual([
      true,
      { state: 'initial', references: 0 },
      [],
    ]);
    const first = struct.register();
    expect([registered(), struct.status().state]).toEqual([['bpf_skep'], 'ready']);
    first.close();
    first.close();
    expect([registered(), first.closed]).toEqual([[], true]);
    expect(() => first.fd).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    using second = struct.register();
    expect([registered(), second.closed]).toEqual([['bpf_skep'], false]);
  });

  it('without a link is registered once, and stays until it is unregistered', () => {
    using app = loadControls();
    const struct = app.structOps('plain');
    expect([struct.hasLink, struct.status().state]).toEqual([false, 'initial']);
    const registration = struct.register();
    expect([registered(), registration.fd, struct.status()]).toEqual([
      ['bpf_skep_plain'],
      null,
      { state: 'registered', references: 1 },
    ]);
    const again = /"plain".*BPF_MAP_UPDATE_ELEM failed with EBUSY \(it was registered before/;
    expect(() => struct.register()).toThrow(again);
    registration.close();
    expect([registered(), struct.status().state]).toEqual([[], 'unregistered']);
    expect(() => struct.register()).toThrow(again);
  });

  it.skipIf(!canConnect)('is called for a connection that asks for it', () => {
    using app = loadControls();
    using _registration = app.structOps('linked').register();
    expect(connect('bpf_skep')).toBe('bpf_skep 1048576');
    const { started, avoided, largest_window } = app.globals;
    expect(started).toBeGreaterThan(0);
    expect(avoided).toBeGreaterThan(0);
    // Segments: TCP starts with 10 (TCP_INIT_CWND).
    expect(largest_window).toBeGreaterThanOrEqual(10);
  });

  it('is unregistered with its handle, and with the object, with a link or without', () => {
    using app = loadControls();
    const [linked, plain] = [app.structOps('linked'), app.structOps('plain')];
    const registrations = [linked.register(), plain.register()];
    expect(registered()).toEqual(['bpf_skep', 'bpf_skep_plain']);
    linked.close();
    expect(registered()).toEqual(['bpf_skep_plain']);
    app.close();
    expect(registered()).toEqual([]);
    expect(registrations.map(({ closed }) => closed)).toEqual([true, true]);
    expect(() => linked.register()).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
  });

  it('that somebody else has unregistered is closed all the same', () => {
    using app = loadControls();
    const registration = app.structOps('plain').register();
    app.maps.get('plain')!.delete(new Uint8Array(4));
    registration.close();
    expect(app.structOps('plain').status().state).toBe('unregistered');
  });

  it('whose name is taken is refused, and nothing is left of the attempt', (context) => {
    needsLinks(context);
    using app = loadControls();
    using other = loadControls();
    using _registration = app.structOps('linked').register();
    const taken = other.structOps('linked');
    expect(() => taken.register()).toThrow(
      /"linked": BPF_LINK_CREATE failed with EEXIST \(a struct with the same name is registered\)/,
    );
    expect(registered()).toEqual(['bpf_skep']);
  });

  it('that the kernel finds incomplete is refused by its name', () => {
    using app = loadControls();
    expect(() => app.structOps('nameless').register()).toThrow(
      /struct of functions "nameless": BPF_MAP_UPDATE_ELEM failed with EINVAL/,
    );
  });

  it('is undone whichever call fails: none is registered or open afterwards', (context) => {
    needsLinks(context);
    const object = open('struct-ops');
    const register = (faulty: FaultyKernel) => {
      const app = load(object, { kernel: faulty.kernel });
      try {
        app.structOps('linked').register();
        app.structOps('plain').register();
        return faulty.calls.filter(({ method }) => method !== 'close').length;
      } finally {
        faulty.reset();
        app.close();
      }
    };
    const before = bpfDescriptors();
    const count = register(withFaults(linuxKernel()));
    expect(count).toBeGreaterThan(15);
    for (let n = 1; n <= count; n += 1) {
      const faulty = withFaults(linuxKernel());
      faulty.failCall(n, 'EIO');
      try {
        // Some calls are made again, and go well then.
        register(faulty);
      } catch (error) {
        // Of the kernel's own types, the load says what it wanted them for.
        const { cause } = error as SkepError;
        const failed = faulty.calls.find(({ fault }) => fault !== undefined)?.method;
        const reason = failed === 'kernelBtf' ? cause : error;
        // Without types of its own, the map is refused.
        const errnoName = failed === 'loadBtf' ? 'EINVAL' : 'EIO';
        expect(reason, failed).toMatchObject({ code: 'ERR_SKEP_SYSCALL', errnoName });
      }
      expect([bpfDescriptors(), registered()], `call ${n}`).toEqual([before, []]);
    }
    for (const method of ['createMap', 'loadProgram', 'update', 'linkStructOps'] as const) {
      const faulty = withFaults(linuxKernel());
      faulty.failEvery(method, 'EPERM');
      expect(() => register(faulty), method).toThrow(/failed with EPERM/);
      expect([bpfDescriptors(), registered()], method).toEqual([before, []]);
    }
  });

  it('whose programs were closed is not registered', () => {
    using app = loadControls();
    app.program('skep_ssthresh').close();
    expect(() => app.structOps('linked').register()).toThrow(/program "skep_ssthresh" is closed/);
  });
});

describeKernel('the programs of structs', () => {
  const names = ({ programs, omitted }: LoadedObject<Counters>) => ({
    programs: [...programs.keys()],
    omitted: omitted.map((each) => ('map' in each ? each.map : each.program)),
  });

  it('are loaded for the structs that are created, and no others', () => {
    using app = loadControls();
    expect(names(app)).toEqual({
      programs: ['skep_init', 'skep_ssthresh', 'skep_cong_avoid', 'skep_undo_cwnd'],
      omitted: ['skep_unused', 'skep_other_avoid', 'optional', 'absent'],
    });
    using plain = loadControls({
      maps: { linked: { create: false }, nameless: { create: false }, optional: { create: true } },
    });
    expect(names(plain)).toEqual({
      programs: ['skep_ssthresh', 'skep_cong_avoid', 'skep_undo_cwnd', 'skep_other_avoid'],
      omitted: ['skep_init', 'skep_unused', 'linked', 'nameless', 'absent'],
    });
    using registration = plain.structOps('optional').register();
    expect([registration.name, registered()]).toEqual(['optional', ['bpf_skep_other']]);
  });

  it('are the members of the struct in the kernel, by their index there', () => {
    using app = loadControls();
    const btf = Btf.parse(linuxKernel().kernelBtf()!);
    const id = btf.find('tcp_congestion_ops', 'struct');
    expect(app.program('skep_ssthresh').info().attachTypeId).toBe(id);
  });

  it('can be exchanged, and other members set, before they are loaded', () => {
    using app = loadControls({
      maps: {
        linked: {
          members: { name: 'bpf_skep_set', cong_avoid: 'skep_other_avoid', init: null, flags: 1 },
        },
      },
    });
    expect([...app.programs.keys()]).not.toContain('skep_init');
    expect([...app.programs.keys()]).toContain('skep_other_avoid');
    using _registration = app.structOps('linked').register();
    expect(registered()).toEqual(['bpf_skep_set']);
  });

  it('are verified as one function each, which they are in every struct', () => {
    const members = { ssthresh: 'skep_undo_cwnd', undo_cwnd: 'skep_ssthresh' };
    expect(() => loadControls({ maps: { linked: { members } } })).toThrow(
      'program "skep_ssthresh" is a function of struct "plain", and another function of struct "linked"; write one program for each',
    );
  });

  it('of a section with a "?" are loaded on kernels that know no such names of sections', () => {
    const { kernel, given } = olderKernel(linuxKernel(), ['section names with ?']);
    loadControls({ kernel }).close();
    const sections = ({ types }: OlderKernel['given'][number]) =>
      types.idsOfKind('datasec').map((id) => types.nameOf(id));
    expect(sections(given[0]!)).toContain('?.struct_ops');
    expect(given.at(-1)!.taken).toBe(true);
    expect(sections(given.at(-1)!)).toEqual(
      sections(given[0]!).map((name) => name.replace('?', '_')),
    );
  });
});

describeKernel('a struct of functions in the kernel inside the process', () => {
  it('is refused, also if that has the types of this kernel', () => {
    const kernel = new MemoryKernel({ kernelBtf: linuxKernel().kernelBtf() });
    expect(() => loadControls({ kernel })).toThrow(
      /struct of functions "plain": BPF_MAP_CREATE failed with EINVAL/,
    );
    expect(kernel.openDescriptors()).toEqual([]);
  });
});

describeKernel('a struct of functions with members that the kernel does not have', () => {
  it('is created if they are zero, and refused if not, with nothing left', (context) => {
    needsLinks(context);
    const absent = { create: true } as const;
    expect(() => loadControls({ maps: { absent } })).toThrow(
      expect.objectContaining<Partial<SkepError>>({
        code: 'ERR_SKEP_LOAD',
        message:
          'map "absent", member "skep_absent": struct tcp_congestion_ops of this kernel has no such member; leave it out, or set it to null by the option maps.absent.members.skep_absent',
      }),
    );
    using app = loadControls({ maps: { absent: { ...absent, members: { skep_absent: null } } } });
    using _registration = app.structOps('absent').register();
    expect(registered()).toEqual(['bpf_skep_absent']);
    const members = { skep_absent_number: 1 };
    expect(() => loadControls({ maps: { optional: { create: true, members } } })).toThrow(
      /member "skep_absent_number": .* set it to zeros by the option maps\.optional\.members/,
    );
  });
});

/** The kernel's value of a struct, with names in the place of the programs' ids. */
function namedValue(map: RawMap, functions: readonly number[]): (string | number)[] {
  const bytes = map.get(new Uint8Array(4))!;
  const view = new DataView(bytes.buffer);
  const value: (string | number)[] = [...bytes];
  for (const offset of functions) {
    const id = view.getUint32(offset, true);
    let name = '';
    if (id !== 0) {
      using program = Program.openById(id);
      name = program.name;
    }
    value.fill(name, offset, offset + 8);
  }
  return value;
}

describeKernel('the value of a struct', () => {
  it.skipIf(!hasProgram('bpftool'))('is what bpftool, by libbpf, writes', () => {
    const object = open('struct-ops-plain');
    const btf = Btf.parse(linuxKernel().kernelBtf()!);
    const struct = btf.type(btf.find('tcp_congestion_ops', 'struct'));
    const members = struct.kind === 'struct' ? struct.members : [];
    // struct bpf_struct_ops_tcp_congestion_ops has the struct at 64.
    const functions = ['ssthresh', 'cong_avoid', 'undo_cwnd', 'release'].map(
      (name) => 64 + members.find((member) => member.name === name)!.bitOffset / 8,
    );

    output('bpftool', 'struct_ops', 'register', object.file);
    const listed = JSON.parse(output('bpftool', '-j', 'struct_ops', 'list')) as {
      readonly id: number;
      readonly name: string;
    }[];
    const { id } = listed.find(({ name }) => name === 'skep_plain')!;
    let wanted: unknown;
    try {
      using map = RawMap.openById(id);
      wanted = namedValue(map, functions);
    } finally {
      output('bpftool', 'struct_ops', 'unregister', 'id', String(id));
    }

    using app = load(object);
    using _registration = app.structOps('skep_plain').register();
    const value = namedValue(app.maps.get('skep_plain')!, functions);
    expect(value).toEqual(wanted);
    expect(value).toContain('plain_release');
  });

  it('has the flags of links if the options say so', (context) => {
    needsLinks(context);
    using app = load(open('struct-ops-plain'), { maps: { skep_plain: { flags: 0x2000 } } });
    const struct = app.structOps('skep_plain');
    using registration = struct.register();
    expect([struct.hasLink, registration.fd]).toEqual([true, expect.any(Number)]);
  });

  it('has a handle if it was created', () => {
    using app = loadControls();
    expect(() => app.structOps('optional')).toThrow(
      new RangeError(
        'no struct of functions "optional" was created; there is plain, linked, nameless',
      ),
    );
    expect(() => app.map('linked', StructOps)).toThrow(/opened by structOps\(name\) of a loaded/);
  });
});
