/**
 * `.BTF.ext`: what belongs to instructions and not to types. Three tables, each grouped by section:
 * which function starts where (`func_info`), which line of source an instruction comes from
 * (`line_info`), and what CO-RE is to adjust (`core_relo`).
 *
 * Format: `struct btf_ext_header` of libbpf's libbpf_internal.h; `struct bpf_func_info`,
 * `bpf_line_info` and `bpf_core_relo` of include/uapi/linux/bpf.h; Documentation/bpf/btf.rst. The checks
 * are those of libbpf's `btf_ext_parse` and `btf_ext_parse_sec_info`. In both byte orders records may be
 * longer than known, as long as they are known to be or more.
 */

import { ObjectError } from '../../errors.ts';
import { type CoreKindName, coreKindName } from '../../uapi/core-kinds.ts';
import type { Btf } from './btf.ts';
import { InfoRecords } from './ext-records.ts';

const MAGIC = 0xeb9f;
/** Up to `line_info_len`; the two words for CO-RE came later. */
const HEADER_BYTES = 24;
const HEADER_BYTES_WITH_CORE = 32;
/** Name of the section and number of records, before the records. */
const GROUP_BYTES = 8;
const NAME = '.BTF.ext';

/** One CO-RE relocation: what to ask about a type, and the instruction that gets the answer. */
export interface CoreRelocation {
  /** Byte offset of the instruction in its section. */
  readonly offset: number;
  /** The local type that is asked about. */
  readonly typeId: number;
  /** The path to the member or enumerator, by position: `0:1:2`. Its spelling is not checked. */
  readonly access: string;
  /** `BPF_CORE_*`. */
  readonly kindNumber: number;
  /** Its name; undefined for one that is newer than the table of names. */
  readonly kind: CoreKindName | undefined;
}

/** One table: its records by section. */
interface Table {
  readonly recordBytes: number;
  /** By section; of two for one section the first. */
  readonly groups: ReadonlyMap<string, Group>;
}

interface Group {
  readonly start: number;
  readonly count: number;
}

/** The tables of one object. Keeps a view of the bytes; records are read when asked for. */
export class BtfExt {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #btf: Btf;
  readonly #functions: Table | undefined;
  readonly #lines: Table | undefined;
  readonly #core: Table | undefined;

  private constructor(bytes: Uint8Array, btf: Btf) {
    // Plain, whatever the bytes came in: subarray() of Node's Buffer costs several times as much.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#btf = btf;
    const headerBytes = this.#checkHeader();
    this.#little = this.#word16(0, true) === MAGIC;
    this.#functions = this.#readTable('func_info', headerBytes, 8, 8);
    this.#lines = this.#readTable('line_info', headerBytes, 16, 16);
    this.#core =
      headerBytes < HEADER_BYTES_WITH_CORE
        ? undefined
        : this.#readTable('core_relo', headerBytes, 24, 16);
  }

  /**
   * Reads the headers of all tables and of all groups in them.
   *
   * @param btf the object's types: names of sections and everything else are in its strings
   * @throws ObjectError `ERR_SKEP_BTF`
   */
  static parse(bytes: Uint8Array, btf: Btf): BtfExt {
    return new BtfExt(bytes, btf);
  }

  /** Where the functions of a section start (`struct bpf_func_info`); undefined if nothing says. */
  functions(section: string): InfoRecords | undefined {
    return this.#records(this.#functions, section);
  }

  /** The lines of source of a section (`struct bpf_line_info`); undefined if nothing says. */
  lines(section: string): InfoRecords | undefined {
    return this.#records(this.#lines, section);
  }

  /**
   * The CO-RE relocations of a section, as stored: by instruction in what compilers write.
   *
   * @throws ObjectError `ERR_SKEP_BTF` for a type or a text that is not there, or an offset inside an
   *   instruction
   */
  coreRelocations(section: string): CoreRelocation[] {
    const records = this.#records(this.#core, section);
    const found: CoreRelocation[] = [];
    for (let index = 0; index < (records?.count ?? 0); index += 1) {
      const offset = records!.word(index, 0);
      const typeId = records!.word(index, 1);
      const kindNumber = records!.word(index, 3);
      if (offset % 8 !== 0) {
        throw fail(
          `the CO-RE relocation ${index} of section "${section}" is inside an instruction (byte ${offset})`,
        );
      }
      if (typeId >= this.#btf.typeCount) {
        throw fail(
          `the CO-RE relocation ${index} of section "${section}" is about type [${typeId}]; ids end at ${this.#btf.typeCount - 1}`,
        );
      }
      const access = this.#btf.string(records!.word(index, 2));
      found.push({ offset, typeId, access, kindNumber, kind: coreKindName(kindNumber) });
    }
    return found;
  }

