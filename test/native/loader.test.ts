import { chmodSync, cpSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { loadNative } from '../../src/kernel/native.ts';
import { describeShim } from './needs.ts';
import { Package, shimName, shimPath } from './packaged.ts';

let pack: Package;
beforeAll(() => {
  pack = new Package();
});
afterAll(() => pack.remove());

/** Prints what `loadNative` throws, twice, in a process that claims to be on another machine. */
const failure = (platform = 'linux', arch: string = process.arch) => `
  Object.defineProperty(process, 'platform', { value: '${platform}' });
  Object.defineProperty(process, 'arch', { value: '${arch}' });
  const attempt = () => {
    try {
      loadNative();
    } catch (error) {
      const { name, code, message, cause } = error;
      return { name, code, message, cause: cause?.code };
    }
  };
  console.log(JSON.stringify([attempt(), attempt()]));`;

describeShim('loading the native shim', () => {
  afterEach(() => cpSync(shimPath, pack.shim));

  test('gives the seventeen functions, and the same object each time', () => {
    const native = loadNative();
    expect(Object.keys(native).sort()).toEqual([
      'address',
      'arm',
      'bpf',
      'close',
      'disarm',
      'duplicate',
      'epollAdd',
      'epollCreate',
      'ioctl',
      'map',
      'mapAt',
      'perfEventOpen',
      'prepare',
      'raiseMemlock',
      'unmap',
      'unwatch',
      'watch',
    ]);
    expect(loadNative()).toBe(native);
  });

  test('the functions cannot be replaced by another user of the same file', () => {
    expect(() => Object.assign(loadNative(), { close: () => 0 })).toThrow(TypeError);
  });

  test('works from the compiled file in dist/', () => {
    expect(pack.run('console.log(loadNative().close(-1))')).toMatchObject({
      status: 0,
      printed: -9,
    });
  });

  test('importing the loader loads nothing', () => {
    expect(pack.run(`console.log(mappings('${shimName}'))`)).toMatchObject({ printed: 0 });
    expect(pack.run(`loadNative(); console.log(mappings('${shimName}') > 0)`)).toMatchObject({
      printed: true,
    });
  });

  test('on another system the error says that reading objects works without a kernel', () => {
    const error = {
      name: 'KernelUnavailableError',
      code: 'ERR_SKEP_NO_KERNEL',
      message: 'the kernel of darwin is not Linux; reading and inspecting objects works without it',
    };
    expect(pack.run(failure('darwin')).printed).toEqual([error, error]);
  });

  test('on another CPU the error names those that there is a shim for', () => {
    const error = {
      name: 'KernelUnavailableError',
      code: 'ERR_SKEP_NO_KERNEL',
      message:
        'no native shim for Linux on riscv64, only for x64 and arm64; ' +
        'reading and inspecting objects works without it',
    };
    expect(pack.run(failure('linux', 'riscv64')).printed).toEqual([error, error]);
  });

  test('a missing file: the error says how to build it', () => {
    rmSync(pack.shim);
    const error = {
      name: 'KernelUnavailableError',
      code: 'ERR_SKEP_NO_KERNEL',
      message:
        `the native shim native/${shimName} is missing: in a checkout build it with ` +
        '"npm run build:native" (needs cargo), otherwise reinstall the package',
      cause: 'MODULE_NOT_FOUND',
    };
    expect(pack.run(failure()).printed).toEqual([error, error]);
  });

  test('a file that is no shared library: the error keeps what the system said', () => {
    writeFileSync(pack.shim, 'not a library, but longer than an ELF header would have to be....');
    chmodSync(pack.shim, 0o755);
    const { printed } = pack.run(failure());
    const error = {
      name: 'KernelUnavailableError',
      code: 'ERR_SKEP_NO_KERNEL',
      message: expect.stringMatching(`^the native shim native/${shimName} does not load: .+`),
      cause: 'ERR_DLOPEN_FAILED',
    };
    expect(printed).toEqual([error, error]);
  });

  test('a failure is not remembered: a shim that appears later is loaded', () => {
    rmSync(pack.shim);
    const script = `
      let message = '';
      try { loadNative(); } catch (error) { message = error.message; }
      fs.copyFileSync(${JSON.stringify(shimPath)}, ${JSON.stringify(pack.shim)});
      console.log(JSON.stringify([message.includes('missing'), loadNative().close(-1)]));`;
    expect(pack.run(script).printed).toEqual([true, -9]);
  });
});
