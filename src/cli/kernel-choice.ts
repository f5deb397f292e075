/** `--kernel`: which kernel a command works with. */

import { cpus, endianness } from 'node:os';
import { Option } from 'commander';
import type { Kernel } from '../kernel/kernel.ts';
import { warn } from './report-error.ts';

const KERNELS = ['linux', 'memory'] as const;

/** What `--kernel` calls a kernel: the running one, and one in this process. */
export type KernelName = (typeof KERNELS)[number];

/** The option of commands that work with a kernel. */
export interface KernelOption {
  readonly kernel: KernelName;
}

/** A kernel that a command has not asked for anything yet. */
export interface KernelChoice {
  /**
   * The kernel: asked for when a command line is known to make sense, so that wrong ones are told so
   * on every system.
   *
   * @throws KernelUnavailableError
   */
  open(): Kernel;
  /** Whether it and all in it is gone when the command ends. */
  readonly endsWithCommand: boolean;
}

/** `--kernel NAME`; scripts may set `SKEP_KERNEL` instead. */
export function kernelOption(): Option {
  return new Option('--kernel <NAME>', 'the running kernel, or one in this process for trying out')
    .choices(KERNELS)
    .env('SKEP_KERNEL')
    .default('linux');
}

/** Finds the kernel of a name. Only the one that was chosen is loaded. */
export async function chooseKernel(name: KernelName): Promise<KernelChoice> {
  if (name === 'linux') {
    const { linuxKernel } = await import('../kernel/linux.ts');
    return { open: linuxKernel, endsWithCommand: false };
  }
  const { MemoryKernel } = await import('../kernel/memory/memory-kernel.ts');
  // Once, as a command may ask more than once for what it works with.
  const kernel = new MemoryKernel({
    cpus: machineCpus(),
    littleEndian: endianness() === 'LE',
  });
  return { open: () => kernel, endsWithCommand: true };
}

/** The CPUs of this machine as far as Node.js knows of them; some systems do not tell. */
export function machineCpus(): number {
  return Math.max(cpus().length, 1);
}

/**
 * Like `choice`, and says once that there is nothing in a kernel that was made for the command.
 *
 * @param what what a command looks for in it
 */
export function announced(choice: KernelChoice, what: 'maps' | 'programs' = 'maps'): KernelChoice {
  let isSaid = !choice.endsWithCommand;
  const open = () => {
    if (!isSaid) {
      isSaid = true;
      warn(
        `the kernel in this process starts without ${what}, and ends with the command; to see what an object would make of it use "skep load --kernel memory"`,
      );
    }
    return choice.open();
  };
  return { ...choice, open };
}
