#!/usr/bin/env node
/** The `skep` command: its start and its end. What it does is in the other files of this folder. */

import { run } from './run.ts';

run(process.argv.slice(2)).then((status) => {
  // Set, not process.exit(): output that is still under way gets its time.
  process.exitCode = status;
});
