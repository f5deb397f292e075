/** What a kernel can do, as asked by trying; compared with bpftool, and with the version of the kernel. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { SkepError, SyscallError } from '../../src/errors.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { hasMapType } from '../../src/kernel/memory/create-rules.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { FEATURES, FeatureSet, features } from '../../src/probes/features.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { BPF_FUNC, helperName } from '../../src/uapi/helpers.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../../src/uapi/map-types.ts';
import { BPF_PROG_TYPE, programTypeName } from '../../src/uapi/program-types.ts';
import { describeKernel } from '../support/kernel.ts';
import { hasProgram, output } from '../support/programs.ts';

const MAP_TYPES = [...new Set(Object.values(BPF_MAP_TYPE))].filter((type) => type > 0);
const PROGRAM_TYPES = Object.values(BPF_PROG_TYPE).filter((type) => type > 0);

interface BpftoolFeatures {
  readonly program_types: Readonly<Record<string, boolean>>;
  readonly map_types: Readonly<Record<string, boolean>>;
  readonly helpers: Readonly<Record<string, readonly string[]>>;
}

/** Types whose programs bpftool cannot ask about where the kernel is locked down; it then says no. */
const NEED_MORE = new Set<number>([BPF_PROG_TYPE.TRACING, BPF_PROG_TYPE.EXT, BPF_PROG_TYPE.LSM]);

/** Helpers that bpftool asks for with "full" only, or that came after it. */
const NOT_ASKED = new Set([
  'bpf_trace_printk',
  'bpf_trace_vprintk',
  'bpf_probe_write_user',
  'bpf_cgrp_storage_get',
  'bpf_cgrp_storage_delete',
]);

describeKernel('the features of the running kernel', () => {
  it('are asked of it if no other is given', () => {
    expect(features()).toBe(features(linuxKernel()));
    expect(features().helper('xdp', 'redirect_map').answer).toBe('yes');
  });
});

describeKernel('what bpftool says of this kernel', () => {
  const canAsk = hasProgram('bpftool');
  const said = (): BpftoolFeatures =>
    JSON.parse(output('bpftool', '-j', 'feature', 'probe', 'kernel'));

  it.skipIf(!canAsk)('skep says of map types', () => {
    const { map_types } = said();
    const set = features(linuxKernel());
    let compared = 0;
    for (const type of MAP_TYPES) {
      const theirs = map_types[`have_${mapTypeName(type)}_map_type`];
      // Those that came after it are in none of its lists.
      if (theirs !== undefined) {
        compared += 1;
        expect(set.mapType(type).answer, mapTypeName(type)).toBe(theirs ? 'yes' : 'no');
      }
    }
    expect(compared).toBeGreaterThan(25);
  });

  it.skipIf(!canAsk)('skep says of program types, or that it may not ask', () => {
    const { program_types } = said();
    const set = features(linuxKernel());
    let compared = 0;
    for (const type of PROGRAM_TYPES) {
      const theirs = program_types[`have_${programTypeName(type)}_prog_type`];
      if (theirs === undefined) {
        continue;
      }
      compared += 1;
      const { answer, reason } = set.programType(type);
      if (answer === 'not permitted') {
        expect(NEED_MORE, reason!).toContain(type);
        expect(theirs).toBe(false);
      } else {
        expect(answer, programTypeName(type)).toBe(theirs ? 'yes' : 'no');
      }
    }
    expect(compared).toBeGreaterThan(25);
  });

  // bpftool with libbpf 1.1 does not know how newer kernels say no, and lists what they refuse.
  it.skipIf(!canAsk)('includes every helper that skep finds', () => {
    const { helpers } = said();
    const set = features(linuxKernel());
    for (const type of [BPF_PROG_TYPE.XDP, BPF_PROG_TYPE.TRACEPOINT]) {
      const theirs = new Set(helpers[`${programTypeName(type)}_available_helpers`]);
      const ours = Object.values(BPF_FUNC)
        .filter((helper) => helper > 0 && set.helper(type, helper).answer === 'yes')
        .map((helper) => helperName(helper)!);
      expect(ours.length).toBeGreaterThan(50);
      expect(ours.filter((name) => !theirs.has(name) && !NOT_ASKED.has(name))).toEqual([]);
    }
  });
});

