/** Call stacks on the running kernel. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, expectTypeOf, it } from 'vitest';
import { load } from '../../src/loader/load.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { StackTrace } from '../../src/maps/stack-trace.ts';
import { BPF_CMD } from '../../src/uapi/commands.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { loadProgram, type TestProgram } from '../support/program.ts';
import { hasProgram, output } from '../support/programs.ts';

const KERNEL = { context: new Uint8Array(8) };
const USER = { context: new Uint8Array(8).fill(1) };

/** The file that is mapped at an address of this process. */
function mappedAt(address: bigint): string | undefined {
  for (const line of readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const found = /^(\w+)-(\w+) \S+ \w+ \S+ \d+ +(.*)$/.exec(line);
    const [start, end] = (found?.slice(1, 3) ?? []).map((part) => BigInt(`0x${part}`));
    if (found !== null && address >= start! && address < end!) {
      return found[3];
    }
  }
  return undefined;
}

/** The name of the kernel's function that an address is in. */
function functionAt(address: bigint): string | undefined {
  let best: { readonly start: bigint; readonly name: string } | undefined;
  for (const line of readFileSync('/proc/kallsyms', 'latin1').split('\n')) {
    const [start, , name] = line.split(' ');
    const at = BigInt(`0x${start || '0'}`);
    if (name !== undefined && at <= address && (best === undefined || at >= best.start)) {
      best = { start: at, name };
    }
  }
  return best?.name.split('\t')[0];
}

