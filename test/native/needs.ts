/** What tests of the shim need. Where it is not there they are skipped, and the output says why. */

import { describe, test } from 'vitest';
import { loadNative, type Native } from '../../src/kernel/native.ts';
import { BPF_CMD } from '../../src/uapi/commands.ts';

const [shim, shimProblem] = load();

/**
 * The shim. Without it there is something in its place that does nothing, so that tests can be
 * collected, to be skipped.
 */
export const native: Native = shim ?? (new Proxy({}, { get: () => () => ({}) }) as Native);

/** A group of tests that needs the shim. */
export const describeShim = describe.skipIf(shimProblem !== null);

const canCreateMaps = mayCreateMaps();

/** A test, or a group of them, that creates maps in the running kernel. */
export const testWithMaps = test.skipIf(!canCreateMaps);
export const describeMaps = describe.skipIf(!canCreateMaps);

function load(): [Native | undefined, string | null] {
  try {
    return [loadNative(), null];
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    if (process.env.SKEP_REQUIRE_KERNEL === '1') {
      throw error;
    }
    console.warn(`TESTS OF THE SHIM ARE SKIPPED: ${problem}`);
    return [undefined, problem];
  }
}

/** Whether the kernel lets this user make a map: an array of one word. */
function mayCreateMaps(): boolean {
  if (shim === undefined) {
    return false;
  }
  const attributes = Uint32Array.of(2, 4, 4, 1);
  const fd = shim.bpf(BPF_CMD.MAP_CREATE, shim.address(attributes.buffer), attributes.byteLength);
  if (fd >= 0) {
    shim.close(fd);
  } else if (process.env.SKEP_REQUIRE_KERNEL === '1') {
    throw new Error(`tests on the kernel are required, but maps are refused with errno ${-fd}`);
  }
  return fd >= 0;
}
