/** Programs are loaded and run under a profiler, whose signals make the verifier give up. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ended, startChild } from '../support/child.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';

describeKernel('a process that is profiled', () => {
  it('loads programs, however often the profiler interrupts it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'skep-profile-'));
    try {
      const child = startChild(
        `const object = skep.ObjectFile.open(${JSON.stringify(fixturePath('run/packets.bpf.o'))});
        for (let round = 0; round < 50; round += 1) skep.load(object).close();
        console.log('loaded');`,
        '--cpu-prof',
        '--cpu-prof-interval=20',
        `--cpu-prof-dir=${folder}`,
      );
      expect(await ended(child)).toMatchObject({ status: 0, stdout: 'loaded\n', stderr: '' });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
