/** What an object's structs of functions hold: bytes, and programs by member. */

import { describe, expect, it } from 'vitest';
import { ObjectFile } from '../../src/obj/object.ts';
import { structOpsValue } from '../../src/obj/struct-ops-value.ts';
import { fixtureBytes } from '../support/fixtures.ts';

const read = (name: string, map: string) => {
  const object = ObjectFile.parse(fixtureBytes(name));
  return structOpsValue(object, object.maps.get(map)!);
};

describe('a struct of functions', () => {
  it.each(['bpf', 'eb.bpf'])('has its bytes, and its programs by member (.%s.o)', (order) => {
    const { struct, contents, programs } = read(
      `objects/types/struct_ops.${order}.o`,
      'fixed_window',
    );
    expect(struct.name).toBe('tcp_congestion_ops');
    // ssthresh, cong_avoid, undo_cwnd, and the name behind them.
    expect([...programs]).toEqual([
      [0, 'fixed_ssthresh'],
      [1, 'fixed_cong_avoid'],
      [2, 'fixed_undo_cwnd'],
    ]);
    const text = new TextDecoder().decode(contents);
    expect(text).toBe(`${'\0'.repeat(24)}skep_fixed${'\0'.repeat(6)}`);
  });

  it('is found behind another one of its section', () => {
    expect([...read('run/struct-ops.bpf.o', 'linked').programs.values()]).toHaveLength(4);
    const { contents, programs } = read('run/struct-ops.bpf.o', 'nameless');
    expect([...programs.values()]).toEqual(['skep_undo_cwnd', 'skep_ssthresh', 'skep_cong_avoid']);
    expect(contents.every((byte) => byte === 0)).toBe(true);
  });

  it('is a copy: the object stays as it is', () => {
    const object = ObjectFile.parse(fixtureBytes('objects/types/struct_ops.bpf.o'));
    const map = object.maps.get('fixed_window')!;
    structOpsValue(object, map).contents.fill(255);
    expect(structOpsValue(object, map).contents[0]).toBe(0);
  });
});

describe('a struct of functions that refers to something else', () => {
  /** The object with its first relocation changed: where it is, and to which symbol. */
  function changed(offset: number, symbol: string | number): ObjectFile {
    const bytes = Uint8Array.from(fixtureBytes('objects/types/struct_ops.bpf.o'));
    const { elf } = ObjectFile.parse(bytes);
    const table = elf.sections.find(({ name }) => name === '.rel.struct_ops.link')!;
    const view = new DataView(bytes.buffer);
    const count = elf.symbols.count;
    const named = Array.from({ length: count }, (_, index) => elf.symbols.name(index));
    // Elf64_Rel: r_offset, then r_info with the symbol in its upper half.
    view.setBigUint64(table.offset, BigInt(offset), true);
    const index = typeof symbol === 'number' ? symbol : named.indexOf(symbol);
    view.setUint32(table.offset + 12, index, true);
    return ObjectFile.parse(bytes);
  }

  it.each([
    [
      'a variable',
      0,
      'fixed_window',
      /member "ssthresh": it points to "fixed_window", which is no/,
    ],
    ['something static', 0, 1, /member "ssthresh": it points to something static/],
    [
      'a program from its text',
      24,
      'fixed_ssthresh',
      /member "name": it is initialised with an addr/,
    ],
    [
      'a program from between members',
      4,
      'fixed_ssthresh',
      /an address at byte 4, where struct tcp_/,
    ],
  ])('is refused: %s', (_what, offset, symbol, message) => {
    const object = changed(offset, symbol);
    expect(() => structOpsValue(object, object.maps.get('fixed_window')!)).toThrow(message);
  });

  it('is refused: a program of another type', () => {
    const bytes = Uint8Array.from(fixtureBytes('objects/types/struct_ops.bpf.o'));
    const name = new TextEncoder().encode('struct_ops/ssthresh');
    const { elf } = ObjectFile.parse(bytes);
    const strings = elf.sections.find((section) => section.name === '.strtab')!;
    const at = Buffer.from(bytes).indexOf(name, strings.offset);
    bytes.set(new TextEncoder().encode('xdp\0'), at);
    const object = ObjectFile.parse(bytes);
    expect(() => structOpsValue(object, object.maps.get('fixed_window')!)).toThrow(
      'map "fixed_window", member "ssthresh": it points to program "fixed_ssthresh" of type xdp; write SEC("struct_ops/ssthresh") for it',
    );
  });

  it('is refused: a variable that is larger than its section', () => {
    const object = ObjectFile.parse(fixtureBytes('objects/types/struct_ops.bpf.o'));
    const map = { ...object.maps.get('fixed_window')!, valueSize: 48 };
    expect(() => structOpsValue(object, map)).toThrow(
      'its 48 bytes at 0 reach behind the end of section ".struct_ops.link" (40 bytes)',
    );
  });
});
