/** One machine: built from a kernel and the package, run, and its report read. */

import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addModules, addPackage, addPrograms, addSystem } from './contents.mjs';
import { Initramfs } from './cpio.mjs';
import { sentReport } from './report.mjs';

/** @typedef {import('./kernels.mjs').GuestKernel} GuestKernel */

/**
 * @typedef {object} GuestOptions
 * @property {string} root of the package
 * @property {string} compiled directory of the compiled tests
 * @property {string} scratch directory for what only the run needs
 * @property {string} directory for what the guest said and its report
 * @property {string[]} arguments of vitest
 * @property {number} memoryMiB
 * @property {number} cpus
 * @property {number} timeoutSeconds after which the machine is taken to hang
 * @property {boolean} verbose whether the console is shown while it runs
 */

/**
 * How a run ended: with a report, or with the reason why there is none.
 *
 * @typedef {object} GuestEnd
 * @property {any} report of vitest, as its JSON reporter writes it, with its `status`; null if there is none
 * @property {string | null} problem
 * @property {number} seconds
 * @property {string} console all that the guest said
 */

/** What the kernel says when it gives up; QEMU then ends by itself. */
const PANIC = /Kernel panic - not syncing: (.*)/;

/**
 * Options of the kernel. Nothing is locked down: module `lockdown` is there, at its lowest level. An oops is the
 * end of the machine, so that no test passes after one.
 */
const COMMAND_LINE = [
  'console=ttyS0',
  'quiet',
  'oops=panic',
  'panic=-1',
  'lsm=lockdown,capability,landlock,bpf',
  'mitigations=off',
  'nokaslr',
  'no_timer_check',
  'tsc=reliable',
].join(' ');

/**
 * Writes the initramfs of a machine.
 *
 * @param {GuestKernel} kernel
 * @param {GuestOptions} options
 */
function writeInitramfs(kernel, options) {
  const path = join(options.scratch, `${kernel.release}.cpio`);
  const archive = new Initramfs(path);
  addSystem(archive, kernel);
  addPrograms(archive);
  addPackage(archive, options.root, options.compiled);
  archive.file('/run/modules', `${addModules(archive, kernel).join('\n')}\n`);
  archive.file('/run/tests', testCommand(options.arguments));
  archive.file('/init', readFileSync(fileURLToPath(new URL('init.sh', import.meta.url))), 0o755);
  archive.close();
  return path;
}

/** @param {string[]} args */
function testCommand(args) {
  const quoted = args.map((arg) => `'${arg.replaceAll("'", `'\\''`)}'`).join(' ');
  return [
    'export SKEP_REQUIRE_KERNEL=1 SKEP_REQUIRE_HOOKS=1 SKEP_ONLY_LINUX=1 NO_COLOR=1',
    `exec node --max-lazy node_modules/vitest/vitest.mjs run ${quoted}`,
    '',
  ].join('\n');
}

/**
 * @param {GuestKernel} kernel
 * @param {string} initramfs
 * @param {string} reportFile
 * @param {GuestOptions} options
 */
function machineArguments(kernel, initramfs, reportFile, options) {
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    // Without hardware's help, which hosts that are machines themselves often lack: it is the same everywhere.
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'Nehalem'],
    ...['-smp', String(options.cpus), '-m', `${options.memoryMiB}M`],
    ...['-kernel', kernel.image, '-initrd', initramfs, '-append', COMMAND_LINE],
    ...['-serial', 'stdio', '-serial', `file:${reportFile}`],
  ];
}

/**
 * Runs the tests on a kernel. The machine has ended when this returns.
 *
 * @param {GuestKernel} kernel
 * @param {GuestOptions} options
 * @returns {Promise<GuestEnd>}
 */
export async function runGuest(kernel, options) {
  const initramfs = writeInitramfs(kernel, options);
  const reportFile = join(options.scratch, `${kernel.release}.report`);
  const start = performance.now();
  const { text, timedOut, status } = await runMachine(
    machineArguments(kernel, initramfs, reportFile, options),
    join(options.directory, `${kernel.release}.console`),
    options,
  );
  const seconds = (performance.now() - start) / 1000;
  const sent = existsSync(reportFile) ? readFileSync(reportFile, 'utf8') : '';
  const report = sentReport(sent);
  const [, panic] = PANIC.exec(text) ?? [];
  let problem = null;
  if (panic !== undefined) {
    problem = `the kernel panicked: ${panic.trim()}`;
  } else if (timedOut) {
    problem = `the guest was stopped after ${options.timeoutSeconds} seconds`;
  } else if (report === null) {
    problem = `the guest ended without a whole report (QEMU's status: ${status})`;
  }
  return { report, problem, seconds, console: text };
}

/**
 * @param {string[]} args
 * @param {string} consoleFile
 * @param {GuestOptions} options
 * @returns {Promise<{ text: string, timedOut: boolean, status: number | null }>}
 */
function runMachine(args, consoleFile, options) {
  return new Promise((resolve, reject) => {
    const log = createWriteStream(consoleFile);
    const machine = spawn('nice', ['-n', '5', 'qemu-system-x86_64', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      machine.kill('SIGKILL');
    }, options.timeoutSeconds * 1000);
    const stop = () => machine.kill('SIGKILL');
    process.once('exit', stop);
    machine.stdout.setEncoding('utf8').on('data', (/** @type {string} */ part) => {
      text += part;
      log.write(part);
      if (options.verbose) {
        process.stdout.write(part);
      }
    });
    machine.on('error', reject);
    machine.on('close', (status) => {
      clearTimeout(timer);
      process.off('exit', stop);
      log.end();
      resolve({ text, timedOut, status });
    });
  });
}
