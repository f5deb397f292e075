/**
 * Looks for what a test leaves open: file descriptors and mapped memory. Loaded before every test file
 * (`setupFiles` of vitest.config.ts).
 *
 * A test is compared with the moment before it, after the `beforeEach` of its file: what a group opens
 * in `beforeAll` and shares is there both times. The file as a whole is compared with the moment before
 * it was imported, so that what was shared has to be closed too. Nothing is forgiven to the garbage
 * collector: handles of skep are closed by whoever opened them.
 */

import { afterAll, afterEach, beforeEach } from 'vitest';
import { compareResources, findLeaks, openResources } from './open-resources.ts';

if (process.platform === 'linux') {
  const beforeFile = openResources();
  let beforeTest = beforeFile;

  beforeEach(() => {
    beforeTest = openResources();
  });

  afterEach(async ({ task }) => {
    // A test that failed has not come as far as to close what it opened.
    if (task.result?.state !== 'fail') {
      compareResources(await findLeaks(beforeTest), 'this test');
    }
  });

  afterAll(async () => {
    compareResources(await findLeaks(beforeFile), 'the tests of this file, or the file itself,');
  });
}
