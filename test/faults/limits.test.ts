/**
 * Loads by processes that may not have all that a load takes: descriptors, memory, address space,
 * privileges. Each is a process of its own; it says how the load ended, and what it left.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ended, startChild } from '../support/child.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, needsMapType, pinDirectory } from '../support/kernel.ts';
import { hasProgram } from '../support/programs.ts';

/** How a load ended. */
interface Report {
  readonly error: {
    readonly code: string;
    readonly errnoName?: string;
    readonly message: string;
  } | null;
  /** Descriptors and mappings of BPF objects, and paths, that there are afterwards. */
  readonly left: readonly string[];
  /** Whether maps have the types of keys and values; null if the load failed. */
  readonly hasTypes: boolean | null;
}

/** The first lines of each script: `attempt(path, options, pins)`, and `limit(name, value)`. */
const PRELUDE = `
  import { spawnSync } from 'node:child_process';
  import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
  const limit = (name, value) => {
    const { status } = spawnSync('prlimit', ['--pid', String(process.pid), '--' + name + '=' + value]);
    if (status !== 0) throw new Error('prlimit: ' + status);
  };
  const left = (pins) => [
    ...readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const target = readlinkSync('/proc/self/fd/' + fd);
        return /bpf|btf/.test(target) ? [target] : [];
      } catch {
        return [];
      }
    }),
    ...(readFileSync('/proc/self/maps', 'latin1').match(/anon_inode:bpf-map/g) ?? []),
    ...readdirSync(pins, { recursive: true }),
  ];
  const attempt = (path, options, pins, afterwards = () => {}) => {
    let error = null, hasTypes = null;
    try {
      const app = skep.load(skep.ObjectFile.open(path), options);
      hasTypes = [...app.maps.values()].some((map) => map.info().btfId !== 0);
      app.close();
    } catch (thrown) {
      const { code, errnoName, message } = thrown;
      error = { code, errnoName, message };
    }
    afterwards();
    return { error, left: left(pins), hasTypes };
  };
`;

const DEMO = JSON.stringify(fixturePath('objects/demo.bpf.o'));

async function reports(script: string): Promise<Report[]> {
  const { status, stdout, stderr } = await ended(startChild(`${PRELUDE}\n${script}`));
  expect([status, stderr]).toEqual([0, '']);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Report);
}

function expectNothingLeft({ error, left }: Report, what: string): void {
  expect(error, what).not.toBeNull();
  expect(left, what).toEqual([]);
}

const canLimit = hasProgram('prlimit');
if (!canLimit) {
  console.warn('TESTS OF LIMITS ARE SKIPPED: there is no prlimit');
}

describeKernel('a process that may not open more files', () => {
  const pins = pinDirectory();

  it.skipIf(!canLimit)(
    'is told so at each descriptor that a load takes, and nothing is left',
    async () => {
      const options = JSON.stringify({ pinDirectory: `${pins.path}/app/maps`, pinAll: true });
      const all = await reports(`
      limit('nofile', '64:64');
      for (let free = 0; ; free += 1) {
        const fillers = [];
        try {
          for (;;) fillers.push(openSync('/dev/null'));
        } catch {}
        for (const fd of fillers.splice(0, free)) closeSync(fd);
        const report = attempt(${DEMO}, ${options}, ${JSON.stringify(pins.path)}, () =>
          fillers.forEach((fd) => closeSync(fd)));
        console.log(JSON.stringify(report));
        if (report.error === null) break;
      }
    `);
      const last = all.pop()!;
      expect(all.length).toBeGreaterThan(8);
      all.forEach((report, free) => {
        const what = `${free} descriptors: ${report.error?.message}`;
        expectNothingLeft(report, what);
        expect(report.error!.message, what).toMatch(/EMFILE/);
        // Reading the object is the caller's; what follows says what to do.
        if (report.error!.code === 'ERR_SKEP_SYSCALL') {
          expect(report.error!.message, what).toMatch(/ulimit -n/);
        }
      });
      // Not with less than there is: a map without types would stay one.
      expect([last.error, last.hasTypes]).toEqual([null, true]);
      expect(last.left.length).toBeGreaterThan(5);
    },
    60_000,
  );
});

