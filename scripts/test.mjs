/**
 * Runs the tests: builds what they need, gives them a BPF file system of their own where that is
 * permitted, and prints the totals as the last line.
 *
 * Usage: node scripts/test.mjs [arguments of vitest]
 * `SKEP_REPORT=FILE` keeps the report of vitest's JSON reporter, as `npm run test:vm` compares with it.
 */

import { build, runTests, totalsText } from './vitest.mjs';

if (!build()) {
  process.exit(1);
}
const totals = runTests(
  process.execPath,
  process.argv.slice(2),
  process.env.SKEP_REPORT || undefined,
);
for (const name of totals.skipped) {
  console.log(`skipped: ${name}`);
}
console.log(totalsText(totals));
process.exit(totals.status);
