/** `skep doctor`. What the probes answer is tested in test/probes. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { type Diagnosis, doctorCommand } from '../../src/cli/doctor.ts';
import {
  decodeCapabilities,
  kernelTypes,
  lockdownMode,
  lockedMemoryLimit,
} from '../../src/cli/doctor-system.ts';
import { CommandError } from '../../src/cli/usage.ts';
import { KernelUnavailableError, SkepError, SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { describeKernel } from '../support/kernel.ts';
import { runHere } from './in-process.ts';
import { objectPath } from './skep.ts';

const DEMO = objectPath('demo');
const HEADER = '/usr/include/linux/capability.h';

async function diagnose(args: readonly string[], kernel?: Kernel) {
  const { status, stdout, stderr } = await runHere(['doctor', ...args, '--json'], kernel);
  const document = JSON.parse(stdout) as { format: number } & Diagnosis;
  return { status, stderr, document };
}

/** Refusal of a call, as Linux words it in the log. */
function refuseCall(kernel: MemoryKernel, words: string): void {
  const load = kernel.loadProgram.bind(kernel);
  vi.spyOn(kernel, 'loadProgram').mockImplementation((attributes, log) => {
    const { instructions } = attributes;
    // Two instructions, the first of which is a call: this is no program of an object.
    if (instructions.length !== 16 || instructions[0] !== 0x85 || log === null) {
      return load(attributes, log);
    }
    log.buffer.set(new TextEncoder().encode(`0: (85) call\n${words}\n\0`));
    const errno = ERRNO.EINVAL;
    throw new SyscallError('p', { command: 'BPF_PROG_LOAD', errno, errnoName: 'EINVAL' });
  });
}

