/**
 * Loading a program into the in-process kernel: `bpf_prog_load` in `kernel/bpf/syscall.c`, and of the
 * verifier what looks at the form of a program. What a program does is not verified.
 */

import type { SyscallError } from '../../errors.ts';
import { Instructions, LOAD_IMM64 } from '../../obj/instructions/instructions.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_MAP_TYPE } from '../../uapi/map-types.ts';
import { BPF_PSEUDO } from '../../uapi/opcodes.ts';
import { BPF_PROG_TYPE, programTypeName } from '../../uapi/program-types.ts';
import type { Capability } from '../capabilities.ts';
import { shortName } from '../check-numbers.ts';
import { checkProgram } from '../check-program.ts';
import type { LogRequest, ProgramAttributes } from '../program-calls.ts';
import { explainLoad, programCapabilities } from '../program-hints.ts';
import { refused } from '../refused.ts';
import { checkName } from './create-rules.ts';
import type { OpenFile } from './descriptors.ts';
import { checkInstructions, checkKnown } from './instruction-form.ts';
import { BtfObject, MapObject } from './objects.ts';
import { checkAttach, expectedAttachType, refusalOfTarget } from './program-attach-rules.ts';
import {
  checkFlow,
  checkFunctionInfo,
  checkLineInfo,
  checkWide,
  functionStarts,
  invalid,
  type Refusal,
} from './program-form.ts';
import { fitsArray, ProgramObject, type ProgramParts, tagOf } from './program-object.ts';

/** `BPF_COMPLEXITY_LIMIT_INSNS`, in slots. */
const MOST_INSTRUCTIONS = 1_000_000;
/** `MAX_USED_MAPS`. */
const MOST_MAPS = 64;
/** Flags `BPF_F_*` of programs that Linux 6.18 knows, but for devices and tokens. */
const FLAGS = 0b1011_1111;
/** Bytes that the kernel reads of a license, one of them the NUL. */
const LICENSE_BYTES = 128;
const NOTHING_VERIFIED =
  'processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n';

/** What this needs of the process. */
export interface LoadContext {
  readonly littleEndian: boolean;
  /** The types of the kernel itself. */
  readonly kernelTypes: BtfObject | null;
  may(capability: Capability): boolean;
  /** What is behind a descriptor. */
  open(fd: number): OpenFile | undefined;
}

/**
 * What a program that is loaded is made of.
 *
 * @throws TypeError and RangeError for what no call has room for; SyscallError as the kernel refuses it
 */
export function loadProgram(
  given: ProgramAttributes,
  log: LogRequest | null,
  context: LoadContext,
): ProgramParts {
  checkProgram(given, log, context.littleEndian);
  const name = shortName(given.name, 'program');
  const license = given.license.slice(0, LICENSE_BYTES - 1);
  const attributes = { ...given, name, license, expectedAttachType: expectedAttachType(given) };
  const refuse = (errno: number): SyscallError => {
    const hint = explainLoad(given.type, errno, () => 'none', context.may);
    return refused('BPF_PROG_LOAD', errno, `program "${given.name}"`, hint);
  };
  const early = earlyRefusal(attributes, context);
  if (early < 0) {
    throw refuse(-early);
  }
  const byteOrder = context.littleEndian ? 'little' : 'big';
  const instructions = new Instructions(given.instructions.slice(), byteOrder);
  const target = targetOf(attributes, context);
  const late =
    typeof target === 'number'
      ? target
      : checkAttach(attributes, target.kind) || checkType(attributes);
  if (late < 0 || typeof target === 'number') {
    throw refuse(-late);
  }
  const loaded = new Verification(attributes, instructions, context).run(target);
  const errno = writeLog(log, 'errno' in loaded ? `${loaded.text}\n` : '');
  if ('errno' in loaded) {
    throw refuse(errno ?? loaded.errno);
  }
  if (errno !== null) {
    throw refuse(errno);
  }
  return loaded;
}

type Target = ProgramParts['target'] & { readonly kind: 'program' | 'types' | 'none' };

/** What needs nothing but numbers: 0 or a negative errno. */
function earlyRefusal(attributes: ProgramAttributes, context: LoadContext): number {
  if ((attributes.flags & ~FLAGS) !== 0) {
    return -ERRNO.EINVAL;
  }
  const [first, ...rest] = programCapabilities(attributes.type);
  if (!context.may(first!)) {
    return -ERRNO.EPERM;
  }
  const count = attributes.instructions.length / 8;
  if (count === 0 || count > MOST_INSTRUCTIONS) {
    return -ERRNO.E2BIG;
  }
  return rest.every((capability) => context.may(capability)) ? 0 : -ERRNO.EPERM;
}