  #records(table: Table | undefined, section: string): InfoRecords | undefined {
    const group = table?.groups.get(section);
    if (table === undefined || group === undefined) {
      return undefined;
    }
    const bytes = this.#bytes.subarray(group.start, group.start + group.count * table.recordBytes);
    return new InfoRecords(bytes, table.recordBytes, this.#little);
  }

  /** Checks what is in front of the tables; returns the header's length. */
  #checkHeader(): number {
    const size = this.#bytes.length;
    if (size < 8) {
      throw fail(`${size} bytes are fewer than a header`);
    }
    const magic = this.#word16(0, true);
    const little = magic === MAGIC;
    if (!little && this.#word16(0, false) !== MAGIC) {
      throw fail(`the magic number is 0x${magic.toString(16)}, not 0xeb9f`);
    }
    if (little !== this.#btf.littleEndian) {
      throw fail(`it is ${little ? 'little' : 'big'}-endian, unlike .BTF`);
    }
    const version = this.#bytes[2]!;
    const flags = this.#bytes[3]!;
    if (version !== 1 || flags !== 0) {
      throw fail(`version ${version} with flags ${flags} is not known; version 1 without flags is`);
    }
    const headerBytes = this.#view.getUint32(4, little);
    if (headerBytes < HEADER_BYTES || headerBytes >= size) {
      throw fail(`the header claims ${headerBytes} bytes of ${size}`);
    }
    return headerBytes;
  }

  #word16(at: number, little: boolean): number {
    return this.#view.getUint16(at, little);
  }

  #word(at: number): number {
    return this.#view.getUint32(at, this.#little);
  }

  /**
   * Reads one table.
   *
   * @param field where the header has its offset, and behind that its length
   * @param leastBytes what a record has at least
   */
  #readTable(
    name: string,
    headerBytes: number,
    field: number,
    leastBytes: number,
  ): Table | undefined {
    const offset = this.#word(field);
    const length = this.#word(field + 4);
    if (length === 0) {
      return undefined;
    }
    // Numbers of 32 bits each: the sum is exact.
    const start = headerBytes + offset;
    const end = start + length;
    if (offset % 4 !== 0 || end > this.#bytes.length || length < 4) {
      throw fail(
        `${name} (${length} bytes at ${start}) is misaligned, too short, or reaches behind the end (${this.#bytes.length})`,
      );
    }
    const recordBytes = this.#word(start);
    if (recordBytes < leastBytes || recordBytes % 4 !== 0) {
      throw fail(`${name} has records of ${recordBytes} bytes; ${leastBytes} are expected`);
    }
    return { recordBytes, groups: this.#readGroups(name, start + 4, end, recordBytes) };
  }

  #readGroups(name: string, start: number, end: number, recordBytes: number): Map<string, Group> {
    if (start === end) {
      throw fail(`${name} has no records`);
    }
    const groups = new Map<string, Group>();
    let at = start;
    while (at < end) {
      if (end - at < GROUP_BYTES) {
        throw fail(`${name} is cut off in the header of a section`);
      }
      const section = this.#btf.string(this.#word(at));
      const count = this.#word(at + 4);
      at += GROUP_BYTES;
      if (count === 0 || count > (end - at) / recordBytes) {
        throw fail(`${name} claims ${count} records for section "${section}" in ${end - at} bytes`);
      }
      if (!groups.has(section)) {
        groups.set(section, { start: at, count });
      }
      at += count * recordBytes;
    }
    return groups;
  }
}

function fail(problem: string): ObjectError {
  return new ObjectError('ERR_SKEP_BTF', `section ${NAME}: ${problem}`, { section: NAME });
}
