/**
 * What of an object a kernel cannot do: everything that its maps and programs need is asked for, one by
 * one, so that nothing hides behind the first that fails.
 */

import { ObjectError, SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { CoreResolver } from '../obj/core/resolve.ts';
import { type LinkedProgram, linkProgram } from '../obj/link.ts';
import type { ObjectFile } from '../obj/object.ts';
import type { ProgramDefinition } from '../obj/programs.ts';
import type { LinkedRelocation } from '../obj/relocations.ts';
import { type Answer, answerOf, no, unknown } from '../probes/answer.ts';
import { type FeatureSet, features } from '../probes/features.ts';
import { type ProgramKind, probeHelperOf, probeProgramKind } from '../probes/program-types.ts';
import { attachTargetOf } from '../programs/attach-target.ts';
import { structOpsTypes } from '../programs/attach-target-struct-ops.ts';
import { ExternResolver } from '../programs/externs.ts';
import { kconfigContents } from '../programs/kconfig.ts';
import { KernelTypes } from '../programs/kernel-types.ts';
import { describePoison } from '../programs/poison.ts';
import { programShape } from '../programs/program-shape.ts';
import { helperName } from '../uapi/helpers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { BPF_CLASS, BPF_JMP_OP } from '../uapi/opcodes.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';

/** Something that an object needs and the kernel does not have, or may not have. */
export interface Finding {
  /** `map "flows"`, `program "entry"`, `section ".kconfig"`. */
  readonly subject: string;
  /** `map type hash_of_maps`, `helper bpf_redirect`. */
  readonly needs: string;
  readonly answer: Exclude<Answer['answer'], 'yes'>;
  readonly reason: string;
  /** Whether loading the object fails for it. Programs that are not loaded unless asked for do not count. */
  readonly required: boolean;
}

/** How errors call the BTF of the kernel and its modules. */
const KERNEL_BTF_DIRECTORY = '/sys/kernel/btf/';
const HELPER_CALL = BPF_CLASS.JMP | BPF_JMP_OP.CALL;

/**
 * What the kernel lacks for an object, in the order of its maps and programs.
 *
 * @throws ObjectError for what is wrong with the object itself
 */
export function examineObject(object: ObjectFile, kernel: Kernel): Finding[] {
  const types = new KernelTypes(kernel);
  try {
    const examination = new Examination(object, kernel, types);
    if (!examination.byteOrder()) {
      return examination.findings;
    }
    examination.maps();
    examination.data();
    for (const program of object.programs.values()) {
      examination.program(program);
    }
    return examination.findings;
  } finally {
    types.close();
  }
}

/** Collects what is found about one object. */
class Examination {
  readonly findings: Finding[] = [];
  readonly #object: ObjectFile;
  readonly #kernel: Kernel;
  readonly #types: KernelTypes;
  readonly #features: FeatureSet;
  readonly #externs: ExternResolver;
  #core: CoreResolver | undefined;

  constructor(object: ObjectFile, kernel: Kernel, types: KernelTypes) {
    this.#object = object;
    this.#kernel = kernel;
    this.#types = types;
    this.#features = features(kernel);
    this.#externs = new ExternResolver(object, kernel, types);
  }

  /** Whether object and kernel have the same byte order; without that nothing of it loads. */
  byteOrder(): boolean {
    const { byteOrder } = this.#object;
    const isSame = (byteOrder === 'little') === this.#kernel.littleEndian;
    if (!isSame) {
      const reason = `the machine has the other byte order; compile it with -target ${byteOrder === 'little' ? 'bpfeb' : 'bpfel'}`;
      this.#add('the object', `byte order ${byteOrder}`, true, no(reason));
    }
    return isSame;
  }

  maps(): void {
    for (const map of this.#object.maps.values()) {
      const subject = `map "${map.name}"`;
      // Such as are not created unless asked for.
      const required = !map.section.startsWith('?');
      this.#add(subject, `map type ${map.type}`, required, this.#features.mapType(map.typeNumber));
      if (map.typeNumber === BPF_MAP_TYPE.STRUCT_OPS) {
        this.#try(subject, 'struct of functions', required, () => this.#structOps(map.valueTypeId));
      }
    }
  }

  data(): void {
    for (const name of this.#object.data.keys()) {
      this.#add(`section "${name}"`, 'global data', true, this.#features.feature('global data'));
    }
    if (this.#object.data.has('.kconfig')) {
      this.#try('section ".kconfig"', 'options of the kernel', true, () => {
        kconfigContents(this.#object, this.#kernel, {});
      });
    }
  }

  program(definition: ProgramDefinition): void {
    const { name, autoload: required } = definition;
    const subject = `program "${name}"`;
    const linked = linkProgram(this.#object, name);
    const kind = this.#kind(definition, subject);
    if (kind !== null) {
      this.#helpers(linked, kind, subject, required);
    }
    const seen = new Set<string>();
    for (const relocation of linked.relocations) {
      this.#relocation(relocation, subject, required, seen);
    }
  }

  /** What a program is loaded as; null if the kernel does not take it, or it cannot be tried. */
  #kind(definition: ProgramDefinition, subject: string): ProgramKind | null {
    const { autoload: required, type } = definition;
    const needs = `program type ${type}`;
    if (definition.typeNumber === BPF_PROG_TYPE.EXT) {
      // For a function of a program that is not here: nothing can be tried.
      const reason = `it replaces a function of another program; give that by the option programs.${definition.name}.attachProgram`;
      this.#add(subject, needs, required, unknown(reason));
      return null;
    }
    let kind: ProgramKind | null = null;
    const isKnown = this.#try(subject, 'what it is for', required, () => {
      const shape = programShape(definition);
      if (shape.type === BPF_PROG_TYPE.STRUCT_OPS) {
        // Belongs to a map, which is looked at.
        return;
      }
      const target = shape.needsTarget
        ? attachTargetOf(definition, shape.attachTo, this.#types, this.#kernel)
        : null;
      kind = {
        type: shape.type,
        expectedAttachType: shape.attachType,
        flags: shape.flags,
        target,
      };
    });
    if (!isKnown) {
      return null;
    }
    const answer =
      kind === null
        ? this.#features.programType(definition.typeNumber)
        : probeProgramKind(this.#kernel, kind);
    this.#add(subject, needs, required, answer);
    return answer.answer === 'yes' ? kind : null;
  }

  #helpers(linked: LinkedProgram, kind: ProgramKind, subject: string, required: boolean): void {
    for (const helper of helpersOf(linked)) {
      const answer = probeHelperOf(this.#kernel, kind, helper);
      this.#add(subject, `helper ${helperName(helper) ?? helper}`, required, answer);
    }
  }

  /** @param seen what was said of this program already */
  #relocation(
    relocation: LinkedRelocation,
    subject: string,
    required: boolean,
    seen: Set<string>,
  ): void {
    switch (relocation.kind) {
      case 'ksym':
      case 'kfunc': {
        const { name } = relocation.extern;
        const needs = `${relocation.kind === 'kfunc' ? 'kernel function' : 'kernel symbol'} ${name}`;
        if (!seen.has(needs)) {
          seen.add(needs);
          this.#try(subject, needs, required, () => {
            this.#externs.resolve(relocation.extern);
          });
        }
        break;
      }
      case 'core':
        this.#coreRelocation(relocation, subject, required, seen);
        break;
      default:
    }
  }

  #coreRelocation(
    relocation: LinkedRelocation & { readonly kind: 'core' },
    subject: string,
    required: boolean,
    seen: Set<string>,
  ): void {
    if (!this.#hasKernelTypes(subject, required, seen)) {
      return;
    }
    // With CO-RE relocations there is BTF.
    this.#core ??= new CoreResolver(this.#object.btf!, this.#types.targets());
    const core = this.#core;
    const { slot } = relocation;
    this.#try(subject, `CO-RE at instruction ${slot}`, required, () => {
      const result = core.resolve(relocation.core);
      const needs = `CO-RE ${[result.localType, result.access].filter(Boolean).join(' ')}`;
      if (result.value === null && !seen.has(needs)) {
        seen.add(needs);
        // A program may ask first whether it is there; only the verifier knows whether it does.
        const reason = `${describePoison({ slot, kind: 'core', result })}; it loads all the same if no path leads there`;
        this.#add(subject, needs, required, unknown(reason));
      }
    });
  }

  /** Whether there are types for CO-RE; what is wrong with them is said once for each program. */
  #hasKernelTypes(subject: string, required: boolean, seen: Set<string>): boolean {
    const needs = 'CO-RE';
    if (seen.has(needs)) {
      return false;
    }
    let has = false;
    const isReadable = this.#try(subject, needs, required, () => {
      has = this.#types.kernelBtf !== undefined;
    });
    if (isReadable && !has) {
      const reason = 'the kernel has no BTF (CONFIG_DEBUG_INFO_BTF), and none was given';
      this.#add(subject, needs, required, no(reason));
    }
    if (!has) {
      seen.add(needs);
    }
    return has;
  }

  #structOps(valueTypeId: number): void {
    const name = this.#object.btf?.nameOf(valueTypeId) ?? '';
    structOpsTypes(this.#types, name);
  }

  /** Runs what fails where the kernel lacks something; whether it did not. */
  #try(subject: string, needs: string, required: boolean, call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      if (error instanceof SyscallError) {
        this.#add(subject, needs, required, answerOf(error));
      } else if (error instanceof SkepError && isOfKernel(error)) {
        const answer = isForbidden(error) ? 'not permitted' : 'no';
        this.#add(subject, needs, required, { answer, reason: error.message });
      } else {
        throw error;
      }
      return false;
    }
  }

  #add(subject: string, needs: string, required: boolean, { answer, reason }: Answer): void {
    if (answer !== 'yes') {
      this.findings.push({ subject, needs, answer, reason: reason ?? '', required });
    }
  }
}

