/** The library as it is published: the build in dist/, with the types of the sources. */

const BUILT = new URL('../../dist/index.js', import.meta.url);

/** @returns {Promise<typeof import('../../src/index.ts')>} */
export async function library() {
  // Not a literal, so that type checking works without a build.
  return import(BUILT.href);
}
