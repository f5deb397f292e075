/** Arenas on the running kernel. */

import { beforeEach, expect, expectTypeOf, it } from 'vitest';
import { loadNative } from '../../src/kernel/native.ts';
import { load } from '../../src/loader/load.ts';
import { Arena } from '../../src/maps/arena.ts';
import { Queue } from '../../src/maps/queue.ts';
import { BPF_F } from '../../src/uapi/map-flags.ts';
import { openFixture } from '../support/fixtures.ts';
import { loadInstructions } from '../support/instructions.ts';
import { describeKernel, needsMapType, pinDirectory } from '../support/kernel.ts';

const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });

/**
 * A program that adds 1 to the 64-bit number at the address in its context. The first instruction
 * tells the verifier which arena it is about; the third makes a pointer into it of the address.
 *
 * libbpf knows arenas from 1.4 on, and clang spells this `__attribute__((address_space(1)))`.
 */
function incrementing(arena: Arena) {
  return loadInstructions([
    { code: 0x18, to: 2, from: 1, value: arena.fd }, // r2 = the map
    { code: 0x00 },
    { code: 0x79, to: 3, from: 1 }, // r3 = *(u64 *)(context)
    { code: 0xbf, to: 3, from: 3, offset: 1, value: 1 }, // r3 = addr_space_cast(r3, 0, 1)
    { code: 0x79, to: 0, from: 3 }, // r0 = *(u64 *)r3
    { code: 0x07, to: 0, value: 1 }, // r0 += 1
    { code: 0x7b, to: 3, from: 0 }, // *(u64 *)r3 = r0
    { code: 0x95 }, // return r0
  ]);
}

/** The context for {@link incrementing}: an address in the arena, as user space has it. */
function addressOf(arena: Arena, offset: number) {
  const address = BigInt(loadNative().address(arena.bytes.buffer) + offset);
  return { context: new Uint8Array(new BigUint64Array([address]).buffer) };
}

describeKernel('an arena', () => {
  beforeEach((context) => needsMapType(context, 'arena'));

  const pins = pinDirectory();

  it('is memory that programs and user space share', () => {
    using arena = Arena.create({ pages: 4, name: 'arena' });
    const { pageSize } = arena.kernel;
    expect([arena.length, arena.bytes.length]).toEqual([4 * pageSize, 4 * pageSize]);
    expect(arena.bytes).toBe(arena.bytes);
    // The pages are there when they are touched, and zero.
    expect(arena.bytes.every((byte) => byte === 0)).toBe(true);
    const at = 3 * pageSize + 16;
    const number = arena.view(at, 8);
    number.setBigUint64(0, 41n, true);
    using program = incrementing(arena);
    expect(program.run(addressOf(arena, at))).toBe(42);
    expect(number.getBigUint64(0, true)).toBe(42n);
    const numbers = new BigUint64Array(arena.bytes.buffer);
    expect(Atomics.add(numbers, at / 8, 8n)).toBe(42n);
    expect(program.run(addressOf(arena, at))).toBe(51);
  });

  it('ends with its handle', () => {
    const arena = Arena.create({ pages: 1 });
    const { bytes } = arena;
    bytes[0] = 1;
    const view = arena.view(0);
    arena.close();
    expect([bytes.length, view.buffer.byteLength]).toEqual([0, 0]);
    expect(() => arena.bytes).toThrow(CLOSED);
    expect(() => arena.view(0)).toThrow(CLOSED);
    expect(() => arena.length).toThrow(CLOSED);
    arena.close();
  });

  it('is viewed within its bounds', () => {
    using arena = Arena.create({ pages: 1 });
    expect(arena.view(8).byteLength).toBe(arena.length - 8);
    for (const [offset, length] of [
      [-1, 1],
      [arena.length, 1],
      [0, arena.length + 1],
    ] as const) {
      expect(() => arena.view(offset, length)).toThrow(RangeError);
    }
  });

  it('is mapped once, for the kernel wants it at the same address again', () => {
    const path = `${pins.path}/arena`;
    using arena = Arena.create({ pages: 1, name: 'arena' });
    arena.pin(path);
    using again = Arena.openPinned(path);
    using byId = Arena.openById(arena.info().id);
    expect(arena.bytes.length).toBe(arena.kernel.pageSize);
    expect(() => again.bytes).toThrow(/mmap failed with (EINVAL|EBUSY)/);
    expect(() => byId.bytes).toThrow(/mmap failed with (EINVAL|EBUSY)/);
  });

  it('is not mapped where reading could end the process', () => {
    using arena = Arena.create({ pages: 1, flags: BPF_F.SEGV_ON_FAULT });
    expect(() => arena.bytes).toThrow(/has the flag BPF_F_SEGV_ON_FAULT/);
  });

  it('has the size and the address that its object gives it', () => {
    using app = load(openFixture('types/arena'));
    const arena = app.map('arena_map', Arena);
    expectTypeOf(arena).toEqualTypeOf<Arena>();
    expect(arena.length).toBe(4 * arena.kernel.pageSize);
    expect(arena.info().mapExtra).toBe(1n << 44n);
    expect(loadNative().address(arena.bytes.buffer)).toBe(2 ** 44);
    expect(() => app.map('arena_map', Queue)).toThrow(/is a arena; Queue is for queue/);
  });
});
