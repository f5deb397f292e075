/**
 * Entries of per-CPU maps as bpf(2) moves them: one value for each possible CPU, each starting at a
 * multiple of 8 bytes.
 *
 * Layout: `bpf_map_value_size` in `kernel/bpf/syscall.c`
 * (`round_up(map->value_size, 8) * num_possible_cpus()`).
 */

import { alignUp } from '../bytes/align.ts';
import { type Codec, describeValue, rethrowWithin, ValueError } from './codec.ts';
import { PerCpuValues } from './per-cpu-values.ts';

/** What the kernel rounds one CPU's value up to. */
const ALIGNMENT = 8;

/**
 * The values of one entry of a per-CPU map. Reading gives {@link PerCpuValues}; writing takes those,
 * or an array (typed ones too) with exactly one value for each CPU. Bytes between the values are written as zero.
 *
 * @param codec of one CPU's value
 * @param cpus number of possible CPUs, which is not that of the CPUs online
 */
export function perCpu<T, I>(
  codec: Codec<T, I>,
  cpus: number,
): Codec<PerCpuValues<T>, ArrayLike<I>> {
  const step = alignUp(codec.sizeBytes, ALIGNMENT);
  return {
    name: `${codec.name} for each of ${cpus} CPUs`,
    sizeBytes: step * cpus,
    alignment: ALIGNMENT,
    read(memory, at) {
      const values = new Array<T>(cpus);
      for (let cpu = 0; cpu < cpus; cpu += 1) {
        values[cpu] = codec.read(memory, at + cpu * step);
      }
      return new PerCpuValues(values);
    },
    write(memory, at, value) {
      if (typeof value !== 'object' || value === null || typeof value.length !== 'number') {
        throw new ValueError(
          `expected an array of one value for each of ${cpus} CPUs, got ${describeValue(value)}`,
        );
      }
      if (value.length !== cpus) {
        throw new ValueError(`expected one value for each of ${cpus} CPUs, got ${value.length}`);
      }
      memory.bytes.fill(0, at, at + step * cpus);
      let cpu = 0;
      try {
        for (; cpu < cpus; cpu += 1) {
          codec.write(memory, at + cpu * step, value[cpu]!);
        }
      } catch (error) {
        rethrowWithin(error, cpu);
      }
    },
  };
}
