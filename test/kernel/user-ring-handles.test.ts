/** Several handles to one user ring buffer, on both kernels, and how long its records may be. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { UserRingBuffer } from '../../src/maps/user-ring-buffer.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernels } from '../support/kernels.ts';
import { type RingConsumer, ringConsumer } from '../support/user-rings.ts';

/** `DYNPTR_MAX_SIZE` of kernel/bpf/helpers.c. */
const LONGEST = (1 << 24) - 1;

describeKernels('handles to one user ring buffer', (place) => {
  let app: LoadedObject;
  let consumer: RingConsumer;

  const open = (): UserRingBuffer<Uint8Array> => {
    const { kernel, directory } = place;
    return UserRingBuffer.openPinned(`${directory}/commands`, {}, { kernel });
  };
  const record = (number: number) => Uint8Array.of(number, 0, 0, 0);
  const openObject = (sizeBytes: number) => {
    const { kernel, directory } = place;
    const object = ObjectFile.open(fixturePath('run/user-ring.bpf.o'));
    const maps = { commands: { maxEntries: sizeBytes } };
    app = load(object, { kernel, pinDirectory: directory, pinAll: true, maps });
    consumer = ringConsumer(place, directory);
  };
  afterEach(() => {
    consumer.close();
    app.close();
  });

  describe('of one page', () => {
    beforeEach(() => openObject(4096));

    it('may send in turn', () => {
      using first = open();
      using second = open();
      const sent: number[] = [];
      for (let number = 0; number < 250; number += 1) {
        expect((number % 3 === 0 ? first : second).push(record(number))).toBe(true);
        sent.push(number);
        expect([first.pending(), second.pending()]).toEqual([16 * sent.length, 16 * sent.length]);
        if (number % 7 === 0) expect(consumer.drain()).toEqual(sent.splice(0));
      }
      expect(consumer.drain()).toEqual(sent);
    });

    it('see that others have filled it, and that there is room again', async () => {
      using first = open();
      using second = open();
      while (first.push(record(1))) {
        // Until it is full.
      }
      expect([second.push(record(2)), second.pending()]).toEqual([false, 4096]);
      const wait = second.wait({ length: 4 });
      expect(consumer.drain()).toHaveLength(256);
      await wait;
      expect(second.push(record(3))).toBe(true);
      expect([first.push(record(4)), consumer.drain()]).toEqual([true, [3, 4]]);
    });

    it('send behind what another has reserved', () => {
      using first = open();
      using second = open();
      const reserved = first.reserve(4)!;
      second.push(record(2));
      first.push(record(3));
      expect(consumer.drain()).toEqual([]);
      reserved.bytes.set(record(1));
      reserved.submit();
      expect(consumer.drain()).toEqual([1, 2, 3]);
    });

    it('give up what they have reserved when they are closed, so that others go on', () => {
      const first = open();
      const [reserved, submitted] = [first.reserve(4)!, first.reserve(4)!];
      submitted.bytes.set(record(1));
      submitted.submit();
      first.close();
      reserved.submit();
      using second = open();
      second.push(record(2));
      expect(consumer.drain()).toEqual([1, 2]);
    });
  });

  it('refuse records that are too long for programs, which would block the ring', async () => {
    openObject(1 << 25);
    using ring = open();
    const bytes = new Uint8Array(LONGEST + 1);
    bytes[0] = 1;
    for (const send of [() => ring.push(bytes), () => ring.reserve(LONGEST + 1)]) {
      expect(send).toThrow(RangeError);
      expect(send).toThrow(/16777215 bytes/);
    }
    await expect(ring.wait({ length: LONGEST + 1 })).rejects.toThrow(RangeError);
    expect(ring.push(bytes.subarray(0, LONGEST))).toBe(true);
    expect(consumer.drain()).toEqual([1]);
    ring.push(record(2));
    expect([consumer.drain(), ring.pending()]).toEqual([[2], 0]);
  });
});
