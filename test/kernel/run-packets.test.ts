/** Packets through programs of an object: what comes back from test runs, and what the maps hold then. */

import { describe, expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import type { ContextInput } from '../../src/programs/context-codec.ts';
import type { TestRunOptions } from '../../src/programs/test-run.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';

const XDP_DROP = 1;
const XDP_PASS = 2;
const XDP_TX = 3;
const TO = [1, 2, 3, 4, 5, 6];
const FROM = [11, 12, 13, 14, 15, 16];

/** An Ethernet frame. */
function frame(protocol: readonly [number, number], length = 64): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([...TO, ...FROM, ...protocol]);
  return bytes;
}

const IPV4 = [8, 0] as const;
const ARP = [8, 6] as const;

function loadPackets(options: LoadOptions = {}): LoadedObject {
  return load(ObjectFile.open(fixturePath('run/packets.bpf.o')), options);
}

/** The kernel's error for a call, which has to be one. */
function refusal(call: () => unknown): SyscallError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(SyscallError);
    return error as SyscallError;
  }
  throw new Error('it was not refused');
}

describeKernel('a packet through an XDP program', () => {
  it('is counted and passed as it is', () => {
    using app = loadPackets();
    const packet = frame(IPV4);
    const run = app.program('answer').run({ data: packet });
    expect(run).toMatchObject({ returnValue: XDP_PASS, data: packet, context: null });
    expect(app.map('counts', HashMap<number, bigint>).get(0x0008)).toBe(1n);
  });

  it('comes back as the program changed it, and the caller keeps what was sent', () => {
    using app = loadPackets();
    const packet = frame(ARP);
    const { returnValue, data } = app.program('answer').run({ data: packet });
    expect(returnValue).toBe(XDP_TX);
    expect([...data!.subarray(0, 12)]).toEqual([...FROM, ...TO]);
    expect([...packet.subarray(0, 12)]).toEqual([...TO, ...FROM]);
  });

  it('comes back longer than it was sent', () => {
    using app = loadPackets();
    const { returnValue, data } = app.program('lengthen').run({ data: frame(IPV4, 100) });
    expect(returnValue).toBe(XDP_PASS);
    expect(data).toHaveLength(164);
  });

  it('goes through as often as asked, and the mean time is told', () => {
    using app = loadPackets();
    const { duration } = app.program('answer').run({ data: frame(IPV4), repeat: 1000 });
    expect(app.map('counts', HashMap<number, bigint>).get(0x0008)).toBe(1000n);
    expect(duration).toBeGreaterThan(0);
    expect(duration).toBeLessThan(1_000_000);
  });

  it('meets the globals that the load was given, and leaves others', () => {
    using app = loadPackets({ globals: { limit: 50, settings: { level: 5, seen: 1 } } });
    expect(app.program('answer').run({ data: frame(IPV4, 51) }).returnValue).toBe(XDP_DROP);
    expect(app.program('answer').run({ data: frame(IPV4, 50) }).returnValue).toBe(XDP_PASS);
    expect(app.globals.settings).toEqual({ level: 5, seen: 11 });
    expect(app.globals.bytes).toBe(101n);
    app.globals.settings = { level: 100, seen: 0 };
    app.program('answer').run({ data: frame(IPV4, 50) });
    expect(app.globals.settings).toEqual({ level: 100, seen: 100 });
  });

  it('takes a context, which says where the packet begins, and gives one back', () => {
    using app = loadPackets();
    const context = new Uint8Array(24);
    const words = new DataView(context.buffer);
    // Eight bytes of metadata in front of the packet.
    words.setUint32(0, 8, true);
    words.setUint32(4, 72, true);
    const data = new Uint8Array(72);
    data.set(frame(IPV4), 8);
    const run = app.program('answer').run({ data, context });
    expect(run.returnValue).toBe(XDP_PASS);
    expect(new DataView(run.context!.buffer).getUint32(4, true)).toBe(72);
    expect(app.globals.bytes).toBe(64n);
  });

  it('goes to the network, if it is live', () => {
    using app = loadPackets();
    const run = app
      .program('answer')
      .run({ data: frame([0x12, 0x34]), liveFrames: true, repeat: 10 });
    expect(run.data).toBeNull();
    expect(app.map('counts', HashMap<number, bigint>).get(0x3412)).toBe(10n);
  });
});