function checkType({ type, name }: ProgramAttributes): number {
  const isKnown = type > BPF_PROG_TYPE.UNSPEC && !programTypeName(type).startsWith('type_');
  return isKnown ? checkName(name) : -ERRNO.EINVAL;
}

function targetOf({ target }: ProgramAttributes, context: LoadContext): Target | number {
  const none = { kind: 'none', program: null, btfId: 0 } as const;
  if (target === null) {
    return none;
  }
  if (target.fd !== null && target.fd !== 0) {
    const object = context.open(target.fd)?.object;
    if (object instanceof ProgramObject) {
      const btfId = object.parts.btf?.id ?? 0;
      return { kind: 'program', program: object, btfId };
    }
    // Only modules have types of their own to attach to, and there are none.
    return object instanceof BtfObject ? -ERRNO.ENOTSUPP : -ERRNO.EINVAL;
  }
  if (target.typeId === 0) {
    return none;
  }
  const { kernelTypes } = context;
  return kernelTypes === null
    ? -ERRNO.EINVAL
    : { kind: 'types', program: null, btfId: kernelTypes.id };
}

/** Writes the log; an errno if that fails the call, which it does where a part of it had no room. */
function writeLog(log: LogRequest | null, refusal: string): number | null {
  if (log === null) {
    return null;
  }
  log.wholeBytes = 0;
  if (log.level === 0) {
    return null;
  }
  const text = new TextEncoder().encode(`${refusal}${NOTHING_VERIFIED}\0`);
  const fits = text.length <= log.buffer.length;
  const end = log.buffer.length - 1;
  log.buffer.set(fits ? text : text.subarray(0, end));
  if (!fits) {
    log.buffer[end] = 0;
  }
  log.wholeBytes = text.length;
  return fits ? null : ERRNO.ENOSPC;
}

/** One pass over a program, in the verifier's order. */
class Verification {
  readonly #attributes: ProgramAttributes;
  readonly #instructions: Instructions;
  readonly #context: LoadContext;
  readonly #maps: MapObject[] = [];

  constructor(attributes: ProgramAttributes, instructions: Instructions, context: LoadContext) {
    this.#attributes = attributes;
    this.#instructions = instructions;
    this.#context = context;
  }

