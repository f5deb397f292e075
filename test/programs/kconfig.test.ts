/**
 * Contents of `.kconfig`: values as libbpf 1.7 writes them (fixtures/expected/libbpf-kconfig, made by
 * fixtures/oracle/libbpf-kconfig.c), and where skep goes further.
 */

import { describe, expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { kconfigContents } from '../../src/programs/kconfig.ts';
import { configured } from '../../src/programs/kconfig-file.ts';
import { fixtureJson, fixturePath, openFixture } from '../support/fixtures.ts';
import { cookieOf, valuesOf } from './kconfig-values.ts';
import { partialKernel } from './partial-kernel.ts';

interface Recorded {
  readonly cases: readonly {
    readonly config: string;
    readonly errno: number;
    readonly contents: string | null;
  }[];
}

/** Every type of option, all weak, all called `CONFIG_SKEP_...`. */
const options = ObjectFile.open(fixturePath('run/options.bpf.o'));
/** Options of real kernels: two weak ones, the others strong; and two virtual ones. */
const real = openFixture('data/kconfig');

const REAL_CONFIG = `#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_BPF_SYSCALL=y
CONFIG_BPF_JIT=m
CONFIG_HZ=250
# CONFIG_HZ_1000 is not set
CONFIG_LOG_BUF_SHIFT=17
CONFIG_ARCH_HAS_SYSCALL_WRAPPER=y
CONFIG_DEFAULT_HOSTNAME="(none)"
`;

function withConfig(configuration: string | null, parts: Partial<Kernel> = {}): Kernel {
  const version = () => 0x061200;
  return partialKernel({ name: 'linux', configuration: () => configuration, version, ...parts });
}

function nameOf(config: string): string {
  return config.slice(0, config.indexOf('='));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

describe('a line of the kernel configuration', () => {
  const { cases } = fixtureJson<Recorded>('expected/libbpf-kconfig/options.json');

  it('was given to libbpf for every type, and often refused', () => {
    expect(cases.length).toBeGreaterThan(500);
    expect(cases.filter(({ errno }) => errno !== 0).length).toBeGreaterThan(100);
  });

  const names = [...new Set(cases.map(({ config }) => nameOf(config)))];
  it.each(names)('%s is taken as libbpf takes it', (name) => {
    for (const { config, contents } of cases) {
      if (nameOf(config) !== name) {
        continue;
      }
      if (contents !== null) {
        expect(hex(kconfigContents(options, withConfig(config))), config).toBe(contents);
        continue;
      }
      expect(() => kconfigContents(options, withConfig(config)), config).toThrow(
        expect.objectContaining({
          code: 'ERR_SKEP_LOAD',
          message: expect.stringContaining(`the kernel has ${config}, which the object's`),
        }),
      );
    }
  });
});

describe('the contents of .kconfig', () => {
  it('are the values of the kernel, and 0 for weak options that are not set', () => {
    expect(valuesOf(real, kconfigContents(real, withConfig(REAL_CONFIG)))).toEqual({
      CONFIG_BPF_SYSCALL: 1,
      CONFIG_BPF_JIT: 2,
      CONFIG_HZ: 250,
      CONFIG_LOG_BUF_SHIFT: 17,
      CONFIG_DEFAULT_HOSTNAME: '(none)',
      CONFIG_SKEP_LETTER: 0,
      CONFIG_SKEP_MISSING: 0,
      LINUX_KERNEL_VERSION: 0x061200,
      LINUX_HAS_SYSCALL_WRAPPER: 1,
    });
  });

  it('are in the byte order of the machine', () => {
    const kernel = withConfig('CONFIG_SKEP_U32=0x01020304', { littleEndian: false });
    const { offset } = options.data
      .get('.kconfig')!
      .variables.find(({ name }) => name === 'CONFIG_SKEP_U32')!;
    const contents = kconfigContents(options, kernel);
    expect(hex(contents.subarray(offset, offset + 4))).toBe('01020304');
  });

  it('are none for an object without options, and the kernel is not asked', () => {
    expect(kconfigContents(openFixture('data/sections'), partialKernel({}))).toHaveLength(0);
  });

  it('are found in a file with Windows line ends and without a newline at its end', () => {
    const text = 'CONFIG_A=y\r\nCONFIG_B=\r\nCONFIG_C\nCONFIG_D="x=y"\nCONFIG_A=n\nCONFIG_E=5';
    const names = new Set(['CONFIG_A', 'CONFIG_B', 'CONFIG_C', 'CONFIG_D', 'CONFIG_E', 'CONFIG_F']);
    expect([...configured(text, names)]).toEqual([
      ['CONFIG_A', 'y'],
      ['CONFIG_D', '"x=y"'],
      ['CONFIG_E', '5'],
    ]);
  });

  it('cannot be had if strong options are not set: one error names them all', () => {
    const config = REAL_CONFIG.replace(/CONFIG_HZ=.*\n|CONFIG_BPF_JIT=.*\n/g, '');
    expect(() => kconfigContents(real, withConfig(config))).toThrow(
      expect.objectContaining({
        code: 'ERR_SKEP_LOAD',
        message: expect.stringMatching(
          /CONFIG_BPF_JIT, CONFIG_HZ \(not set .*\/proc\/config\.gz\); declare them __weak, or .* kernelConfig/,
        ),
      }),
    );
  });

  it('cannot be had from a kernel that does not tell its configuration, not even weak options', () => {
    expect(() => kconfigContents(options, withConfig(null))).toThrow(
      /CONFIG_SKEP_U64, .*CONFIG_SKEP_TEXT \(the kernel does not tell its configuration/,
    );
  });

  it('are not advised to be weak where that would not help', () => {
    const silent = withConfig(null, { symbolAddresses: () => new Map() });
    const refused = (object: ObjectFile) => () => kconfigContents(object, silent);
    for (const object of [options, real]) {
      expect(refused(object)).toThrow(/; give their values in the load option kernelConfig$/);
      expect(refused(object)).not.toThrow(/__weak/);
    }
  });

  it('are looked for in an option of a kernel of a test', () => {
    const place = /: the option configuration of the in-process kernel|looked at the option conf/;
    expect(() => kconfigContents(real, new MemoryKernel())).toThrow(place);
    expect(() => kconfigContents(real, new MemoryKernel({ configuration: '' }))).toThrow(place);
  });

  it('are asked of the kernel once', () => {
    let asked = 0;
    const configuration = () => {
      asked += 1;
      return REAL_CONFIG;
    };
    kconfigContents(real, partialKernel({ configuration, version: () => 1 }));
    expect(asked).toBe(1);
  });
});

describe('options that are in no configuration', () => {
  const given = {
    CONFIG_BPF_SYSCALL: true,
    CONFIG_BPF_JIT: 'm',
    CONFIG_HZ: 100,
    CONFIG_LOG_BUF_SHIFT: 1,
    CONFIG_DEFAULT_HOSTNAME: '',
    CONFIG_SKEP_LETTER: 'x',
    CONFIG_SKEP_MISSING: 0,
  } as const;

  it.each([
    ['yes where a name of wrapped system calls is among the symbols', '__arm64_sys_bpf', 1],
    ['no where none is', '__arm64_sys_other', 0],
  ])('say of system call wrappers, without a configuration: %s', (_, symbol, wanted) => {
    const symbolAddresses = (names: ReadonlySet<string>) =>
      new Map(names.has(symbol) ? [[symbol, 0n]] : []);
    const contents = kconfigContents(real, withConfig(null, { symbolAddresses }), given);
    expect(valuesOf(real, contents).LINUX_HAS_SYSCALL_WRAPPER).toBe(wanted);
  });

  it('cannot hold a version that the kernel does not tell', () => {
    expect(() => kconfigContents(real, withConfig(REAL_CONFIG, { version: () => 0 }))).toThrow(
      /does not tell its version; give LINUX_KERNEL_VERSION/,
    );
  });
});

describe('values that the caller gives', () => {
  const none = partialKernel({});
  const rest = Object.fromEntries(
    options.data.get('.kconfig')!.variables.map(({ name, type }) => {
      return [name, type!.includes('[') ? '' : type!.includes('enum') ? 'n' : 0];
    }),
  );

  it('go before those of the kernel, which is asked for none if all are given', () => {
    expect(new Set(kconfigContents(options, none, rest))).toEqual(new Set([0]));
    const contents = kconfigContents(real, withConfig(REAL_CONFIG), {
      CONFIG_HZ: 1000,
      LINUX_KERNEL_VERSION: 0x050400,
    });
    expect(valuesOf(real, contents)).toMatchObject({
      CONFIG_HZ: 1000,
      CONFIG_BPF_JIT: 2,
      LINUX_KERNEL_VERSION: 0x050400,
    });
  });

  it.each([
    ['BOOL', true, '01'],
    ['BOOL', 'n', '00'],
    ['BOOL', 1, '01'],
    ['TRISTATE', 'm', '02000000'],
    ['TRISTATE', true, '01000000'],
    ['TRISTATE', false, '00000000'],
    ['CHAR', 'y', '79'],
    ['CHAR', '7', '37'],
    ['CHAR', -128, '80'],
    ['U8', 255, 'ff'],
    ['S16', -2, 'feff'],
    ['U32', '0x10', '10000000'],
    ['S32', '-1', 'ffffffff'],
    ['U64', 0xffff_ffff_ffff_ffffn, 'ffffffffffffffff'],
    ['S64', -(2n ** 63n), '0000000000000080'],
    ['TEXT', 'grün', '6772c3bc6e000000'],
  ])('are written by type: %s %s as %s', (short, value, wanted) => {
    const name = `CONFIG_SKEP_${short}`;
    const contents = kconfigContents(options, none, { ...rest, [name]: value });
    const { offset, size } = options.data
      .get('.kconfig')!
      .variables.find((variable) => variable.name === name)!;
    expect(hex(contents.subarray(offset, offset + size))).toBe(wanted);
  });

  it.each([
    ['BOOL', 'm', /kernelConfig\.CONFIG_SKEP_BOOL: expected a boolean, "y" or "n", got "m"/],
    ['BOOL', 2, /expected a boolean, "y" or "n", got 2/],
    ['TRISTATE', 1, /expected a boolean, "y", "m" or "n", got 1/],
    ['CHAR', 'yes', /expected one character, or an integer of 8 bits, got "yes"/],
    ['CHAR', 128, /expected one character, or an integer of 8 bits, got 128/],
    ['CHAR', 'ü', /expected one character/],
    ['U8', -1, /an integer of 8 bits without sign, got -1/],
    ['S32', 2 ** 31, /expected an integer of 32 bits, got 2147483648/],
    ['U64', -1n, /expected an integer of 64 bits without sign, got -1n/],
    ['U64', 2 ** 60, /expected an integer of 64 bits without sign/],
    ['S64', 2n ** 63n, /expected an integer of 64 bits, got/],
    ['S32', true, /expected an integer of 32 bits, got true/],
    ['S32', 1.5, /expected an integer of 32 bits, got 1.5/],
    ['S32', '1x', /expected an integer of 32 bits, got "1x"/],
    ['TEXT', '12345678', /expected text of 7 bytes at most, got "12345678"/],
    ['TEXT', 5, /expected text of 7 bytes at most, got 5/],
    ['TEXT', 'a\0b', /expected text/],
  ])('are refused if the type cannot hold them: %s %s', (short, value, message) => {
    const overrides = { ...rest, [`CONFIG_SKEP_${short}`]: value };
    expect(() => kconfigContents(options, none, overrides)).toThrow(
      expect.objectContaining({ name: 'ValueError', message: expect.stringMatching(message) }),
    );
  });

  it('are refused for options that the object does not have', () => {
    expect(() => kconfigContents(real, none, { CONFIG_HZZ: 1 })).toThrow(
      /no kernel option "CONFIG_HZZ"; did you mean "CONFIG_HZ"\?/,
    );
    expect(() => kconfigContents(openFixture('data/sections'), none, { CONFIG_HZ: 1 })).toThrow(
      /no kernel option "CONFIG_HZ"; it has none/,
    );
  });
});

describe('LINUX_HAS_BPF_COOKIE', () => {
  it.each([
    ['1 where a tracepoint program with that helper loads', true, 1],
    ['0 where it is refused', false, 0],
  ])('is %s', (_, loads, wanted) => {
    const closed: number[] = [];
    const kernel = partialKernel({
      version: () => 0x050000,
      loadProgram: ({ instructions }) => {
        // call 174; exit
        expect(hex(instructions)).toBe('85000000ae0000009500000000000000');
        if (loads) return 7;
        throw new SyscallError('x', { command: 'BPF_PROG_LOAD', errno: 22, errnoName: 'EINVAL' });
      },
      close: (fd) => closed.push(fd),
    });
    expect(cookieOf(kernel)).toBe(wanted);
    expect(closed).toEqual(loads ? [7] : []);
  });
});
