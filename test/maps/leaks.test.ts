/** Reports of handles that were never closed, in processes whose collector can be called. */

import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { reportLeaks } from '../../src/maps/leaks.ts';
import { ROOT } from '../cli/skep.ts';
import { describeKernel } from '../support/kernel.ts';

/** Runs a script with the collector at hand; what it printed. */
function run(script: string, debug: string | undefined): { stdout: string; stderr: string } {
  const prelude = `
    import { fstatSync } from 'node:fs';
    import { setTimeout as later } from 'node:timers/promises';
    import { HashMap } from '${ROOT}/dist/maps/hash-map.js';
    import { RawMap } from '${ROOT}/dist/maps/raw-map.js';
    import { reportLeaks } from '${ROOT}/dist/maps/leaks.js';
    import { u32, u64 } from '${ROOT}/dist/codec/numbers.js';
    const types = { key: u32, value: u64 };
    const create = (name) => HashMap.create({ ...types, maxEntries: 1, name });
    function forgetful() { return create('lost').fd; }
    function careful() { const map = create('kept'); map.close(); map.close(); }
    function mistaken() { try { HashMap.openById(create('bytes').info().id, { key: u64, value: u64 }); } catch {} }
    // A collected handle is told of in a task of its own, some time later.
    async function collect() { for (let turn = 0; turn < 10; turn += 1) { gc(); await later(5); } }
    const isOpen = (fd) => { try { fstatSync(fd); return true; } catch { return false; } };`;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--expose-gc', '--input-type=module', '--eval', `${prelude}\n${script}`],
    {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ...(debug === undefined ? {} : { SKEP_DEBUG: debug }) },
    },
  );
  expect(status, stderr).toBe(0);
  return { stdout, stderr };
}

describeKernel('a handle that is collected unclosed', () => {
  it('is reported once under SKEP_DEBUG=leaks, with where it was made, and stays open', () => {
    const { stdout, stderr } = run(
      'const fd = forgetful(); careful(); await collect(); await collect(); console.log(isOpen(fd));',
      'other,leaks',
    );
    expect(stderr.match(/SKEP_LEAK/g)).toHaveLength(1);
    expect(stderr).toMatch(
      /\[SKEP_LEAK\] Warning: a HashMap of map "lost" was garbage collected without being closed; its file descriptor \d+ stays open\./,
    );
    expect(stderr).toMatch(
      /made here:\n +at .*HashMap\.create .*\n +at create .*\n +at forgetful /,
    );
    expect(stdout).toBe('true\n');
  });

  it('is given to a function, if one is set, from then on', () => {
    const { stdout, stderr } = run(
      `forgetful();
       await collect();
       reportLeaks(({ kind, name, fd, stack }) => console.log(kind, name, isOpen(fd), /forgetful/.test(stack)));
       forgetful();
       (() => RawMap.openById(globalThis.kept.info().id))();
       await collect();
       reportLeaks(false);
       forgetful();
       await collect();`.replace('forgetful();', 'globalThis.kept = create("kept"); forgetful();'),
      undefined,
    );
    expect(stdout.split('\n').sort()).toEqual([
      '',
      'HashMap lost true true',
      'RawMap kept true false',
    ]);
    expect(stderr).toBe('');
  });

  it('is one that was made: what could not be opened as asked is closed, and no leak', () => {
    const { stdout } = run(
      `const leaks = [];
       reportLeaks(({ name }) => leaks.push(name));
       mistaken();
       await collect();
       console.log(leaks.join());`,
      undefined,
    );
    expect(stdout).toBe('bytes\n');
  });

  it('is not spoken of without the switch', () => {
    expect(run('forgetful(); await collect();', undefined)).toEqual({ stdout: '', stderr: '' });
  });
});

it('reportLeaks refuses what is neither a switch nor a function', () => {
  expect(() => reportLeaks('leaks' as never)).toThrow(TypeError);
});
