/** Structs of functions against those of a kernel: member by member, by name. */

import { describe, expect, it } from 'vitest';
import { StructOpsExecution } from '../../src/loader/execute-struct-ops.ts';
import type { Btf } from '../../src/obj/btf/btf.ts';
import type { BtfComposite } from '../../src/obj/btf/types.ts';
import type { StructOpsValue } from '../../src/obj/struct-ops-value.ts';
import type { StructOpsTypes } from '../../src/programs/attach-target-struct-ops.ts';
import { KernelTypes } from '../../src/programs/kernel-types.ts';
import { kernelStructOps } from '../../src/programs/struct-ops.ts';
import { BtfBuilder, type Member } from '../obj/core/build-btf.ts';
import { toyKernel, toyTypes } from './toy-kernel.ts';

type Members = (types: {
  readonly u32: number;
  readonly u64: number;
  readonly function: number;
  readonly pointer: number;
}) => readonly Member[];

function structOf(members: Members, bytes = 32): { btf: Btf; struct: BtfComposite } {
  const builder = new BtfBuilder();
  const u32 = builder.int('unsigned int', 4);
  const u64 = builder.int('unsigned long', 8);
  const fn = builder.pointer(builder.prototype(0, [u32]));
  const types = { u32, u64, function: fn, pointer: builder.pointer(u32) };
  const id = builder.struct('toy_ops', members(types), bytes);
  const btf = builder.build();
  return { btf, struct: btf.type(id) as BtfComposite };
}

/** Matches structs, the first of an object, with these bytes and programs. */
function match(
  object: Members,
  kernel: Members,
  bytes: Readonly<Record<number, number>> = {},
  programs: StructOpsValue['programs'] = new Map(),
) {
  const local = structOf(object);
  const target = structOf(kernel);
  const contents = new Uint8Array(32);
  for (const [at, byte] of Object.entries(bytes)) {
    contents[Number(at)] = byte;
  }
  const types: StructOpsTypes = {
    ...target,
    structTarget: { typeId: target.struct.id, fd: null },
    value: { ...target.struct, name: 'bpf_struct_ops_toy_ops', sizeBytes: 96 },
    valueTarget: { typeId: 99, fd: null },
    dataOffset: 64,
  };
  return kernelStructOps('toy', local.btf, { ...local, contents, programs }, types);
}

const TWO: Members = ({ u32, function: fn }) => [
  ['flags', u32, 0],
  ['run', fn, 64],
];

describe('a struct of functions', () => {
  it('gets its members where the kernel has them, and its programs by their index there', () => {
    const kernel: Members = ({ u32, u64, function: fn }) => [
      ['other', u64, 0],
      ['run', fn, 64],
      ['flags', u32, 128],
    ];
    const { value, functions } = match(TWO, kernel, { 0: 7 }, new Map([[1, 'go']]));
    expect(functions).toEqual([{ program: 'go', member: 1, offset: 72 }]);
    const wanted = new Uint8Array(96);
    wanted[80] = 7;
    expect(value).toEqual(wanted);
  });

  it('may lack members, and have more as long as they are zero', () => {
    const kernel: Members = ({ u32 }) => [['flags', u32, 0]];
    expect(match(TWO, kernel, { 0: 7 }).functions).toEqual([]);
    expect(() => match(TWO, kernel, {}, new Map([[1, 'go']]))).toThrow(
      'map "toy", member "run": struct toy_ops of this kernel has no such member',
    );
    expect(() => match(TWO, kernel, { 15: 1 })).toThrow(/member "run"/);
  });

  it.each<[string, Members, RegExp]>([
    ['another size', ({ u64 }) => [['flags', u64, 0]], /"flags": it has 4 bytes, and 8 in this/],
    ['another kind', ({ pointer }) => [['flags', pointer, 0]], /of kind int, and of kind ptr in/],
    ['a bit field', ({ u32 }) => [['flags', u32, 0, 3]], /"flags": it is a bit field/],
    [
      'a pointer to a number',
      ({ u32, pointer }) => [
        ['flags', u32, 0],
        ['run', pointer, 64],
      ],
      /"run": it is no pointer to a function in this kernel/,
    ],
  ])(
    'with a member that is something else in the kernel is refused: %s',
    (_what, kernel, error) => {
      expect(() => match(TWO, kernel, {}, new Map([[1, 'go']]))).toThrow(error);
    },
  );

  it('with a pointer that no program is behind is refused', () => {
    expect(() => match(TWO, TWO, { 8: 1 })).toThrow(
      'member "run": it is a pointer to something that is no program',
    );
  });

  it('of a module names that by its descriptor, for the map and for the programs', () => {
    const { kernel, open } = toyKernel();
    const types = new KernelTypes(kernel);
    const execution = new StructOpsExecution(() => types);
    const { btf, struct } = structOf(({ function: run }) => [['run', run, 0]], 8);
    const value = { struct, contents: new Uint8Array(8), programs: new Map([[0, 'go']]) };
    const created = execution.prepare({ map: 'toy', value }, btf);
    const [fd] = [...open.keys()];
    const { moduleIds } = toyTypes;
    expect(created).toEqual({
      valueSize: 128,
      valueTarget: { typeId: moduleIds['struct bpf_struct_ops_toy_ops'], fd },
    });
    expect(execution.memberOf('go')).toMatchObject({
      target: { typeId: moduleIds['struct toy_ops'], fd },
      member: 0,
    });
    expect(execution.memberOf('other')).toBeUndefined();
    types.close();
    expect(open.size).toBe(0);
  });
});
