/** `SKEP_SEED` repeats all random choices of fast-check: a failure of continuous integration is then of the change. */

import fc from 'fast-check';

const { SKEP_SEED } = process.env;
if (SKEP_SEED !== undefined) {
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(SKEP_SEED) });
}
