/** Tells the time in bpf(2) from the rest, or leaves the calls out. */

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

/**
 * From now on, calls for single entries end before they leave JavaScript, and succeed.
 *
 * @returns {Promise<() => void>} what makes them real again
 */
export async function leaveCallsOut() {
  /** @type {typeof import('../../src/kernel/linux-memory.ts')} */
  const { EntryBlock } = await import(MEMORY.href);
  const { call } = EntryBlock.prototype;
  EntryBlock.prototype.call = () => 0;
  return () => {
    EntryBlock.prototype.call = call;
  };
}
