/** CO-RE relocations made to cost time: as growth.test.ts, of what asks for members of other types. */

import { describe, it } from 'vitest';
import { Btf } from '../../src/obj/btf/btf.ts';
import { CoreResolver } from '../../src/obj/core/resolve.ts';
import { BPF_CORE, coreKindName } from '../../src/uapi/core-kinds.ts';
import { answer, grows, times } from './growth.ts';
import { TypesBuilder } from './object-builder.ts';
import { KIND } from './types.ts';

describe('CO-RE', () => {
  /** Asks for something of every member or enumerator of the first named type. */
  function askAll(bytes: Uint8Array, kindNumber: number, count: number): void {
    const btf = Btf.parse(bytes);
    const resolver = new CoreResolver(btf, [{ name: 'vmlinux', btf }]);
    for (let index = 0; index < count; index += 1) {
      const access = kindNumber === BPF_CORE.ENUMVAL_VALUE ? `${index}` : `0:${index}`;
      const relocation = {
        offset: 0,
        typeId: 2,
        access,
        kindNumber,
        kind: coreKindName(kindNumber),
      };
      answer(() => resolver.resolve(relocation));
    }
  }

  it('asks for every member of a wide struct', () => {
    grows(
      700,
      (count) => {
        const types = new TypesBuilder();
        const int = types.int();
        types.addList(
          KIND.STRUCT,
          's',
          count * 4,
          times(count, (index) => [types.strings.add(`m${index}`), int, index * 32]),
        );
        return { bytes: types.write(), count };
      },
      ({ bytes, count }) => askAll(bytes, BPF_CORE.FIELD_BYTE_OFFSET, count),
    );
  });

  it('asks for every enumerator of a long enum', () => {
    grows(
      700,
      (count) => {
        const types = new TypesBuilder();
        types.int();
        types.addList(
          KIND.ENUM,
          'e',
          4,
          times(count, (index) => [types.strings.add(`E${index}`), index]),
        );
        return { bytes: types.write(), count };
      },
      ({ bytes, count }) => askAll(bytes, BPF_CORE.ENUMVAL_VALUE, count),
    );
  });

  it('compares structs whose members have no names', () => {
    grows(
      500,
      (count) => {
        const types = new TypesBuilder();
        types.int();
        const first = 3;
        types.addList(
          KIND.STRUCT,
          's',
          4,
          times(count, (index) => [0, first + index, 0]),
        );
        times(count, (index) =>
          types.addList(KIND.STRUCT, '', 4, [[types.strings.add(`m${index}`), 1, 0]]),
        );
        return types.write();
      },
      (bytes) => {
        const local = Btf.parse(bytes);
        const target = Btf.parse(bytes);
        const kindNumber = BPF_CORE.TYPE_MATCHES;
        const relocation = {
          offset: 0,
          typeId: 2,
          access: '0',
          kindNumber,
          kind: coreKindName(kindNumber),
        };
        new CoreResolver(local, [{ name: 'vmlinux', btf: target }]).resolve(relocation);
      },
    );
  });
});