describeKernel('probes', () => {
  it('know which helpers are for which programs', () => {
    const set = features(linuxKernel());
    const { XDP, TRACEPOINT, SCHED_CLS } = BPF_PROG_TYPE;
    // As the tables of bpf-helpers(7) have it.
    expect(set.helper(XDP, BPF_FUNC.map_lookup_elem).answer).toBe('yes');
    expect(set.helper(XDP, BPF_FUNC.xdp_adjust_head).answer).toBe('yes');
    expect(set.helper(XDP, BPF_FUNC.skb_store_bytes).answer).toBe('no');
    expect(set.helper(SCHED_CLS, BPF_FUNC.skb_store_bytes).answer).toBe('yes');
    expect(set.helper(SCHED_CLS, BPF_FUNC.xdp_adjust_head).answer).toBe('no');
    expect(set.helper(TRACEPOINT, BPF_FUNC.probe_read).answer).toBe('yes');
    expect(set.helper(XDP, BPF_FUNC.probe_read)).toEqual({
      answer: 'no',
      reason: 'a xdp program cannot call bpf_probe_read here',
    });
    expect(set.helper(XDP, 4000).answer).toBe('no');
  });

  it('say of programs with a target only which helpers there are none of', () => {
    const set = features(linuxKernel());
    const { TRACING } = BPF_PROG_TYPE;
    expect(set.helper(TRACING, BPF_FUNC.map_lookup_elem).answer).toBe('unknown');
    expect(set.helper(TRACING, 4000)).toEqual({
      answer: 'no',
      reason: 'the kernel has no helper 4000',
    });
  });

  it.each(FEATURES)('find what this version has: $name ($since)', ({ name, since }) => {
    const kernel = linuxKernel();
    const [major, minor] = since.split('.').map(Number);
    const { answer, reason } = features(kernel).feature(name);
    if (kernel.version() >= (major! << 16) + (minor! << 8)) {
      expect(answer, reason ?? '').toBe('yes');
    } else {
      // A distribution may have brought it to an older kernel.
      expect(['yes', 'no']).toContain(answer);
    }
  });
});