/** Has python3 run a program with a user's context; the path of the C library it did so by. */
function runByPython(program: TestProgram): string {
  const script = `
import ctypes, re, struct
context = ctypes.create_string_buffer(b'\\1' * 8, 8)
attributes = bytearray(80)
struct.pack_into('=I', attributes, 0, 3)
struct.pack_into('=I', attributes, 40, 8)
struct.pack_into('=Q', attributes, 48, ctypes.addressof(context))
block = ctypes.create_string_buffer(bytes(attributes), 80)
result = ctypes.CDLL(None).syscall(${process.arch === 'arm64' ? 280 : 321}, ${BPF_CMD.PROG_TEST_RUN}, block, 80)
assert result == 0, result
print(re.search(r'\\S+/libc[.-]\\S+', open('/proc/self/maps').read()).group(0))
`;
  const { stdout, stderr } = spawnSync('python3', ['-c', script], {
    stdio: ['ignore', 'pipe', 'pipe', program.fd],
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout.trim();
}

describeKernel('a map of stacks', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool'))('has the functions that a program was called by', () => {
    const path = `${pins.path}/stacks`;
    using stacks = StackTrace.create({ maxEntries: 64, name: 'stacks' });
    stacks.pin(path);
    using program = loadProgram('stack-id', pins.path, { stacks: path });
    const id = program.run(KERNEL);
    const { addresses, locations } = stacks.get(id)!;
    expect(locations).toEqual([]);
    const names = addresses.map(functionAt);
    expect(names[0]).toMatch(/^bpf_prog_.*_capture$/);
    expect(names).toContain('__sys_bpf');
    expect(names.indexOf('__sys_bpf')).toBeLessThan(names.indexOf('do_syscall_64') >>> 0);
    expect(addresses.every((address) => address > 0n)).toBe(true);
  });

  it.skipIf(!hasProgram('bpftool'))('has the functions of user space', () => {
    const path = `${pins.path}/stacks`;
    using stacks = StackTrace.create({ maxEntries: 64, name: 'stacks', depth: 3 });
    stacks.pin(path);
    using program = loadProgram('stack-id', pins.path, { stacks: path });
    const { addresses } = stacks.get(program.run(USER))!;
    expect(addresses.length).toBeGreaterThan(0);
    expect(addresses.length).toBeLessThanOrEqual(3);
    // The system call was made by the shim.
    expect(mappedAt(addresses[0]!)).toMatch(/skep\.linux-.*\.node$/);
  });

  it.skipIf(!['bpftool', 'python3', 'readelf'].every(hasProgram))(
    'keeps places in files instead, if asked',
    () => {
      const path = `${pins.path}/stacks`;
      using stacks = StackTrace.create({ maxEntries: 64, name: 'stacks', buildIds: true });
      stacks.pin(path);
      using program = loadProgram('stack-id', pins.path, { stacks: path });
      const own = stacks.get(program.run(USER))!;
      expect(own.addresses).toEqual([]);
      // Where the kernel finds no build id, which the shim has none of, it tells the address.
      const [first] = own.locations;
      expect(first!.buildId === null).toBe(mappedAt(first!.offset) !== undefined);
      stacks.clear();
      // The C library has one, by which python3 makes the call.
      const library = runByPython(program);
      const [called] = [...stacks.values()];
      expect(called!.locations[0]!.buildId).toMatch(/^[0-9a-f]{40}$/);
      expect(called!.locations[0]!.buildId).toBe(
        /Build ID: (\w+)/.exec(output('readelf', '-n', library))?.[1],
      );
    },
  );

  it.skipIf(!hasProgram('bpftool'))('is walked over, and emptied', () => {
    const path = `${pins.path}/stacks`;
    using stacks = StackTrace.create({ maxEntries: 64 });
    stacks.pin(path);
    using program = loadProgram('stack-id', pins.path, { stacks: path });
    const ids = [program.run(KERNEL), program.run(USER)].sort((a, b) => a - b);
    expect(new Set(ids).size).toBe(2);
    expect([...stacks.keys()]).toEqual(ids);
    expect(stacks.snapshot()).toEqual(ids.map((id) => [id, stacks.get(id)]));
    expect([...stacks.values()]).toEqual(ids.map((id) => stacks.get(id)));
    const kept = stacks.get(ids[0]!);
    expect(stacks.lookupAndDelete(ids[0]!)).toEqual(kept);
    expect(stacks.lookupAndDelete(ids[0]!)).toBeUndefined();
    expect([stacks.has(ids[0]!), stacks.has(ids[1]!)]).toEqual([false, true]);
    expect([stacks.count(), stacks.clear(), stacks.count()]).toEqual([1, 1, 0]);
    expect([stacks.get(ids[1]!), stacks.delete(ids[1]!)]).toEqual([undefined, false]);
  });

  it('is as deep as asked, as far as the kernel allows', () => {
    using stacks = StackTrace.create({ maxEntries: 4, depth: 5 });
    using locations = StackTrace.create({ maxEntries: 4, depth: 5, buildIds: true });
    expect([stacks.info().valueSize, locations.info().valueSize]).toEqual([40, 160]);
    expect(() => StackTrace.create({ maxEntries: 4, depth: 100_000 })).toThrow(/EINVAL|E2BIG/);
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    using app = load(openFixture('types/stack_trace'));
    const stacks = app.map('stack_trace_map', StackTrace);
    expectTypeOf(stacks).toEqualTypeOf<StackTrace>();
    const path = `${pins.path}/stacks`;
    stacks.pin(path);
    using pinned = StackTrace.openPinned(path);
    using byId = StackTrace.openById(stacks.info().id);
    expect([pinned.count(), byId.count()]).toEqual([0, 0]);
    expect(() => ProgramArray.openPinned(path)).toThrow(/is a stack_trace; ProgramArray is for/);
    expect(() => app.map('stack_trace_map', ProgramArray)).toThrow(/is a stack_trace/);
  });

  it('refuses every call after close', () => {
    const stacks = StackTrace.create({ maxEntries: 4 });
    stacks.close();
    for (const call of [
      () => stacks.get(1),
      () => stacks.has(1),
      () => stacks.delete(1),
      () => stacks.lookupAndDelete(1),
      () => stacks.clear(),
      () => stacks.keys().next(),
    ]) {
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});
