/** The contents of a loaded data section: in memory where the kernel maps it, by calls where not. */

import { alignUp } from '../bytes/align.ts';
import { type Codec, Memory } from '../codec/codec.ts';
import { SyscallError } from '../errors.ts';
import { LiveMemory } from '../maps/live-memory.ts';
import type { RawMap } from '../maps/raw-map.ts';
import { BPF_F } from '../uapi/map-flags.ts';

/** Where values of variables are read and written, by their offset in bytes. */
export interface SectionMemory {
  read<T>(codec: Codec<T, never>, at: number): T;
  write<I>(codec: Codec<unknown, I>, at: number, value: I): void;
}

/**
 * Opens the contents of a section: mapped if its map can be (`BPF_F_MMAPABLE`), else by calls. That
 * is so before Linux 5.5, where all variables are static, where the kernel keeps fields of its own
 * (locks, timers), and for a pin that was opened for reading only.
 */
export function openSection(map: RawMap): LiveMemory | CalledMemory {
  const { flags, valueSize } = map.info();
  if ((flags & BPF_F.MMAPABLE) !== 0) {
    try {
      const length = alignUp(valueSize, map.kernel.pageSize);
      return LiveMemory.map(map.kernel, map.fd, map.name, length);
    } catch (error) {
      if (!cannotMap(error)) {
        throw error;
      }
    }
  }
  return new CalledMemory(map);
}

/** EINVAL: a descriptor for reading; ENOTSUPP: the kernel's fields; EOPNOTSUPP: Electron. */
function cannotMap(error: unknown): boolean {
  return error instanceof SyscallError && /^(EINVAL|E(OP)?NOTSUPP)$/.test(error.errnoName);
}

/**
 * A section by calls. A section is one value to the kernel: writing one variable is reading all,
 * changing one, and writing all, which undoes what programs write to the others meanwhile.
 */
export class CalledMemory implements SectionMemory {
  readonly #map: RawMap;

  constructor(map: RawMap) {
    this.#map = map;
  }

  read<T>(codec: Codec<T, never>, at: number): T {
    return codec.read(this.#contents(), at);
  }

  write<I>(codec: Codec<unknown, I>, at: number, value: I): void {
    const contents = this.#contents();
    codec.write(contents, at, value);
    this.#map.set(new Uint8Array(4), contents.bytes);
  }

  #contents(): Memory {
    const { kernel, fd } = this.#map;
    const bytes = new Uint8Array(kernel.valueBytes(fd));
    kernel.lookup(fd, new Uint8Array(4), bytes, 0);
    return new Memory(bytes, kernel.littleEndian);
  }
}
