/** A kernel with the few calls that a test gives it. Any other call is an error of the test. */

import type { Kernel } from '../../src/kernel/kernel.ts';

/** What a test gives; whatever is not given fails when it is asked for. */
export function partialKernel(parts: Partial<Kernel>): Kernel {
  const given = { name: 'partial', littleEndian: true, pageSize: 4096, ...parts };
  return new Proxy(given as Kernel, {
    get(target, property) {
      if (!(property in target)) {
        throw new Error(`the kernel was asked for ${String(property)}`);
      }
      return Reflect.get(target, property);
    },
  });
}