  run(target: Target): ProgramParts | Refusal {
    const starts = functionStarts(this.#instructions);
    if ('errno' in starts) {
      return starts;
    }
    const btf = this.#types();
    if (btf !== null && 'errno' in btf) {
      return btf;
    }
    const refusal = checkFlow(this.#instructions, starts) ?? this.#checkInfo(btf, starts);
    if (refusal !== null) {
      return refusal;
    }
    const tag = tagOf(this.#instructions);
    const wrong =
      this.#resolveMaps() ?? this.#checkTarget(target) ?? checkInstructions(this.#instructions);
    if (wrong !== null) {
      return wrong;
    }
    const parts: ProgramParts = {
      attributes: this.#attributes,
      instructions: this.#instructions,
      tag,
      maps: this.#maps,
      btf,
      target,
    };
    const arrays = this.#maps.filter(
      ({ attributes }) => attributes.type === BPF_MAP_TYPE.PROG_ARRAY,
    );
    return arrays.every((array) => fitsArray(array, parts)) ? parts : invalid('');
  }

  /** The types that describe it; null if nothing does. */
  #types(): BtfObject | Refusal | null {
    const { btf } = this.#attributes;
    const hasInfo = [btf?.functionInfo, btf?.lineInfo].some(
      (table) => (table?.bytes.length ?? 0) > 0,
    );
    if (btf === null || !hasInfo) {
      return null;
    }
    const object = this.#context.open(btf.fd)?.object;
    if (!(object instanceof BtfObject)) {
      return invalid('', object === undefined ? ERRNO.EBADF : ERRNO.EINVAL);
    }
    return object.name === '' ? object : invalid('', ERRNO.EACCES);
  }

  #checkInfo(types: BtfObject | null, starts: readonly number[]): Refusal | null {
    const { btf } = this.#attributes;
    if (types === null || btf === null) {
      return null;
    }
    const { functionInfo, lineInfo } = btf;
    const hasFunctions = functionInfo !== null && functionInfo.bytes.length > 0;
    const refusal = hasFunctions
      ? checkFunctionInfo(functionInfo, starts, types, this.#context.littleEndian)
      : null;
    return refusal !== null || lineInfo === null || lineInfo.bytes.length === 0
      ? refusal
      : checkLineInfo(lineInfo, this.#instructions, starts);
  }

  /** `check_and_resolve_insns`: descriptors of maps become ids, as the kernel shows them. */
  #resolveMaps(): Refusal | null {
    const code = this.#instructions;
    for (let slot = 0; slot < code.length; slot += code.slots(slot)) {
      const opcode = code.opcode(slot);
      const refusal =
        opcode === LOAD_IMM64
          ? (checkWide(code, slot) ?? this.#resolveLoad(slot))
          : checkKnown(code, slot);
      if (refusal !== null) {
        return refusal;
      }
    }
    return null;
  }

  #resolveLoad(slot: number): Refusal | null {
    const code = this.#instructions;
    const source = code.src(slot);
    switch (source) {
      case BPF_PSEUDO.MAP_FD:
      case BPF_PSEUDO.MAP_IDX:
        return code.imm(slot + 1) === 0
          ? this.#resolveMap(slot, source === BPF_PSEUDO.MAP_IDX, false)
          : invalid('unrecognized bpf_ld_imm64 insn');
      case BPF_PSEUDO.MAP_VALUE:
      case BPF_PSEUDO.MAP_IDX_VALUE:
        return this.#resolveMap(slot, source === BPF_PSEUDO.MAP_IDX_VALUE, true);
      case 0:
      case BPF_PSEUDO.BTF_ID:
      case BPF_PSEUDO.FUNC:
        return null;
      default:
        return invalid('unrecognized bpf_ld_imm64 insn');
    }
  }

  #resolveMap(slot: number, byIndex: boolean, isValue: boolean): Refusal | null {
    const code = this.#instructions;
    const given = code.imm(slot);
    const fd = byIndex ? this.#attributes.descriptors[given] : given;
    if (fd === undefined) {
      return invalid('fd_idx without fd_array is invalid', ERRNO.EPROTO);
    }
    const map = this.#context.open(fd)?.object;
    if (!(map instanceof MapObject)) {
      const errno = map === undefined ? ERRNO.EBADF : ERRNO.EINVAL;
      return invalid(`fd ${fd} is not pointing to valid bpf_map`, errno);
    }
    if (!this.#maps.includes(map)) {
      if (this.#maps.length >= MOST_MAPS) {
        const text = `The total number of maps per program has reached the limit of ${MOST_MAPS}`;
        return invalid(text, ERRNO.E2BIG);
      }
      this.#maps.push(map);
    }
    const refusal = isValue ? checkValue(map, code.imm(slot + 1) >>> 0) : null;
    code.setSrc(slot, isValue ? BPF_PSEUDO.MAP_VALUE : BPF_PSEUDO.MAP_FD);
    code.setImm(slot, map.id);
    return refusal;
  }

  #checkTarget(target: Target): Refusal | null {
    const text = refusalOfTarget(this.#attributes);
    if (text !== null) {
      return invalid(text);
    }
    const types =
      target.kind === 'types' ? this.#context.kernelTypes?.types : target.program?.parts.btf?.types;
    const typeId = this.#attributes.target?.typeId ?? 0;
    if (typeId === 0) {
      return null;
    }
    if (types === undefined) {
      return invalid("Tracing program's target has no BTF");
    }
    return typeId < types.typeCount ? null : invalid(`attach_btf_id ${typeId} is invalid`);
  }
}

/** Whether an instruction may have the address of a byte of a map's value (`array_map_direct_value_addr`). */
function checkValue({ attributes }: MapObject, offset: number): Refusal | null {
  const { type, maxEntries, valueSize } = attributes;
  if (type !== BPF_MAP_TYPE.ARRAY) {
    return invalid('no direct value access support for this map type');
  }
  if (maxEntries === 1 && offset < valueSize) {
    return null;
  }
  const text = `invalid access to map value pointer, value_size=${valueSize} off=${offset}`;
  return invalid(text, maxEntries === 1 ? ERRNO.EINVAL : ERRNO.ENOTSUPP);
}
