/** The options of the running kernel, as it tells them itself. */

import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { kconfigContents } from '../../src/programs/kconfig.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';
import { cookieOf, valuesOf } from './kconfig-values.ts';

const real = openFixture('data/kconfig');

describeKernel('the options of the running kernel', () => {
  it('are those of /proc/config.gz, or of the file in /boot', () => {
    const text = existsSync('/proc/config.gz')
      ? gunzipSync(readFileSync('/proc/config.gz')).toString()
      : readFileSync(`/boot/config-${release()}`, 'utf8');
    const value = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)![1]!;
    const values = valuesOf(real, kconfigContents(real, linuxKernel()));
    expect(values).toMatchObject({
      CONFIG_BPF_SYSCALL: 1,
      CONFIG_HZ: Number(value('CONFIG_HZ')),
      CONFIG_LOG_BUF_SHIFT: Number(value('CONFIG_LOG_BUF_SHIFT')),
      CONFIG_DEFAULT_HOSTNAME: value('CONFIG_DEFAULT_HOSTNAME').slice(1, -1).slice(0, 15),
    });
  });

  it('say whether programs can tell which attachment runs them', () => {
    const kernel = linuxKernel();
    // 5.15 has the helper for tracepoints.
    expect(cookieOf(kernel)).toBe(kernel.version() >= 0x050f00 ? 1 : 0);
  });
});
