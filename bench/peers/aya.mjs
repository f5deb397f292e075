/**
 * The peer in Rust: aya and aya-obj, driven by the program in peers/aya/, which has a part for each suite.
 * Its crates are fetched once. aya's version is exact; cargo chooses what aya needs.
 */

import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD, buildOnce, filesOf, findTool, ROOT, reasonOf, runTool } from '../toolchain.mjs';

const SOURCES = join(ROOT, 'bench/peers/aya');

/** @returns {{ path: string, version: string } | { missing: string }} its path, or why there is none */
export function buildAya() {
  const [cargo, rustc] = [findTool(['cargo']), findTool(['rustc'])];
  if (cargo === null || rustc === null) {
    return { missing: 'aya is not measured: there is no Rust' };
  }
  // Cargo writes the lock file while it builds.
  const sources = filesOf(SOURCES).filter(({ name }) => name !== 'Cargo.lock');
  const manifest = sources.find(({ name }) => name === 'Cargo.toml')?.text ?? '';
  const oldest = /^rust-version = "1\.(\d+)"/m.exec(manifest)?.[1] ?? '0';
  const library = /^aya = "=(\S+)"/m.exec(manifest)?.[1] ?? '?';
  const { stdout } = spawnSync(rustc, ['--version'], { encoding: 'utf8' });
  const [, version = '?', minor = '0'] = /^rustc (\d+\.(\d+)\S*)/.exec(stdout ?? '') ?? [];
  if (Number(minor) < Number(oldest)) {
    return {
      missing: `aya is not measured: aya ${library} needs rustc >= 1.${oldest}, and this is ${version}`,
    };
  }
  try {
    const path = buildOnce('aya', [...sources.map(({ text }) => text), version], (output) => {
      const target = join(BUILD, 'aya-target');
      const args = ['build', '--release', '--quiet', '--target-dir', target];
      runTool(cargo, args, { cwd: SOURCES });
      copyFileSync(join(target, 'release/aya'), output);
    });
    return { path, version: `${library}, rustc ${version}` };
  } catch (cause) {
    return { missing: `aya is not measured: it does not build: ${reasonOf(cause)}` };
  }
}
