/**
 * The arithmetic of ring buffers, on memory that a few lines of JavaScript write as the kernel does
 * (`kernel/bpf/ringbuf.c`): positions beyond 2^32 are days away on a real ring.
 */

import { describe, expect, it } from 'vitest';
import { u32 } from '../../src/codec/numbers.ts';
import { RingCursor } from '../../src/maps/ring-cursor.ts';

const BUSY = 1n << 31n;
const DISCARDED = 1n << 30n;

/** A ring as the kernel keeps it, with unlimited integers for positions. */
class FakeRing {
  readonly size: number;
  readonly consumer = new ArrayBuffer(4096);
  readonly producer = new ArrayBuffer(4096);
  readonly data: ArrayBuffer;
  readonly littleEndian = true;
  #end: bigint;

  constructor(size: number, start: bigint) {
    this.size = size;
    this.data = new ArrayBuffer(2 * size);
    this.#end = start;
    new DataView(this.consumer).setBigUint64(0, start, true);
    new DataView(this.producer).setBigUint64(0, start, true);
  }

  /** The consumer's position as the kernel reads it: all 64 bits. */
  get consumed(): bigint {
    return new DataView(this.consumer).getBigUint64(0, true);
  }

  get produced(): bigint {
    return this.#end;
  }

  /** Reserves a record; null if there is no room. Returns what finishes it. */
  reserve(content: Uint8Array): ((flags?: bigint) => void) | null {
    const step = BigInt(Math.ceil((content.length + 8) / 8) * 8);
    if (this.#end + step - this.consumed > BigInt(this.size) - 1n) {
      return null;
    }
    const at = Number(this.#end % BigInt(this.size));
    this.#write(at, headerBytes(BigInt(content.length) | BUSY));
    this.#write(at + 8, content);
    this.#end += step;
    new DataView(this.producer).setBigUint64(0, this.#end, true);
    return (flags = 0n) => this.#write(at, headerBytes(BigInt(content.length) | flags));
  }

  submit(content: Uint8Array): boolean {
    const finish = this.reserve(content);
    finish?.();
    return finish !== null;
  }

  /** Both copies of the data are one memory to the kernel. */
  #write(at: number, bytes: Uint8Array): void {
    const data = new Uint8Array(this.data);
    bytes.forEach((byte, index) => {
      const place = (at + index) % this.size;
      data[place] = byte;
      data[place + this.size] = byte;
    });
  }
}

function headerBytes(header: bigint): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, Number(header), true);
  return bytes;
}

const record = (number: number, length: number) => {
  const bytes = new Uint8Array(length).fill(number);
  new DataView(bytes.buffer).setUint32(0, number, true);
  return bytes;
};