describeKernel('limits that maps do not count against', () => {
  const pins = pinDirectory();

  it.skipIf(!canLimit)(
    'are those of locked memory (since 5.11) and of the size of files',
    async () => {
      const options = JSON.stringify({ pinDirectory: pins.path, pinAll: true });
      const [report] = await reports(`
      limit('memlock', '0:0');
      limit('fsize', '0:0');
      const report = attempt(${DEMO}, ${options}, ${JSON.stringify(pins.path)});
      console.log(JSON.stringify(report));
    `);
      expect([report!.error, report!.hasTypes]).toEqual([null, true]);
    },
  );
});

describeKernel('a process that may not map more memory', () => {
  const pins = pinDirectory();

  it.skipIf(!canLimit)('cannot load an arena, and nothing is left', async (context) => {
    needsMapType(context, 'arena');
    const options = JSON.stringify({
      pinDirectory: `${pins.path}/app`,
      pinAll: true,
      maps: { arena: { maxEntries: 65536 } },
    });
    const [report] = await reports(`
      const bytes = Number(/VmSize:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024;
      limit('as', bytes + (1 << 26) + ':' + bytes * 2);
      const report = attempt(${JSON.stringify(fixturePath('run/arena.bpf.o'))}, ${options}, ${JSON.stringify(pins.path)});
      limit('as', bytes * 2);
      console.log(JSON.stringify(report));
    `);
    expectNothingLeft(report!, 'mmap');
    expect(report!.error!.message).toMatch(
      /^map "arena", .*mmap failed with ENOMEM \(too little memory/,
    );
  });
});

/** A cgroup with so much memory, and what to write where to get into it; null if there are none here. */
function memoryCgroup(bytes: number): string | null {
  const places = [
    ['/sys/fs/cgroup', 'memory.max'],
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
  ] as const;
  for (const [root, file] of places) {
    const directory = `${root}/skep-limits-${process.pid}`;
    try {
      mkdirSync(directory);
    } catch {
      continue;
    }
    if (existsSync(`${directory}/${file}`)) {
      writeFileSync(`${directory}/${file}`, String(bytes));
      return directory;
    }
    rmdirSync(directory);
  }
  console.warn('A TEST OF LIMITS IS SKIPPED: there is no cgroup whose memory could be limited');
  return null;
}

describeKernel('a process whose cgroup has little memory', () => {
  const pins = pinDirectory();

  it('is told so for the map that does not fit, and nothing is left', async ({ skip }) => {
    const cgroup = memoryCgroup(16 << 20);
    skip(cgroup === null, 'no cgroup whose memory could be limited');
    const options = JSON.stringify({
      pinDirectory: `${pins.path}/app`,
      pinAll: true,
      maps: { tenants: { pin: false }, flows: { maxEntries: 400_000 } },
    });
    try {
      const [report] = await reports(`
        writeFileSync(${JSON.stringify(`${cgroup}/cgroup.procs`)}, String(process.pid));
        console.log(JSON.stringify(attempt(${DEMO}, ${options}, ${JSON.stringify(pins.path)})));
      `);
      expectNothingLeft(report!, 'BPF_MAP_CREATE');
      expect(report!.error!.message).toMatch(
        /^map "flows": BPF_MAP_CREATE failed with ENOMEM \(.*cgroup.*memory\.max/,
      );
    } finally {
      rmdirSync(cgroup!);
    }
  });
});

describeKernel('a process with some privileges', () => {
  const pins = pinDirectory();

  /** Loads in a process that has these capabilities alone. */
  function loadWith(capabilities: readonly string[]): string {
    const script = `
      import { load, ObjectFile } from ${JSON.stringify(`${process.cwd()}/dist/index.js`)};
      load(ObjectFile.open(${DEMO}), { pinDirectory: ${JSON.stringify(`${pins.path}/app`)}, pinAll: true }).close();
    `;
    const bounding = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
    const node = [process.execPath, '--input-type=module', '--eval', script];
    return spawnSync('setpriv', [`--bounding-set=${bounding}`, ...node], { encoding: 'utf8' })
      .stderr;
  }

  it.each([
    ['none', [], /map "tenant_zero": BPF_MAP_CREATE failed with EPERM \(.*CAP_BPF/],
    [
      'CAP_BPF, but not for programs of the network',
      ['bpf'],
      /program "count_packets".*EPERM.*CAP_NET_ADMIN/,
    ],
  ])('leaves nothing of a load that needs more: %s', (_, capabilities, message) => {
    expect(loadWith(capabilities)).toMatch(message);
    expect(readdirSync(pins.path)).toEqual([]);
  });
});
