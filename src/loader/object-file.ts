/** Objects from files: what the pure layer cannot do. */

import { readFileSync } from 'node:fs';
import { SkepError } from '../errors.ts';
import { type ParseOptions, ObjectFile as PureObjectFile } from '../obj/object.ts';

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
   * Reads an object from a file.
   *
   * @throws SkepError `ERR_SKEP_FILE` if the file cannot be read
   * @throws ObjectError, MapDefinitionError as {@link ObjectFile.parse} does
   */
  static open(path: string): ObjectFile {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new SkepError('ERR_SKEP_FILE', `${path} cannot be read: ${reason}`, { cause });
    }
    return new ObjectFile(bytes, { file: path });
  }
}