describe('skep doctor', () => {
  it('shows what a kernel can do', async () => {
    const { status, stdout, stderr } = await runHere(['doctor', '--kernel', 'memory']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/\d+ of 35 map types +yes\n {2}hash, array, /);
    expect(stdout).toMatch(/^global variables +5\.2 +yes$/m);
    // It is no system of its own.
    expect(stdout).not.toContain('SYSTEM');
  });

  it('prints the same as JSON', async () => {
    const { document, status } = await diagnose(['--kernel', 'memory']);
    expect(status).toBe(0);
    expect(document).toMatchObject({ format: 1, system: [], object: null });
    const { mapTypes, programTypes, features } = document.kernel!;
    expect(mapTypes[0]).toEqual({ name: 'hash', answer: 'yes', reason: null });
    expect(mapTypes).toHaveLength(35);
    expect(programTypes).toHaveLength(32);
    expect(features[0]).toMatchObject({ name: 'program names', since: '4.15' });
  });

  it('says that nothing is missing for an object', async () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    const { status, document } = await diagnose([DEMO], kernel);
    expect(document.object).toEqual({ file: DEMO, fits: true, findings: [] });
    expect(status).toBe(0);
    const { stdout } = await runHere(['doctor', DEMO], kernel);
    expect(stdout).toContain(`${DEMO}: the kernel has all that it needs\n`);
    expect(kernel.openDescriptors()).toEqual([]);
  });

  it('says which maps the kernel cannot create, and fails', async () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    const create = kernel.createMap.bind(kernel);
    vi.spyOn(kernel, 'createMap').mockImplementation((attributes) => {
      if (attributes.type === BPF_MAP_TYPE.HASH_OF_MAPS) {
        const errno = ERRNO.EINVAL;
        throw new SyscallError('map', { command: 'BPF_MAP_CREATE', errno, errnoName: 'EINVAL' });
      }
      return create(attributes);
    });
    const { status, stderr, document } = await diagnose([DEMO], kernel);
    expect(document.object).toMatchObject({
      fits: false,
      findings: [
        {
          subject: 'map "tenants"',
          needs: 'map type hash_of_maps',
          answer: 'no',
          reason: 'the kernel has no such maps (BPF_MAP_CREATE gives EINVAL)',
          required: true,
        },
      ],
    });
    expect(status).toBe(1);
    expect(stderr).toContain('cannot do all that it needs');
  });

  it('says once what privileges are missing', async () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    vi.spyOn(kernel, 'createMap').mockImplementation(() => {
      const errno = ERRNO.EPERM;
      const hint = 'needs CAP_BPF';
      throw new SyscallError('m', { command: 'BPF_MAP_CREATE', errno, errnoName: 'EPERM', hint });
    });
    const { status, stdout } = await runHere(['doctor', DEMO], kernel);
    expect(status).toBe(1);
    const [, ofTheObject] = stdout.split('OF THE OBJECT');
    expect(ofTheObject!.match(/BPF_MAP_CREATE gives EPERM/g)!.length).toBeGreaterThan(3);
    expect(ofTheObject!.match(/needs CAP_BPF/g)).toHaveLength(1);
  });

  it('says which helpers a program may not call', async () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    refuseCall(kernel, 'program of this type cannot use helper bpf_map_lookup_elem#1');
    const { document } = await diagnose([DEMO], kernel);
    expect(document.object?.findings).toContainEqual({
      subject: expect.stringMatching(/^program "/),
      needs: 'helper bpf_map_lookup_elem',
      answer: 'no',
      reason: 'a xdp program cannot call bpf_map_lookup_elem here',
      required: true,
    });
  });

  it('takes a refusal of the arguments for a helper that is there', async () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    refuseCall(kernel, 'R1 type=ctx expected=map_ptr');
    expect((await diagnose([DEMO], kernel)).document.object?.fits).toBe(true);
  });

  it('says which options of the kernel are missing', async () => {
    const file = objectPath('data/kconfig');
    const kernel = new MemoryKernel({ cpus: 2, configuration: 'CONFIG_NOTHING=y\n' });
    const { document } = await diagnose([file], kernel);
    expect(document.object).toMatchObject({
      fits: false,
      findings: [
        {
          subject: 'section ".kconfig"',
          needs: 'options of the kernel',
          answer: 'no',
          reason: expect.stringContaining('CONFIG_HZ'),
        },
      ],
    });
  });

  it('says that types are missing, and does not fail for what may be dead code', async () => {
    const file = objectPath('programs/core');
    const none = await diagnose([file], new MemoryKernel({ cpus: 2 }));
    expect(none.document.object?.findings).toContainEqual(
      expect.objectContaining({ needs: 'CO-RE', answer: 'no' }),
    );
    // Types of something else altogether.
    const kernelBtf = await emptyKernelTypes();
    const { status, document } = await diagnose([file], new MemoryKernel({ cpus: 2, kernelBtf }));
    const { findings, fits } = document.object!;
    expect(findings.length).toBeGreaterThan(0);
    for (const { needs, answer } of findings) {
      expect({ needs, answer }).toEqual({
        needs: expect.stringMatching(/^CO-RE (struct|union|enum|typedef) /),
        answer: 'unknown',
      });
    }
    expect({ fits, status }).toEqual({ fits: true, status: 0 });
  });

  it.each<[string, 'no' | 'not permitted', () => Uint8Array]>([
    ['damaged', 'no', () => new Uint8Array(100)],
    [
      'a directory',
      'no',
      () => {
        throw unreadable('EISDIR');
      },
    ],
    [
      'for others',
      'not permitted',
      () => {
        throw unreadable('EACCES');
      },
    ],
  ])('reports that the types of the kernel are %s', async (_, answer, kernelBtf) => {
    const kernel = new MemoryKernel({ cpus: 2 });
    vi.spyOn(kernel, 'kernelBtf').mockImplementation(kernelBtf);
    const all = await diagnose([], kernel);
    expect(all.status).toBe(0);
    expect(all.document.kernel!.features).toContainEqual(
      expect.objectContaining({ name: 'module btf', answer: 'unknown' }),
    );
    for (const [object, needs] of [
      ['programs/core', 'CO-RE'],
      ['programs/every-section', 'what it is for'],
    ] as const) {
      const { status, document } = await diagnose([objectPath(object)], kernel);
      expect(status).toBe(1);
      expect(document.object?.findings).toContainEqual({
        subject: expect.stringMatching(/^program "/),
        needs,
        answer,
        reason: expect.stringMatching(/^the types of the running kernel cannot be used: ./),
        required: true,
      });
    }
  });

  it('says what programs there is no place for', async () => {
    const { status, document } = await diagnose(
      [objectPath('programs/unknown-section')],
      new MemoryKernel({ cpus: 2 }),
    );
    expect(status).toBe(1);
    const subjects = document.object?.findings.map(({ subject, required }) => [subject, required]);
    expect(subjects).toContainEqual(['program "misspelt"', true]);
    // Its section starts with a question mark.
    expect(subjects).toContainEqual(['program "optional_unknown"', false]);
  });

  it('says that an object is for other machines, and nothing else of it', async () => {
    const { status, document } = await diagnose(
      [objectPath('programs/core.eb')],
      new MemoryKernel({ cpus: 2, littleEndian: true }),
    );
    expect(status).toBe(1);
    expect(document.object?.findings).toMatchObject([{ needs: 'byte order big', answer: 'no' }]);
  });

  it('says what is wrong with a file before it asks the kernel', async () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    const create = vi.spyOn(kernel, 'createMap');
    const { status, stdout, stderr } = await runHere(['doctor', '/does/not/exist'], kernel);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('ERR_SKEP_FILE');
    expect(create).not.toHaveBeenCalled();
  });

  it('has something to say where there is no kernel', () => {
    const printed = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    const open = () => {
      throw new KernelUnavailableError('this is not Linux');
    };
    try {
      expect(() =>
        doctorCommand(DEMO, { json: true, kernel: 'linux' }, { open, endsWithCommand: false }),
      ).toThrow(new CommandError(`${DEMO}: there is no kernel to load it into`));
      const document = JSON.parse(String(printed.mock.calls[0]![0]));
      expect(document).toMatchObject({ kernel: null, object: { fits: false, findings: [] } });
      expect(document.system).toContainEqual(expect.objectContaining({ name: 'BPF file system' }));
    } finally {
      printed.mockRestore();
    }
  });
});

