#!/usr/bin/env node
/** The `skep` command: its start and its end. What it does is in the other files of this folder. */

import { run } from './run.ts';

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever read it has seen enough, as `head` does: no failure of ours. What was done stays done,
    // since writes to pipes are synchronous and this is told of them only afterwards.
    if (error.code === 'EPIPE') {
      process.exit();
    }
    throw error;
  });
}

run(process.argv.slice(2)).then((status) => {
  // Set, not process.exit(): output that is still under way gets its time.
  process.exitCode = status;
});
