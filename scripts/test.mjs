/**
 * Runs the tests: builds what they need, gives them a BPF file system of their own where that is
 * permitted, and prints the totals as the last line.
 *
 * Usage: node scripts/test.mjs [arguments of vitest]
 */

import { build, runTests, totalsText } from './vitest.mjs';

if (!build()) {
  process.exit(1);
}
const totals = runTests(process.execPath, process.argv.slice(2));
for (const name of totals.skipped) {
  console.log(`skipped: ${name}`);
}
console.log(totalsText(totals));
process.exit(totals.status);