/** As reading the kernel's BTF fails. */
function unreadable(code: string): SkepError {
  const cause = Object.assign(new Error(code), { code });
  return new SkepError('ERR_SKEP_FILE', `it cannot be read (${code})`, { cause });
}

/** BTF with one type that no object looks for. */
async function emptyKernelTypes(): Promise<Uint8Array> {
  const { intType, smallBtf } = await import('../../src/probes/small-btf.ts');
  return smallBtf(['nobody_looks_for_this'], [intType(1)], true);
}

describeKernel('skep doctor', () => {
  it('shows this system', async () => {
    const { status, document } = await diagnose([]);
    expect(status).toBe(0);
    const facts = new Map(document.system.map(({ name, value }) => [name, value]));
    expect(facts.get('kernel')).toContain(
      readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    );
    expect(facts.get('native shim')).toBe('found');
    expect(facts.get('BPF file system')).toBe('/sys/fs/bpf');
    expect(facts.get('kernel BTF')).toBe(
      existsSync('/sys/kernel/btf/vmlinux') ? '/sys/kernel/btf/vmlinux' : 'none',
    );
  });

  it('finds nothing that is missing for an object that loads', async () => {
    expect((await diagnose([DEMO])).document.object?.findings).toEqual([]);
  });

  it('finds functions that the kernel does not have', async () => {
    const { document } = await diagnose([objectPath('programs/every-section')]);
    expect(document.object?.findings).toContainEqual(
      expect.objectContaining({
        subject: 'program "on_fentry"',
        answer: 'no',
        reason: expect.stringContaining('example_function'),
      }),
    );
  });
});

describe('what files say of a system', () => {
  describe('is whether the kernel has types', () => {
    const directory = mkdtempSync(join(tmpdir(), 'skep-doctor-'));
    const own = join(directory, 'vmlinux');
    afterEach(() => rmSync(own, { recursive: true, force: true }));
    afterAll(() => rmSync(directory, { recursive: true }));
    const said = () => kernelTypes(directory).map(({ name, value, note }) => [name, value, note]);

    it('that are there and can be read, then those of modules', async () => {
      writeFileSync(own, await emptyKernelTypes());
      writeFileSync(join(directory, 'a_module'), '');
      expect(said()).toEqual([
        ['kernel BTF', own, ''],
        ['BTF of modules', 'a_module', ''],
      ]);
    });

    it('or none, with what the kernel needs', () => {
      expect(said()).toEqual([
        ['kernel BTF', 'none', expect.stringMatching(/^no CO-RE.*CONFIG_DEBUG_INFO_BTF$/)],
      ]);
    });

    it('or some that are damaged', () => {
      writeFileSync(own, 'no BTF at all');
      expect(said()).toEqual([['kernel BTF', 'unusable', expect.stringMatching(/^no CO-RE.*BTF/)]]);
    });

    it('or a directory in their place', () => {
      mkdirSync(own);
      expect(said()).toEqual([
        ['kernel BTF', 'unusable', expect.stringMatching(/EISDIR\): it is a directory/)],
      ]);
    });
  });

  it('is which capabilities a process has', () => {
    expect(decodeCapabilities('0000000000000000')).toEqual([]);
    // CAP_NET_ADMIN 12, CAP_PERFMON 38, CAP_BPF 39 (include/uapi/linux/capability.h), and one to come.
    expect(decodeCapabilities('000080c000001000')).toEqual(['NET_ADMIN', 'PERFMON', 'BPF', '47']);
  });

  it.skipIf(!existsSync(HEADER))('is named as in the header of this system', () => {
    const lines = readFileSync(HEADER, 'utf8').matchAll(/^#define CAP_(\w+)\s+(\d+)$/gm);
    let found = 0;
    for (const [, name, number] of lines) {
      found += 1;
      expect(decodeCapabilities((1n << BigInt(number!)).toString(16))).toEqual([name]);
    }
    expect(found).toBeGreaterThan(38);
  });

  it('is whether the kernel is locked down', () => {
    expect(lockdownMode('none [integrity] confidentiality\n')).toBe('integrity');
    expect(lockdownMode('[none] integrity confidentiality\n')).toBe('none');
    expect(lockdownMode('')).toBeNull();
  });

  it('is how much memory may be locked', () => {
    const line = 'Max locked memory         8388608              8388608              bytes     \n';
    expect(lockedMemoryLimit(`Limit Soft Limit\n${line}`)).toBe(8_388_608);
    expect(lockedMemoryLimit(line.replaceAll('8388608', 'unlimited'))).toBe(
      Number.POSITIVE_INFINITY,
    );
    expect(lockedMemoryLimit('')).toBeNull();
  });
});