describe('probes in the process', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('find the map types that it has, and leave nothing behind', () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    const set = features(kernel);
    for (const type of MAP_TYPES) {
      expect(set.mapType(type).answer, mapTypeName(type)).toBe(hasMapType(type) ? 'yes' : 'no');
    }
    for (const { name } of FEATURES) {
      set.feature(name);
    }
    for (const type of PROGRAM_TYPES) {
      set.programType(type);
    }
    expect(kernel.openDescriptors()).toEqual([]);
    expect(kernel.mapIds()).toEqual([]);
  });

  function refuse(kernel: MemoryKernel, errnoName: keyof typeof ERRNO, hint?: string) {
    const errno = ERRNO[errnoName];
    return vi.spyOn(kernel, 'createMap').mockImplementation(() => {
      throw new SyscallError('map', { command: 'BPF_MAP_CREATE', errno, errnoName, hint });
    });
  }

  it('ask once', () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    const create = refuse(kernel, 'EINVAL');
    const set = new FeatureSet(kernel);
    const answer = {
      answer: 'no',
      reason: 'the kernel has no such maps (BPF_MAP_CREATE gives EINVAL)',
    };
    expect(set.mapType(BPF_MAP_TYPE.HASH)).toEqual(answer);
    expect(set.mapType(BPF_MAP_TYPE.HASH)).toEqual(answer);
    expect(create).toHaveBeenCalledTimes(1);
    expect(features(kernel)).toBe(features(kernel));
  });

  it('tell what is not permitted from what is not there', () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    refuse(kernel, 'EPERM', 'needs CAP_BPF');
    expect(new FeatureSet(kernel).mapType(BPF_MAP_TYPE.HASH)).toEqual({
      answer: 'not permitted',
      reason: 'BPF_MAP_CREATE gives EPERM: needs CAP_BPF',
    });
  });

  it('do not take a lack of memory for an answer, and ask again', () => {
    const kernel = new MemoryKernel({ cpus: 2 });
    const create = refuse(kernel, 'ENOMEM');
    const set = new FeatureSet(kernel);
    expect(set.mapType(BPF_MAP_TYPE.HASH).answer).toBe('unknown');
    create.mockRestore();
    expect(set.mapType(BPF_MAP_TYPE.HASH).answer).toBe('yes');
  });

  it('take names as well as numbers', () => {
    const set = new FeatureSet(new MemoryKernel({ cpus: 2 }));
    expect(set.mapType('hash_of_maps')).toBe(set.mapType(BPF_MAP_TYPE.HASH_OF_MAPS));
    expect(set.programType('sched_cls')).toBe(set.programType(BPF_PROG_TYPE.SCHED_CLS));
    const answer = set.helper(BPF_PROG_TYPE.XDP, BPF_FUNC.redirect_map);
    expect(answer.answer).toBe('yes');
    expect(set.helper('xdp', 'redirect_map')).toBe(answer);
    expect(set.helper('xdp', 'bpf_redirect_map')).toBe(answer);
  });

  it.each<[(set: FeatureSet) => void, string]>([
    [(set) => set.mapType('hsah'), 'there is no map type "hsah"; did you mean "hash"?'],
    [(set) => set.programType('xpd'), 'there is no program type "xpd"; did you mean "xdp"?'],
    [(set) => set.helper('xdpp', 1), 'there is no program type "xdpp"; did you mean "xdp"?'],
    [
      (set) => set.helper('xdp', 'redirect_mapp'),
      'there is no helper "redirect_mapp"; did you mean "redirect_map"?',
    ],
  ])('say which name was most likely meant: $1', (ask, message) => {
    expect(() => ask(new FeatureSet(new MemoryKernel()))).toThrow(new TypeError(message));
  });

  it('say which feature was most likely meant', () => {
    const set = new FeatureSet(new MemoryKernel());
    expect(() => set.feature('global dta' as never)).toThrow(
      new RangeError('there is no feature "global dta"; did you mean "global data"?'),
    );
  });

  it.each<[string, () => Uint8Array]>([
    ['damaged', () => new Uint8Array(100)],
    [
      'unreadable',
      () => {
        throw new SkepError('ERR_SKEP_FILE', 'this user may not read it');
      },
    ],
  ])('do not know what %s types of the kernel would tell', (_, kernelBtf) => {
    const kernel = new MemoryKernel({ cpus: 2 });
    vi.spyOn(kernel, 'kernelBtf').mockImplementation(kernelBtf);
    const set = new FeatureSet(kernel);
    for (const { name } of FEATURES) {
      set.feature(name);
    }
    expect(set.feature('module btf')).toEqual({
      answer: 'unknown',
      reason: expect.stringMatching(/^the types of the kernel cannot be used: ./),
    });
    expect(set.helper('tracing', 'redirect_map').answer).toBe('unknown');
    expect(set.mapType('hash').answer).toBe('yes');
  });

  it('take no names and numbers that there are not', () => {
    const set = new FeatureSet(new MemoryKernel({ cpus: 2 }));
    expect(() => set.feature('toString' as never)).toThrow(RangeError);
    expect(set.mapType(99)).toEqual({
      answer: 'unknown',
      reason: 'nothing is known of a map type type_99',
    });
    expect(set.programType(99).answer).toBe('unknown');
  });
});