describe('a cursor over a ring buffer', () => {
  it.each([
    ['0', 0n],
    ['2^31', 2n ** 31n - 72n],
    ['2^32', 2n ** 32n - 4096n],
    ['2^33', 2n ** 33n - 16n],
    ['2^53', 2n ** 53n - 1024n],
  ])('reads every record once where positions pass %s', (_what, start) => {
    const ring = new FakeRing(4096, start);
    const cursor = new RingCursor('ring', ring);
    let sent = 0;
    let received = 0;
    let refused = 0;
    while (received < 3000) {
      // Lengths of 4 to 203 bytes, so that records start and wrap everywhere.
      while (sent < 3000 && ring.submit(record(sent, 4 + ((sent * 7) % 200)))) sent += 1;
      refused += 1;
      for (let some = 0; some < 1 + (sent % 40) && cursor.next(); some += 1) {
        const expected = record(received, 4 + ((received * 7) % 200));
        expect(cursor.length).toBe(expected.length);
        expect(cursor.bytes()).toEqual(expected);
        received += 1;
      }
    }
    expect(refused).toBeGreaterThan(50);
    expect(cursor.next()).toBe(false);
    expect(ring.consumed).toBe(ring.produced);
    expect(cursor.available()).toBe(0);
  });

  it('stops at a record that is not finished, whatever lies behind it', () => {
    const ring = new FakeRing(4096, 2n ** 32n - 8n);
    const cursor = new RingCursor('ring', ring);
    const finish = ring.reserve(record(1, 16))!;
    ring.submit(record(2, 16));
    expect([cursor.ready(), cursor.next(), cursor.available()]).toEqual([false, false, 48]);
    finish();
    expect([cursor.ready(), cursor.next(), cursor.u32(0)]).toEqual([true, true, 1]);
    expect([cursor.ready(), cursor.next(), cursor.u32(0)]).toEqual([true, true, 2]);
    expect([cursor.ready(), cursor.next(), cursor.length]).toEqual([false, false, 0]);
  });

  it('passes over what was discarded, and counts it', () => {
    const ring = new FakeRing(4096, 0n);
    const cursor = new RingCursor('ring', ring);
    ring.reserve(record(1, 9))!(DISCARDED);
    ring.submit(record(2, 9));
    ring.reserve(record(3, 9))!(DISCARDED);
    const finish = ring.reserve(record(4, 9))!;
    expect([cursor.next(), cursor.u32(0), cursor.discarded]).toEqual([true, 2, 1]);
    // Behind the record that the cursor stands on comes nothing that is ready.
    expect(cursor.ready()).toBe(false);
    finish(DISCARDED);
    expect([cursor.ready(), cursor.next(), cursor.discarded]).toEqual([false, false, 3]);
    expect(ring.consumed).toBe(ring.produced);
  });

  it('gives a record back when the next is asked for, at the latest by a sixteenth of the ring', () => {
    const ring = new FakeRing(4096, 0n);
    const cursor = new RingCursor('ring', ring);
    for (let number = 0; number < 40; number += 1) ring.submit(record(number, 24));
    expect(cursor.next()).toBe(true);
    expect(ring.consumed).toBe(0n);
    cursor.release();
    expect(ring.consumed).toBe(32n);
    for (let number = 1; number < 40; number += 1) {
      expect(cursor.next()).toBe(true);
      expect(Number(ring.consumed)).toBeLessThanOrEqual(number * 32);
      expect(Number(ring.consumed)).toBeGreaterThan((number - 1) * 32 - 256);
    }
  });

  it('goes on where the reader before it stopped', () => {
    const ring = new FakeRing(4096, 64n);
    ring.submit(record(1, 8));
    ring.submit(record(2, 8));
    const first = new RingCursor('ring', ring);
    first.next();
    first.release();
    const second = new RingCursor('ring', ring);
    expect([second.next(), second.u32(0), second.next()]).toEqual([true, 2, false]);
  });

  it.each([
    ['0', 0n],
    ['2^31', 2n ** 31n - 2000n],
    ['2^32', 2n ** 32n - 2000n],
  ])(
    'follows another reader, and never moves it backwards, where positions pass %s',
    (_w, start) => {
      const ring = new FakeRing(4096, start);
      const idle = new RingCursor('ring', ring);
      const other = new RingCursor('ring', ring);
      const seen = new Set<number>();
      let sent = 0;
      let last = -1;
      const take = (cursor: RingCursor) => {
        if (!cursor.next()) return false;
        last = cursor.u32(0);
        expect(cursor.bytes()).toEqual(record(last, 4 + ((last * 7) % 200)));
        seen.add(last);
        return true;
      };
      for (let turn = 0; turn < 80; turn += 1) {
        while (ring.submit(record(sent, 4 + ((sent * 7) % 200)))) sent += 1;
        // One stops within a batch, standing on a record or not; the other goes on from there.
        const [first, second] = turn % 2 === 0 ? [idle, other] : [other, idle];
        for (let some = 0; some < turn % 7 && take(first); some += 1);
        if (turn % 3 !== 0) first.release();
        const before = ring.consumed;
        for (let some = 0; some < 5 + (turn % 40) && take(second); some += 1);
        second.release();
        expect(ring.consumed >= before).toBe(true);
        expect(first.available()).toBe(Number(ring.produced - ring.consumed));
        expect(first.ready()).toBe(last < sent - 1);
        if (take(first)) expect(last).toBe(seen.size - 1);
        expect(ring.consumed >= before).toBe(true);
      }
      while (take(idle));
      expect([seen.size, ring.consumed]).toEqual([sent, ring.produced]);
    },
  );

  it('gives everything back behind which a record is not finished, and when it is closed', () => {
    const ring = new FakeRing(4096, 0n);
    const cursor = new RingCursor('ring', ring);
    ring.submit(record(1, 8));
    ring.reserve(record(2, 8))!(DISCARDED);
    const finish = ring.reserve(record(3, 8))!;
    expect([cursor.next(), cursor.next()]).toEqual([true, false]);
    // Or the program that finishes it would wake nobody.
    expect(ring.consumed).toBe(32n);
    finish();
    ring.submit(record(4, 8));
    cursor.next();
    cursor.close();
    expect(ring.consumed).toBe(48n);
    cursor.release();
    expect(() => cursor.next()).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    expect(() => cursor.available()).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
  });

  it('reads numbers of every size, and nothing outside of the record', () => {
    const ring = new FakeRing(4096, 0n);
    const cursor = new RingCursor('ring', ring);
    const bytes = Uint8Array.from({ length: 20 }, (_, index) => 0xf0 + index);
    ring.submit(bytes);
    ring.submit(new Uint8Array(0));
    expect(() => cursor.u8(0)).toThrow(RangeError);
    cursor.next();
    const view = new DataView(bytes.buffer);
    expect([cursor.u8(19), cursor.i8(3), cursor.u16(18), cursor.i16(1)]).toEqual([
      view.getUint8(19),
      view.getInt8(3),
      view.getUint16(18, true),
      view.getInt16(1, true),
    ]);
    expect([cursor.u32(16), cursor.i32(5)]).toEqual([
      view.getUint32(16, true),
      view.getInt32(5, true),
    ]);
    expect([cursor.u64(12), cursor.i64(1)]).toEqual([
      view.getBigUint64(12, true),
      view.getBigInt64(1, true),
    ]);
    expect(cursor.number64(12)).toBe(Number(view.getBigUint64(12, true)));
    expect(cursor.read(u32, 4)).toBe(view.getUint32(4, true));
    expect(cursor.bytes(18)).toEqual(bytes.slice(18));
    for (const outside of [
      () => cursor.u8(20),
      () => cursor.u8(-1),
      () => cursor.u8(Number.NaN),
      () => cursor.u16(19),
      () => cursor.u32(17),
      () => cursor.u64(13),
      () => cursor.bytes(0, 21),
      () => cursor.bytes(21),
      () => cursor.bytes(5, -1),
      () => cursor.read(u32, 17),
    ]) {
      expect(outside).toThrow(RangeError);
    }
    expect([cursor.next(), cursor.length, cursor.bytes()]).toEqual([true, 0, new Uint8Array()]);
  });

  it('copies, so that what it gave is not changed by later records', () => {
    const ring = new FakeRing(4096, 0n);
    const cursor = new RingCursor('ring', ring);
    ring.submit(record(1, 8));
    cursor.next();
    const kept = cursor.bytes();
    for (let number = 0; number < 1000; number += 1) {
      ring.submit(record(0xffff, 8));
      cursor.next();
    }
    expect(kept).toEqual(record(1, 8));
  });
});
