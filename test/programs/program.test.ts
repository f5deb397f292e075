/** Handles of programs, on the in-process kernel: who owns what, and what a test run asks. */

import { describe, expect, it } from 'vitest';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import type { TestRunRequest } from '../../src/kernel/program-calls.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { Program } from '../../src/programs/program.ts';
import type { ProgramOptions } from '../../src/programs/program-shape.ts';
import { fixturePath } from '../support/fixtures.ts';

const openRun = (name: string) => ObjectFile.open(fixturePath(`run/${name}.bpf.o`));
const PIN = '/sys/fs/bpf/app/entry';

const OUTCOME = { returnValue: 0, durationNanoseconds: 0, dataBytes: 0, contextBytes: 0 };

describe('a test run', () => {
  /** What the kernel was asked. */
  function asked(
    name: string,
    program: string,
    options: object,
    programs: Readonly<Record<string, ProgramOptions>> = {},
  ): TestRunRequest {
    const kernel = new MemoryKernel();
    using app = load(openRun(name), { kernel, programs });
    let request: TestRunRequest | undefined;
    kernel.onTestRun(program, (one) => {
      request = one;
      return OUTCOME;
    });
    app.program(program).run(options);
    return request!;
  }

  it('has room for a packet and a context that come back, if one is given', () => {
    const data = new Uint8Array(100);
    expect(asked('packets', 'answer', { data })).toMatchObject({ repeat: 1, contextOut: null });
    const request = asked('packets', 'answer', { data, context: new Uint8Array(24) });
    expect(request.dataOut!.length).toBeGreaterThanOrEqual(100 + 4096);
    expect(request.contextOut!.length).toBeGreaterThanOrEqual(192);
  });

  it('has the room that is asked for', () => {
    const data = new Uint8Array(100);
    const request = asked('packets', 'answer', { data, dataOut: 101, contextOut: 25 });
    expect([request.dataOut!.length, request.contextOut!.length]).toEqual([101, 25]);
    expect(asked('packets', 'answer', { data, dataOut: false }).dataOut).toBeNull();
  });

  it('gives a syscall program nothing but a copy of its context', () => {
    const context = new Uint8Array(24);
    const request = asked('tenants', 'account', { context });
    expect(request).toEqual({
      data: null,
      dataOut: null,
      context,
      contextOut: null,
      repeat: 0,
      flags: 0,
      cpu: 0,
      batchSize: 0,
    });
    expect(request.context).not.toBe(context);
  });

  it.each([null, 7, 'data'])('is asked for by an object of options, not by %j', (options) => {
    expect(() => asked('packets', 'answer', options as never)).toThrow(
      new TypeError(
        `run: options are an object, not ${typeof options === 'string' ? '"data"' : options}`,
      ),
    );
  });

  it('is one run of what is not measured', () => {
    const programs = { mark: { type: 'raw_tracepoint' } };
    expect(asked('packets', 'mark', { repeat: 1 }, programs).repeat).toBe(0);
    expect(() => asked('packets', 'mark', { repeat: 2 }, programs)).toThrow(
      new TypeError('run: programs of type raw_tracepoint are run once only; leave repeat out'),
    );
    expect(() => asked('tenants', 'account', { repeat: 2 })).toThrow(TypeError);
  });

  it('names what options imply by its flags', () => {
    const data = new Uint8Array(14);
    expect(asked('packets', 'answer', { data, liveFrames: true, batchSize: 8 })).toMatchObject({
      flags: 2,
      batchSize: 8,
      dataOut: null,
    });
    const programs = { mark: { type: 'raw_tracepoint' } };
    const onCpu = asked('packets', 'mark', { cpu: 1, flags: 8, context: [1n, -1] }, programs);
    expect(onCpu).toMatchObject({ flags: 9, cpu: 1, repeat: 0, dataOut: null });
    expect([...new BigInt64Array(onCpu.context!.buffer)]).toEqual([1n, -1n]);
  });
});

describe('a handle of a program', () => {
  it('opens pins and ids of programs alone', () => {
    const kernel = new MemoryKernel();
    using app = load(openRun('stages'), { kernel });
    const { id } = app.program('ten').info();
    app.program('ten').pin(PIN);
    app.maps.get('stages')!.pin('/sys/fs/bpf/app/stages');
    using pinned = Program.openPinned(PIN, { kernel });
    using byId = Program.openById(id, { kernel });
    expect([pinned.info().id, byId.info().id, pinned.pinPath]).toEqual([id, id, PIN]);
    expect(() => Program.openPinned('/sys/fs/bpf/app/stages', { kernel })).toThrow(/EINVAL/);
    expect(() => Program.openPinned('/sys/fs/bpf/app/none', { kernel })).toThrow(/ENOENT/);
    expect(() => byId.unpin('/sys/fs/bpf/app/stages')).toThrow(/EINVAL/);
    expect(byId.unpin(PIN)).toBe(true);
  });

  it('is closed once, and shows what it is', async () => {
    const { inspect } = await import('node:util');
    const kernel = new MemoryKernel();
    const app = load(openRun('stages'), { kernel });
    const program = app.program('ten');
    program.info();
    expect(inspect(program)).toBe('Program "ten" { sched_cls }');
    program.close();
    program.close();
    app.close();
    expect(inspect(program)).toBe('Program "ten" (closed) { sched_cls }');
    expect(kernel.openDescriptors()).toEqual([]);
  });
});
