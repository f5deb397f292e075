/** Tells the time in bpf(2) from the rest. */

const MEMORY = new URL('../../dist/kernel/linux-memory.js', import.meta.url);

/**
 * From now on, adds up the time that this process spends in bpf(2).
 *
 * @returns {Promise<() => number>} so many nanoseconds until now
 */
export async function timeInBpf() {
  /** @type {typeof import('../../src/kernel/linux-memory.ts')} */
  const { AttributeBlock, EntryBlock } = await import(MEMORY.href);
  let total = 0;
  for (const { prototype } of [AttributeBlock, EntryBlock]) {
    const { call } = prototype;
    /**
     * @this {object}
     * @param {...number} parameters
     */
    prototype.call = function timed(...parameters) {
      const start = process.hrtime.bigint();
      const result = Reflect.apply(call, this, parameters);
      total += Number(process.hrtime.bigint() - start);
      return result;
    };
  }
  return () => total;
}
