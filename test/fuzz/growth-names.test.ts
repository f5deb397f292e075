/** Tables of types made to cost time by names that many share, and what the in-process kernel checks of them. */

import { describe, it } from 'vitest';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { grows, times } from './growth.ts';
import { TypesBuilder } from './object-builder.ts';
import { KIND } from './types.ts';

/** Looks names up, one of which is not there. */
function findIn(bytes: Uint8Array): void {
  const btf = Btf.parse(bytes);
  btf.find('not there');
  btf.find('?'.repeat(1000));
  btf.find(btf.nameOf(btf.typeCount - 1), 'typedef');
}

describe('names are looked up among types', () => {
  it('that share one long name', () => {
    grows(
      3000,
      (count) => {
        const types = new TypesBuilder();
        const name = types.strings.add('?'.repeat(count * 8));
        times(count, () => types.add(KIND.TYPEDEF, 0, name, 0));
        return types.write();
      },
      findIn,
    );
  });

  it('that have two copies of one long name', () => {
    grows(
      3000,
      (count) => {
        const types = new TypesBuilder();
        const copies = times(2, () =>
          types.strings.addBytes(new TextEncoder().encode('?'.repeat(count * 4))),
        );
        times(count, (index) => types.add(KIND.TYPEDEF, 0, copies[index < count / 2 ? 0 : 1]!, 0));
        return types.write();
      },
      findIn,
    );
  });

  it('whose names are the ends of one long name', () => {
    grows(
      3000,
      (count) => {
        const types = new TypesBuilder();
        const name = types.strings.add('?'.repeat(count * 8));
        times(count, (index) => types.add(KIND.TYPEDEF, 0, name + index, 0));
        return types.write();
      },
      findIn,
    );
  });
});

describe('the in-process kernel checks types', () => {
  it('that are functions which share a prototype', () => {
    grows(
      4000,
      (count) => {
        const types = new TypesBuilder();
        const int = types.int();
        const prototype = types.addList(
          KIND.FUNC_PROTO,
          '',
          0,
          times(count, () => [types.strings.add('a'), int]),
        );
        times(count, (index) => types.add(KIND.FUNC, 0, `f${index}`, prototype));
        return types.write();
      },
      loadTypes,
    );
  });
});

function loadTypes(bytes: Uint8Array): void {
  new MemoryKernel().loadBtf(bytes);
}
