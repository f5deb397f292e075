/** User ring buffers on both kernels; on the running one drained by programs. */

import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, expectTypeOf, it } from 'vitest';
import { u32 } from '../../src/codec/numbers.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { UserRingBuffer } from '../../src/maps/user-ring-buffer.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernels } from '../support/kernels.ts';
import { type RingConsumer, ringConsumer } from '../support/user-rings.ts';

interface Command {
  readonly number: number;
  readonly kind: number;
  readonly rest: Uint8Array;
}

const command = (number: number): Command => ({ number, kind: 1, rest: new Uint8Array(3) });

describeKernels('a user ring buffer', (place) => {
  let app: LoadedObject;
  let consumer: RingConsumer;

  /** Lets a program take records; what was in them. */
  const drain = (limit?: number) => consumer.drain(limit);

  beforeEach((context) => {
    place.needsLinux(context, '6.2', 'programs that may sleep with user ring buffers');
    const { kernel, directory } = place;
    const object = ObjectFile.open(fixturePath('run/user-ring.bpf.o'));
    app = load(object, { kernel, pinDirectory: directory, pinAll: true });
    consumer = ringConsumer(place, directory);
  });
  afterEach(() => {
    // Nothing was opened where the test is skipped.
    (consumer as RingConsumer | undefined)?.close();
    (app as LoadedObject | undefined)?.close();
  });

  it('sends records of the type that the map declares', () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    expect([commands.push(command(7)), commands.push(command(8))]).toEqual([true, true]);
    expect(commands.pending()).toBe(32);
    expect(drain()).toEqual([7, 8]);
    expect([commands.pending(), drain()]).toEqual([0, []]);
  });

  it('sends records of other types, and bytes', () => {
    const byCodec = app.userRingBuffer('commands', { value: u32 });
    expectTypeOf(byCodec.push).parameter(0).toExtend<number>();
    byCodec.push(5);
    byCodec.close();
    const byType = app.userRingBuffer<{ limit: bigint; flags: bigint }>('commands', {
      type: 'request',
    });
    byType.push({ limit: 6n, flags: 0n });
    byType.close();
    const raw = UserRingBuffer.openPinned(
      `${place.directory}/commands`,
      {},
      { kernel: place.kernel },
    );
    expectTypeOf(raw).toEqualTypeOf<UserRingBuffer<Uint8Array>>();
    raw.push(Uint8Array.of(7, 0, 0, 0, 1, 2, 3));
    expect(() => raw.push('text' as never)).toThrow(TypeError);
    raw.close();
    expect(drain()).toEqual([5, 6, 7]);
  });

  it('takes no room for what does not fit its type', () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    expect(() => commands.push({ ...command(0), number: 2 ** 32 })).toThrow(
      /^number: expected u32/,
    );
    expect([commands.pending(), drain()]).toEqual([0, []]);
  });

  it('says when it is full, and has room again once programs took something', () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    let sent = 0;
    while (commands.push(command(sent))) sent += 1;
    // 4096 bytes, and records of 8 with headers of 8.
    expect([sent, commands.pending()]).toEqual([256, 4096]);
    expect(drain(2)).toEqual([0, 1]);
    expect([commands.push(command(256)), commands.push(command(257))]).toEqual([true, true]);
    expect(commands.push(command(258))).toBe(false);
    expect(drain()).toEqual(Array.from({ length: 256 }, (_, index) => index + 2));
  });

  it('loses and doubles nothing over many turns of the ring, with records of many lengths', () => {
    using commands = UserRingBuffer.openPinned(
      `${place.directory}/commands`,
      {},
      { kernel: place.kernel },
    );
    let sent = 0;
    const numbers: number[] = [];
    while (sent < 20_000) {
      const record = new Uint8Array(4 + (sent % 61));
      new DataView(record.buffer).setUint32(0, sent, true);
      if (commands.push(record)) {
        sent += 1;
      } else {
        numbers.push(...drain(50 + (sent % 50)));
      }
    }
    numbers.push(...drain());
    expect(numbers).toEqual(Array.from({ length: sent }, (_, index) => index));
  });

  it('sends what was reserved when it is submitted, in the order of the reservations', () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    const [first, second, third] = [4, 4, 4].map((length) => commands.reserve(length)!);
    second!.bytes[0] = 2;
    second!.bytes.fill(0, 1);
    second!.submit();
    first!.bytes.set([1, 0, 0, 0]);
    first!.submit();
    first!.submit();
    first!.discard();
    expect([first!.bytes.length, third!.bytes.length]).toEqual([0, 4]);
    expect(drain(2)).toEqual([1, 2]);
    third!.discard();
    commands.push(command(4));
    expect(drain()).toEqual([4]);
    expect(commands.pending()).toBe(0);
  });

  it('lets programs take nothing behind a reservation that is still open', () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    const open = commands.reserve(8)!;
    commands.push(command(2));
    expect(drain(10)).toEqual([]);
    open.bytes.fill(0);
    open.submit();
    expect(drain()).toEqual([0, 2]);
  });

  it('resolves wait() when there is room', async () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    await commands.wait();
    while (commands.push(command(0))) {
      // Until it is full.
    }
    let room = false;
    const wait = commands.wait().then(() => {
      room = true;
    });
    const large = commands.wait({ length: 1000 });
    await delay(20);
    expect(room).toBe(false);
    drain(1);
    await wait;
    // The kernel calls that writable, too, but it is too little for this one.
    await expect(
      Promise.race([large, commands.wait({ length: 1000, signal: AbortSignal.timeout(30) })]),
    ).rejects.toThrow(expect.objectContaining({ name: 'TimeoutError' }));
    drain();
    await large;
    expect(commands.reserve(1000)).not.toBeNull();
  });

  it('refuses what can never have room', async () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    expect(() => commands.reserve(4089)).toThrow(/4096 bytes, too few for a record of 4089/);
    expect(() => commands.reserve(-1)).toThrow(RangeError);
    expect(() => commands.reserve(1.5)).toThrow(RangeError);
    await expect(commands.wait({ length: 5000 })).rejects.toThrow(RangeError);
    const all = commands.reserve(4088)!;
    expect(all.bytes).toHaveLength(4088);
    all.discard();
    expect(drain()).toEqual([]);
    expect(commands.pending()).toBe(0);
  });

  it('ends every wait with ERR_SKEP_CLOSED when it is closed', async () => {
    const commands = app.map('commands', UserRingBuffer<Command>);
    const open = commands.reserve(4000)!;
    const waits = Promise.allSettled([
      commands.wait({ length: 500 }),
      commands.wait({ length: 500, signal: AbortSignal.abort(new Error('no')) }),
    ]);
    await delay(5);
    commands.close();
    commands.close();
    const closed = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });
    expect(await waits).toEqual([
      { status: 'rejected', reason: closed },
      { status: 'rejected', reason: expect.objectContaining({ message: 'no' }) },
    ]);
    open.submit();
    for (const use of [
      () => commands.push(command(1)),
      () => commands.reserve(4),
      () => commands.pending(),
    ]) {
      expect(use).toThrow(closed);
    }
    await expect(commands.wait()).rejects.toThrow(closed);
  });

  it('is created standalone, and is no ring buffer', () => {
    const { kernel } = place;
    using own = UserRingBuffer.create({ kernel, sizeBytes: 5000, value: u32, name: 'own' });
    expect([own.sizeBytes, own.push(1), own.pending()]).toEqual([8192, true, 16]);
    using same = UserRingBuffer.openById(own.info().id, {}, { kernel });
    expect(same.pending()).toBe(16);
    expect(() => RingBuffer.openById(own.info().id, {}, { kernel })).toThrow(
      /is a user_ringbuf; RingBuffer is for/,
    );
    expect(() => app.map('seen', UserRingBuffer)).toThrow(/UserRingBuffer is for user_ringbuf/);
  });
});
