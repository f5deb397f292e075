/**
 * The peer in JavaScript: the npm package `bpf`, libbpf behind N-API. It brings a built binary along,
 * and is installed into bench/build/ when first needed, which takes the network once.
 */

import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD, ROOT, runTool } from '../toolchain.mjs';

export const VERSION = '1.3.0';

/** A network that does not answer must not hold the benchmarks up. */
const IMPATIENT = ['--fetch-retries=0', '--fetch-timeout=15000'];

/** @returns {{ folder: string } | { missing: string }} where it is installed, or why it is not */
export function installNpmBpf() {
  const folder = join(BUILD, `npm-bpf-${VERSION}`);
  if (existsSync(join(folder, 'node_modules/bpf/package.json'))) {
    return { folder };
  }
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--silent'];
    runTool('npm', ['install', '--prefix', folder, ...quiet, ...IMPATIENT, `bpf@${VERSION}`]);
    return { folder };
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true });
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    return { missing: `npm bpf is not measured: bpf@${VERSION} cannot be installed: ${reason}` };
  }
}

/**
 * Its program for a suite.
 * @param {'map-ops'} program
 */
export function npmBpfScript(program) {
  return join(ROOT, `bench/peers/npm-bpf/${program}.mjs`);
}
