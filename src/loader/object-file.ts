/** Objects from files: what the pure layer cannot do. */

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  type Stats,
} from 'node:fs';
import { SkepError } from '../errors.ts';
import { type ParseOptions, ObjectFile as PureObjectFile } from '../obj/object.ts';

/** The most that is read of what does not say how long it is: objects have some kilobytes, or megabytes. */
const MOST_STREAMED = 1 << 28;
/** Doubled as often as needed. */
const FIRST_BYTES = 1 << 16;
const ELF_MAGIC = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);

/** A compiled BPF object, read from a file or from memory. */
export class ObjectFile extends PureObjectFile {
  /**
   * Reads an object from memory.
   *
   * @throws ObjectError `ERR_SKEP_ELF`, `ERR_SKEP_BTF`, `ERR_SKEP_PROGRAM`, `ERR_SKEP_DATA`
   * @throws MapDefinitionError `ERR_SKEP_MAP_DEFINITION`
   */
  static override parse(bytes: Uint8Array, options: ParseOptions = {}): ObjectFile {
    return new ObjectFile(bytes, options);
  }

  /**
   * Reads an object from a regular file, or from a pipe that this process was given (`/dev/stdin`,
   * `/dev/fd/3`). A named pipe, a device or a directory is refused: reading it might never end. Of what does
   * not say how long it is (a pipe, files below /proc) at most 256 MiB are read, and the beginning if that is
   * none of an object.
   *
   * @throws SkepError `ERR_SKEP_FILE` if the file cannot be read, or is none of these
   * @throws ObjectError, MapDefinitionError as {@link ObjectFile.parse} does
   */
  static open(path: string): ObjectFile {
    return new ObjectFile(readObject(path), { file: path });
  }
}

/** What a file is that is none to read an object from; the first that holds. */
const KINDS: readonly (readonly [kind: string, is: (stats: Stats) => boolean])[] = [
  ['a directory', (stats) => stats.isDirectory()],
  ['a character device', (stats) => stats.isCharacterDevice()],
  ['a block device', (stats) => stats.isBlockDevice()],
  ['a named pipe', (stats) => stats.isFIFO()],
  ['a socket', (stats) => stats.isSocket()],
];

/** Paths of descriptors: what is behind them is open already, so that it has a writer, or had one. */
const DESCRIPTOR = /^\/(dev\/(stdin|fd\/\d+)|proc\/(self|\d+)\/fd\/\d+)$/;

function readObject(path: string): Uint8Array {
  let stats: Stats;
  try {
    // Without waiting for the other end of a named pipe; regular files do not know the flag.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      stats = fstatSync(fd);
      if (stats.isFile()) {
        return stats.size > 0 ? readFileSync(fd) : readStream(fd);
      }
    } finally {
      closeSync(fd);
    }
    if (stats.isFIFO() && DESCRIPTOR.test(path)) {
      return readPipe(path);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SkepError('ERR_SKEP_FILE', `${path} cannot be read: ${reason}`, { cause });
  }
  const kind = KINDS.find(([, is]) => is(stats))?.[0] ?? 'no regular file';
  throw new SkepError(
    'ERR_SKEP_FILE',
    `${path} cannot be read: it is ${kind}; an object is a regular file`,
  );
}

/** Opens it again, to wait for what is written. */
function readPipe(path: string): Uint8Array {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    return readStream(fd);
  } finally {
    closeSync(fd);
  }
}

function readStream(fd: number): Uint8Array {
  let bytes = new Uint8Array(FIRST_BYTES);
  let total = 0;
  for (;;) {
    const length = readSync(fd, bytes, total, bytes.length - total, null);
    const isOver = length === 0;
    const isDecided = total >= ELF_MAGIC.length;
    total += length;
    if (isOver || (!isDecided && total >= ELF_MAGIC.length && !isElf(bytes))) {
      return bytes.subarray(0, total);
    }
    if (total === bytes.length) {
      if (total >= MOST_STREAMED) {
        throw new Error(`it gives ${MOST_STREAMED} bytes and more`);
      }
      const larger = new Uint8Array(2 * total);
      larger.set(bytes);
      bytes = larger;
    }
  }
}

function isElf(bytes: Uint8Array): boolean {
  return ELF_MAGIC.every((byte, index) => bytes[index] === byte);
}
