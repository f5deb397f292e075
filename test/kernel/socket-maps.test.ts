/** Maps of sockets, and storage of sockets, on the running kernel. */

import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { expect, expectTypeOf, it } from 'vitest';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { load } from '../../src/loader/load.ts';
import { ReusePortSockArray } from '../../src/maps/reuse-port-sock-array.ts';
import { SkStorage } from '../../src/maps/sk-storage.ts';
import { SockHash } from '../../src/maps/sock-hash.ts';
import { SockMap } from '../../src/maps/sock-map.ts';
import { openFixture } from '../support/fixtures.ts';
import { ForeignProcess } from '../support/foreign-fd.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { loadProgram, type TestProgram } from '../support/program.ts';
import { hasProgram, output } from '../support/programs.ts';

const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });
const PACKET = new Uint8Array(60);

/** TCP connections to a server of this process. */
class Connections {
  readonly server: Server = createServer();
  readonly #sockets: Socket[] = [];

  static async open(): Promise<Connections> {
    const connections = new Connections();
    connections.server.listen(0, '127.0.0.1');
    await once(connections.server, 'listening');
    return connections;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Both ends of a new connection. */
  async connect(): Promise<{ readonly client: Socket; readonly accepted: Socket }> {
    const client = connect(this.port, '127.0.0.1');
    const [[accepted]] = await Promise.all([
      once(this.server, 'connection') as Promise<[Socket]>,
      once(client, 'connect'),
    ]);
    this.#sockets.push(client, accepted);
    return { client, accepted };
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.server.close();
  }
}

async function boundSocket(): Promise<DatagramSocket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** The cookie of a TCP socket, as ss shows it. */
function cookieOf(socket: Socket): bigint {
  const { localPort, remotePort } = socket;
  const filter = [
    'state',
    'established',
    'sport',
    '=',
    `:${localPort}`,
    'dport',
    '=',
    `:${remotePort}`,
  ];
  const line = output('ss', '-Hntae', ...filter);
  return BigInt(`0x${/ sk:([0-9a-f]+)/.exec(line)![1]}`);
}

describeKernel('a map of sockets', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool')).each([
    ['sockmap', () => SockMap.create({ maxEntries: 4 })],
    ['sockhash', () => SockHash.create({ key: u32, maxEntries: 4 })],
  ] as const)('has sockets that programs find: %s', async (_, create) => {
    using sockets = create();
    const path = `${pins.path}/sockets`;
    sockets.pin(path);
    using program = loadProgram('sockets', pins.path, { sockets: path });
    using connections = await Connections.open();
    const { accepted, client } = await connections.connect();
    expect(program.run({ packet: PACKET })).toBe(0);
    expect(sockets.set(1, accepted)).toBe(sockets);
    expect(program.run({ packet: PACKET })).toBe(connections.port);
    sockets.set(1, client);
    expect(program.run({ packet: PACKET })).toBe(client.localPort);
    expect([sockets.delete(1), sockets.delete(1)]).toEqual([true, false]);
    expect(program.run({ packet: PACKET })).toBe(0);
  });

  it.skipIf(!hasProgram('bpftool'))('is what programs redirect data by', async () => {
    const path = `${pins.path}/sockets`;
    using sockets = SockMap.create({ maxEntries: 4, name: 'sockets' });
    sockets.pin(path);
    using program = loadProgram('stream-redirect', pins.path, { sockets: path });
    attach(program, path);
    using connections = await Connections.open();
    const [from, to] = [await connections.connect(), await connections.connect()];
    sockets.set(0, from.accepted).set(1, to.accepted);
    from.client.write('by the kernel alone');
    // It never comes to this process's other end of that connection.
    const [data] = (await once(to.client, 'data')) as [Buffer];
    expect(data.toString()).toBe('by the kernel alone');
    expect(from.accepted.bytesRead).toBe(0);
  });

  it.skipIf(!hasProgram('ss')).each([
    ['sockmap', () => SockMap.create({ maxEntries: 4 })],
    ['sockhash', () => SockHash.create({ key: u32, maxEntries: 4 })],
  ] as const)('tells the cookies of its sockets: %s', async (_, create) => {
    using sockets = create();
    using connections = await Connections.open();
    const { client, accepted } = await connections.connect();
    sockets.set(3, client).set(0, accepted);
    const cookies = [cookieOf(accepted), cookieOf(client)];
    expect([sockets.get(0), sockets.get(3), sockets.get(1)]).toEqual([...cookies, undefined]);
    expect(new Map(sockets)).toEqual(
      new Map([
        [0, cookies[0]],
        [3, cookies[1]],
      ]),
    );
    expect(new Set(sockets.keys())).toEqual(new Set([0, 3]));
    expect([sockets.has(3), sockets.has(1), sockets.count()]).toEqual([true, false, 2]);
    // A socket that is closed is taken out.
    client.destroy();
    await once(client, 'close');
    expect(sockets.has(3)).toBe(false);
    expect([sockets.clear(), sockets.count()]).toEqual([1, 0]);
  });

  it('takes sockets of TCP and UDP, as objects and as descriptors', async () => {
    using sockets = SockMap.create({ maxEntries: 8 });
    using connections = await Connections.open();
    const { client } = await connections.connect();
    const datagrams = await boundSocket();
    const { fd } = (client as unknown as { _handle: { fd: number } })._handle;
    sockets.set(0, client).set(1, connections.server).set(2, datagrams).set(3, fd).set(4, { fd });
    expect([...sockets.keys()]).toEqual([0, 1, 2, 3, 4]);
    expect(sockets.get(3)).toBe(sockets.get(0));
    expect(new Set(sockets.values()).size).toBe(3);
    datagrams.close();
  });

  it('takes sockets only, and only open ones', async () => {
    using sockets = SockMap.create({ maxEntries: 2 });
    using hash = SockHash.create({ key: u32, maxEntries: 1 });
    using connections = await Connections.open();
    const { client, accepted } = await connections.connect();
    expect(() => sockets.set(0, createServer())).toThrow(/the socket is not open/);
    const datagrams = createSocket('udp4');
    expect(() => sockets.set(0, datagrams)).toThrow(/the socket is not open/);
    datagrams.close();
    expect(() => sockets.set(0, sockets)).toThrow(/ENOTSOCK \(the descriptor is no socket\)/);
    expect(() => sockets.set(0, 'tcp' as never)).toThrow(/the file descriptor of a socket/);
    sockets.set(0, client);
    expect(() => sockets.set(0, accepted, { mode: 'noexist' })).toThrow(/EEXIST/);
    expect(() => sockets.set(1, accepted, { mode: 'exist' })).toThrow(/ENOENT/);
    expect(() => sockets.set(2, accepted)).toThrow(/E2BIG/);
    hash.set(1, client);
    expect(() => hash.set(2, accepted)).toThrow(/E2BIG/);
    expect([sockets.delete(2), hash.delete(2)]).toEqual([false, false]);
  });

  it('tells nothing if it has no room for cookies', async () => {
    using sockets = SockMap.create({ maxEntries: 2, cookies: false });
    using connections = await Connections.open();
    const { client } = await connections.connect();
    sockets.set(0, client);
    const silent = /values of 4 bytes, so the kernel does not tell which sockets are inside/;
    expect(() => sockets.get(0)).toThrow(silent);
    expect(() => sockets.count()).toThrow(silent);
    expect([sockets.delete(0), sockets.delete(0)]).toEqual([true, false]);
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    using arrays = load(openFixture('types/sockmap'));
    using hashes = load(openFixture('types/sockhash'));
    const array = arrays.map('sockmap_map', SockMap);
    const hash = hashes.map('sockhash_map', SockHash<number>);
    expectTypeOf(hash.get).returns.toEqualTypeOf<bigint | undefined>();
    expectTypeOf(hash.delete).parameters.toEqualTypeOf<[number]>();
    array.pin(`${pins.path}/array`);
    hash.pin(`${pins.path}/hash`);
    using pinned = SockMap.openPinned(`${pins.path}/array`);
    using pinnedHash = SockHash.openPinned(`${pins.path}/hash`, { key: u32 });
    using byId = SockMap.openById(array.info().id);
    using hashById = SockHash.openById(hash.info().id, { key: u32 });
    for (const map of [pinned, pinnedHash, byId, hashById, array, hash]) {
      expect(map.get(1)).toBeUndefined();
    }
    // Nobody keeps the type of its keys.
    using bytes = SockHash.openPinned(`${pins.path}/hash`);
    expect(bytes.get(new Uint8Array(4))).toBeUndefined();
    expect(() => SockHash.openPinned(`${pins.path}/hash`, { key: u64 })).toThrow(/keys have 4/);
    expect(() => SockMap.openPinned(`${pins.path}/hash`)).toThrow(
      /is a sockhash; SockMap is for sockmap/,
    );
  });

  it.each([
    ['sockmap', () => SockMap.create({ maxEntries: 4 })],
    ['sockhash', () => SockHash.create({ key: u32, maxEntries: 4 })],
    ['reuseport_sockarray', () => ReusePortSockArray.create({ maxEntries: 4 })],
  ] as const)('refuses every call after close: %s', (_, create) => {
    const sockets = create();
    sockets.close();
    for (const call of [
      () => sockets.get(0),
      () => sockets.has(0),
      () => sockets.set(0, createServer()),
      () => sockets.delete(0),
      () => sockets.clear(),
      () => sockets.entries().next(),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});

function attach(program: TestProgram, map: string): void {
  const pin = `${map}-program`;
  linuxKernel().pin(program.fd, pin);
  output('bpftool', 'prog', 'attach', 'pinned', pin, 'sk_skb_stream_verdict', 'pinned', map);
}

describeKernel('a group of sockets that share a port', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool') || !hasProgram('python3'))(
    'is what a program chooses from',
    async () => {
      const path = `${pins.path}/sockets`;
      using sockets = ReusePortSockArray.create({ maxEntries: 4, name: 'sockets' });
      sockets.pin(path);
      using program = loadProgram('choose-socket', pins.path, { sockets: path });
      using foreign = new ForeignProcess(
        `
SO_ATTACH_REUSEPORT_EBPF = 52
group = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for each in group:
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
group[0].bind(('127.0.0.1', 0))
group[0].setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, 4)
group[1].bind(group[0].getsockname())
for each in group:
    send_socket(each.fileno(), 'dgram.Socket', dgramType='udp4')
`,
        [program.fd],
      );
      const group = [
        await foreign.socket<DatagramSocket>(),
        await foreign.socket<DatagramSocket>(),
      ] as const;
      expect(sockets.set(0, group[0]).set(1, group[1])).toBe(sockets);
      expect(typeof sockets.get(0)).toBe('bigint');
      expect([...sockets.keys()]).toEqual([0, 1]);
      const arrived: string[] = [];
      group.forEach((socket, index) => {
        socket.on('message', (data) => arrived.push(`${index} ${data}`));
      });
      const { port } = group[0].address();
      // From many ports: without the program they would be spread by their hash.
      const senders = Array.from({ length: 8 }, () => createSocket('udp4'));
      for (const [index, sender] of senders.entries()) {
        sender.send(`${index}`, port, '127.0.0.1');
      }
      while (arrived.length < senders.length) {
        await Promise.race(group.map((socket) => once(socket, 'message')));
      }
      expect(arrived.sort()).toEqual(senders.map((_, index) => `1 ${index}`));
      for (const socket of [...senders, ...group]) {
        socket.close();
      }
      expect([sockets.clear(), sockets.count()]).toEqual([2, 0]);
    },
  );

  it('takes only sockets that share a port', async () => {
    using sockets = ReusePortSockArray.create({ maxEntries: 2 });
    expect(sockets.length).toBe(2);
    using connections = await Connections.open();
    expect(() => sockets.set(0, connections.server)).toThrow(
      /EINVAL \(the socket must have SO_REUSEPORT/,
    );
    expect(() => sockets.set(0, sockets)).toThrow(/ENOTSOCK/);
    expect(sockets.delete(0)).toBe(false);
    expect(() => sockets.delete(2)).toThrow(/E2BIG/);
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    using app = load(openFixture('types/reuseport_sockarray'));
    const sockets = app.map('reuseport_sockarray_map', ReusePortSockArray);
    const path = `${pins.path}/sockets`;
    sockets.pin(path);
    using pinned = ReusePortSockArray.openPinned(path);
    using byId = ReusePortSockArray.openById(sockets.info().id);
    expect([pinned.length, byId.length]).toEqual([sockets.length, sockets.length]);
    expect(() => SockMap.openPinned(path)).toThrow(/is a reuseport_sockarray; SockMap is for/);
  });
});

describeKernel('storage of sockets', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool'))('has the values that programs see', async () => {
    const [socketsPath, marksPath] = [`${pins.path}/sockets`, `${pins.path}/marks`];
    using marks = SkStorage.create({ value: u64, name: 'marks' });
    expectTypeOf(marks).toEqualTypeOf<SkStorage<bigint>>();
    marks.pin(marksPath);
    using sockets = SockMap.create({ maxEntries: 4 });
    sockets.pin(socketsPath);
    using program = loadProgram('sockets', pins.path, { sockets: socketsPath, marks: marksPath });
    using connections = await Connections.open();
    const { client } = await connections.connect();
    sockets.set(1, client);
    program.run({ packet: PACKET });
    expect(marks.get(client)).toBeUndefined();
    expect(marks.set(client, 41n)).toBe(marks);
    program.run({ packet: PACKET });
    expect(marks.get(client)).toBe(42n);
  });

  it('has a value per socket', async () => {
    using marks = SkStorage.create({ value: u32 });
    using connections = await Connections.open();
    const [one, two] = [await connections.connect(), await connections.connect()];
    const datagrams = await boundSocket();
    marks.set(one.client, 1).set(two.client, 2).set(datagrams, 3).set(connections.server, 4);
    expect(
      [one.client, two.client, datagrams, connections.server].map((s) => marks.get(s)),
    ).toEqual([1, 2, 3, 4]);
    expect([marks.has(one.client), marks.has(one.accepted)]).toEqual([true, false]);
    expect(() => marks.set(one.client, 5, { mode: 'noexist' })).toThrow(/EEXIST/);
    expect(() => marks.set(one.accepted, 5, { mode: 'exist' })).toThrow(/ENOENT/);
    expect(() => marks.set(one.client, 2 ** 32)).toThrow(/expected u32/);
    expect([marks.delete(one.client), marks.delete(one.client)]).toEqual([true, false]);
    expect([marks.get(one.client), marks.get(two.client)]).toEqual([undefined, 2]);
    datagrams.close();
  });

  it('is of sockets only', () => {
    using marks = SkStorage.create({ value: u32 });
    expect(() => marks.get(marks)).toThrow(/ENOTSOCK/);
    expect(() => marks.get(0x7fff_ffff)).toThrow(/EBADF/);
    expect(() => marks.get(createServer())).toThrow(/the socket is not open/);
  });

  it('has those of its object, and is opened from its pin and by its id', async () => {
    using app = load(openFixture('types/sk_storage'));
    const marks = app.map('sk_storage_map', SkStorage<bigint>);
    const path = `${pins.path}/marks`;
    marks.pin(path);
    using connections = await Connections.open();
    marks.set(connections.server, 7n);
    using pinned = SkStorage.openPinned(path, { value: u64 });
    using live = SkStorage.openPinned(path);
    using byId = SkStorage.openById(marks.info().id);
    for (const map of [pinned, live, byId]) {
      expect(map.get(connections.server)).toBe(7n);
    }
    expect(() => SkStorage.openPinned(path, { value: u32 })).toThrow(/values have 8 bytes/);
    expect(() => SockMap.openPinned(path)).toThrow(/is a sk_storage; SockMap is for sockmap/);
  });

  it('refuses every call after close', () => {
    const marks = SkStorage.create({ value: u32 });
    marks.close();
    const server = createServer();
    for (const call of [
      () => marks.get(server),
      () => marks.has(server),
      () => marks.set(server, 1),
      () => marks.delete(server),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});
