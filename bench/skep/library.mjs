/**
 * The library as it is built (dist/index.js), with the types of the sources; the package has the same in
 * fewer files, of which no part can be timed by itself.
 */

const BUILT = new URL('../../dist/index.js', import.meta.url);

/** @returns {Promise<typeof import('../../src/index.ts')>} */
export async function library() {
  // Not a literal, so that type checking works without a build.
  return import(BUILT.href);
}