/** Whether something is wrong with the kernel, or for it, and not with the object itself. */
function isOfKernel(error: SkepError): boolean {
  return (
    error.code === 'ERR_SKEP_LOAD' ||
    // Damage of the kernel's types, or a module's, that shows when one of them is looked at.
    (error instanceof ObjectError && error.section?.startsWith(KERNEL_BTF_DIRECTORY) === true)
  );
}

/** Whether a file of the kernel exists that this user may not read. */
function isForbidden(error: SkepError): boolean {
  const code = rootCode(error);
  return code === 'EACCES' || code === 'EPERM';
}

/** The `code` of what an error comes from. */
function rootCode({ cause }: Error): string | undefined {
  return cause instanceof SkepError ? rootCode(cause) : (cause as NodeJS.ErrnoException)?.code;
}

/** The helpers that a program calls, in the order of their numbers. */
function helpersOf({ instructions, relocations }: LinkedProgram): number[] {
  // Calls of kernel functions look the same until they are relocated.
  const others = new Set(relocations.map(({ slot }) => slot));
  const helpers = new Set<number>();
  for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
    const isCall = instructions.opcode(slot) === HELPER_CALL && instructions.src(slot) === 0;
    if (isCall && !others.has(slot)) {
      helpers.add(instructions.imm(slot));
    }
  }
  return [...helpers].sort((a, b) => a - b);
}
