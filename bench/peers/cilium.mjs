/**
 * The peer in Go: github.com/cilium/ebpf, driven by the program in peers/cilium/, which has a part for
 * each suite. Its modules come from Go's module proxy, once.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { buildOnce, filesOf, findTool, ROOT, reasonOf, runTool } from '../toolchain.mjs';

const SOURCES = join(ROOT, 'bench/peers/cilium');
/** What go.mod asks for. */
const OLDEST_GO = [1, 25];

/** @returns {{ path: string, version: string } | { missing: string }} its path, or why there is none */
export function buildCilium() {
  const go = findTool(['go', '/usr/local/go/bin/go']);
  if (go === null) {
    return { missing: 'cilium/ebpf is not measured: there is no Go' };
  }
  const version = spawnSync(go, ['env', 'GOVERSION'], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const [, major = '0', minor = '0'] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  if (Number(major) === OLDEST_GO[0] && Number(minor) < (OLDEST_GO[1] ?? 0)) {
    return { missing: `cilium/ebpf is not measured: it needs Go >= 1.25, and this is ${version}` };
  }
  const sources = filesOf(SOURCES);
  const module = sources.find(({ name }) => name === 'go.mod')?.text ?? '';
  const library = /github\.com\/cilium\/ebpf v(\S+)/.exec(module)?.[1] ?? '?';
  try {
    const path = buildOnce('cilium', [...sources.map(({ text }) => text), version], (output) => {
      const environment = { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local' };
      runTool(go, ['build', '-trimpath', '-o', output, '.'], { cwd: SOURCES, environment });
    });
    return { path, version: `${library}, ${version}` };
  } catch (cause) {
    return { missing: `cilium/ebpf is not measured: it does not build: ${reasonOf(cause)}` };
  }
}
