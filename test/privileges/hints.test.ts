/** The sentences on missing privileges, on both kernels' answers, without a kernel. */

import { describe, expect, it } from 'vitest';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { type Capability, holdsBy } from '../../src/kernel/capabilities.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { explainLoad } from '../../src/kernel/program-hints.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { SockMap } from '../../src/maps/sock-map.ts';
import { privilegeAdvice } from '../../src/programs/verifier-privileges.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';

describe('the capabilities of a process', () => {
  // Of `setpriv --inh-caps=-all,+bpf,+net_admin ... grep CapEff /proc/self/status`, and so on.
  it.each([
    ['0000008000001000', ['CAP_BPF', 'CAP_NET_ADMIN']],
    ['0000004000000000', ['CAP_PERFMON']],
    ['0000000000000000', []],
    // CAP_SYS_ADMIN is the others too.
    ['0000000000200000', ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON', 'CAP_SYS_ADMIN']],
  ] as const)('of the mask %s are %j', (mask, expected) => {
    const all: Capability[] = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON', 'CAP_SYS_ADMIN'];
    const status = `Name:\tnode\nCapPrm:\tffffffffffffffff\nCapEff:\t${mask}\n`;
    expect(all.filter((capability) => holdsBy(status, capability))).toEqual(expected);
  });

  it('are not known of a text without them', () => {
    expect(holdsBy('Name:\tnode\n', 'CAP_BPF')).toBeNull();
  });
});

describe('a refusal by the in-process kernel', () => {
  it('names what is missing for a type of map, as Linux is understood to', () => {
    const create = (capabilities: readonly Capability[]) => () => {
      const kernel = new MemoryKernel({ capabilities });
      HashMap.create({ key: u32, value: u64, maxEntries: 1, kernel }).close();
    };
    expect(create([])).toThrow(/maps of type hash need root or CAP_BPF .*lacks CAP_BPF\)$/);
    expect(create(['CAP_BPF'])).not.toThrow();
    const sockets = (capabilities: readonly Capability[]) => () => {
      const kernel = new MemoryKernel({ capabilities });
      SockMap.create({ maxEntries: 1, kernel }).close();
    };
    expect(sockets(['CAP_BPF'])).toThrow(/type sockmap .*lacks CAP_NET_ADMIN\)$/);
    expect(sockets(['CAP_BPF', 'CAP_NET_ADMIN'])).not.toThrow(/CAP_/);
  });
});

describe('a refusal of programs for infrared receivers', () => {
  const refusal = (...held: readonly Capability[]) =>
    explainLoad(
      BPF_PROG_TYPE.LIRC_MODE2,
      ERRNO.EPERM,
      () => null,
      (one) => held.includes(one),
    );

  it('names CAP_BPF, and for who has that CAP_NET_ADMIN, which Linux 6.1 wants and 6.18 does not', () => {
    expect(refusal()).toMatch(/need root or CAP_BPF \(.*lacks CAP_BPF$/);
    expect(refusal('CAP_NET_ADMIN')).toMatch(/need root or CAP_BPF \(.*lacks CAP_BPF$/);
    expect(refusal('CAP_BPF')).toMatch(/CAP_BPF and CAP_NET_ADMIN \(.*lacks CAP_NET_ADMIN$/);
  });
});

describe("the verifier's log", () => {
  it.each([
    'R7 pointer -= pointer prohibited',
    'R1 pointer comparison prohibited',
    'R0 leaks addr as return value',
    'R2 leaks addr into helper function',
    'attempt to corrupt spilled pointer on stack',
    'R1 variable stack access prohibited for !root, var_off=(0x0; 0x4) off=-8',
    'program of this type cannot use helper bpf_trace_printk#6',
    'unknown func bpf_probe_read_kernel#113',
  ])('is about something that CAP_PERFMON allows if it says: %s', (line) => {
    expect(privilegeAdvice(`0: (bf) r1 = r10\n${line}\nprocessed 1 insns\n`)).toMatch(
      /allows th\w+ (?:helper )?to loaders with CAP_PERFMON/,
    );
  });

  it.each([
    'R1 pointer += pointer prohibited',
    'R1 pointer arithmetic on map_ptr prohibited',
    'invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)',
    'program of this type cannot use helper bpf_redirect_map#51',
  ])('is about something that is wrong for anybody if it says: %s', (line) => {
    expect(privilegeAdvice(`${line}\n`)).toBeUndefined();
  });
});
