import { execFileSync, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeShim } from './needs.ts';
import { shimPath } from './packaged.ts';

const readelf = (...options: readonly string[]): string[] =>
  execFileSync('readelf', ['--wide', ...options, shimPath], { encoding: 'utf8' }).split('\n');

/** Names in the dynamic symbol table: those the shim needs, can do without, and offers. */
function symbols(): { undefined: string[]; optional: string[]; defined: string[] } {
  const found = { undefined: [] as string[], optional: [] as string[], defined: [] as string[] };
  for (const line of readelf('--dyn-syms')) {
    // Num: Value Size Type Bind Vis Ndx Name
    const [number, , , , binding, , section, name] = line.trim().split(/\s+/);
    if (name === undefined || !/^\d+:$/.test(number ?? '')) continue;
    const needed = binding === 'WEAK' ? found.optional : found.undefined;
    (section === 'UND' ? needed : found.defined).push(name);
  }
  return found;
}

const withoutReadelf = spawnSync('readelf', ['--version']).error !== undefined;

describeShim('the built file', () => {
  test('is smaller than 20 KiB', () => {
    expect(statSync(shimPath).size).toBeLessThan(20 * 1024);
  });

  describe.skipIf(withoutReadelf)('according to readelf', () => {
    test('needs no other library, so that it loads under any C library', () => {
      const dynamic = readelf('--dynamic');
      expect(dynamic.filter((line) => line.includes('(GNU_HASH)'))).toHaveLength(1);
      expect(dynamic.filter((line) => line.includes('(NEEDED)'))).toEqual([]);
      expect(readelf('--version-info').filter((line) => line.includes('GLIBC'))).toEqual([]);
    });

    test('needs nothing from the executable but Node-API', () => {
      const needed = symbols().undefined;
      expect(needed).toContain('napi_get_cb_info');
      expect(needed.filter((name) => !name.startsWith('napi_'))).toEqual([]);
    });

    test('can do without libuv, which only Node.js has, and needs nothing else from it', () => {
      const { optional } = symbols();
      expect(optional).toContain('uv_poll_init');
      expect(optional.filter((name) => !name.startsWith('uv_'))).toEqual([]);
    });

    test('cannot panic: the optimiser has dropped the panic handler', () => {
      expect(symbols().undefined).not.toContain('napi_fatal_error');
    });

    test('offers the two entry points of an addon and nothing else', () => {
      expect(symbols().defined.sort()).toEqual([
        'napi_register_module_v1',
        'node_api_module_get_api_version_v1',
      ]);
    });

    test('is never unloaded, so that a late finalizer still has code to run', () => {
      const flags = readelf('--dynamic').find((line) => line.includes('(FLAGS_1)'));
      expect(flags).toContain('NODELETE');
    });

    test('has no memory that is both writable and executable', () => {
      const segments = readelf('--program-headers').filter((line) =>
        /^\s+(LOAD|GNU_STACK)\s/.test(line),
      );
      expect(segments.length).toBeGreaterThan(1);
      expect(segments.filter((line) => /\sRWE\s/.test(line))).toEqual([]);
    });
  });
});