describeKernel('a packet through a tc program', () => {
  it('has what the context says, and its context comes back', () => {
    using app = loadPackets();
    const context = new Uint8Array(192);
    context[8] = 41;
    const run = app.program('mark').run({ data: frame(IPV4), context });
    // The Ethernet header does not count as part of a packet here.
    expect(run.returnValue).toBe(64);
    expect(run.context![8]).toBe(42);
    expect(context[8]).toBe(41);
    expect(run.data).toEqual(frame(IPV4));
  });

  it('has a context of members by name, as far as the program declares them', () => {
    using app = loadPackets();
    const context = { mark: 41 };
    const run = app.program('mark').run({ data: frame(IPV4), context });
    expect(run.context).toMatchObject({ mark: 42, len: 0 });
    expect(context).toEqual({ mark: 41 });
  });

  it('cannot have a context that says what the packet says itself', () => {
    using app = loadPackets();
    const context = { protocol: 8 };
    const error = refusal(() => app.program('mark').run({ data: frame(IPV4), context }));
    expect(error.message).toMatch(/of a struct __sk_buff only mark, priority/);
  });

  it('is dropped without a mark', () => {
    using app = loadPackets();
    expect(app.program('mark').run({ data: frame(IPV4) }).returnValue).toBe(2);
  });
});

describeKernel('a test run that cannot be', () => {
  it('says that a packet is too short', () => {
    using app = loadPackets();
    const error = refusal(() => app.program('answer').run({ data: new Uint8Array(13) }));
    expect(error.errnoName).toBe('EINVAL');
    expect(error.message).toMatch(/program "answer".*13 bytes; it needs 14/);
  });

  it('says that there is too little room, and that the program ran', () => {
    using app = loadPackets();
    const error = refusal(() => app.program('answer').run({ data: frame(IPV4), dataOut: 20 }));
    expect(error.errnoName).toBe('ENOSPC');
    expect(error.message).toMatch(/20 bytes; it has run/);
    expect(app.globals.bytes).toBe(64n);
  });

  it('says that the type cannot be run', () => {
    const object = ObjectFile.open(fixturePath('run/choose-socket.bpf.o'));
    using app = load(object);
    const [program] = app.programs.values();
    const error = refusal(() => program!.run({ data: frame(IPV4) }));
    expect(error.message).toMatch(/type sk_reuseport cannot be run this way/);
  });

  describe('is refused before the kernel is asked', () => {
    it.each([
      ['a CPU for another type', { data: frame(IPV4), cpu: 0 }, TypeError, /raw tracepoints/],
      ['text for data', { data: 'text' as never }, TypeError, /Uint8Array/],
      ['a fraction of a run', { repeat: 0.5 }, RangeError, /repeat/],
      ['a list as context', { context: [1n] }, TypeError, /only raw tracepoints/],
      ['a number as context', { context: 7 as never }, TypeError, /bytes, a list or an object/],
      ['a member that is not there', { context: { data_start: 1 } }, TypeError, /no such member/],
      ['text in a member', { context: { data: '1' } }, TypeError, /context\.data: /],
      ['an unknown option', { packet: frame(IPV4) } as never, TypeError, /no option "packet"/],
    ])('with %s', (_, options, kind, message) => {
      using app = loadPackets();
      const run = () => app.program('answer').run(options as TestRunOptions<ContextInput>);
      expect(run).toThrow(kind);
      expect(run).toThrow(message);
    });
  });
});
