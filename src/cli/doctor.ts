/** `skep doctor`: what the kernel at hand can do, and what an object asks of it that it cannot. */

import { KernelUnavailableError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ObjectFile } from '../loader/object-file.ts';
import type { Answer } from '../probes/answer.ts';
import { FEATURES, features } from '../probes/features.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import { BPF_PROG_TYPE, programTypeName } from '../uapi/program-types.ts';
import { examineObject, type Finding } from './doctor-object.ts';
import { readSystem, type SystemFact } from './doctor-system.ts';
import { describeDiagnosis } from './doctor-text.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { naming } from './object-errors.ts';
import type { DoctorCommandOptions } from './program.ts';
import { print, printJson, standardOutput } from './terminal.ts';
import { CommandError } from './usage.ts';

/** An answer with what it is about. */
export interface NamedAnswer extends Answer {
  readonly name: string;
}

/** A feature, since when Linux has it, and whether this kernel does. */
export interface FeatureAnswer extends NamedAnswer {
  readonly title: string;
  readonly since: string;
}

/** What a kernel can do. */
export interface KernelAnswers {
  readonly mapTypes: readonly NamedAnswer[];
  readonly programTypes: readonly NamedAnswer[];
  readonly features: readonly FeatureAnswer[];
}

/** All that is found out. */
export interface Diagnosis {
  /** The running system; empty if the kernel is one in this process. */
  readonly system: readonly SystemFact[];
  /** null if there is no kernel to ask. */
  readonly kernel: KernelAnswers | null;
  /** null if no object was given. */
  readonly object: ObjectDiagnosis | null;
}

/** What an object needs that is not there. */
export interface ObjectDiagnosis {
  readonly file: string;
  /** Whether nothing that loading needs is known to be missing. */
  readonly fits: boolean;
  readonly findings: readonly Finding[];
}

/**
 * Examines the kernel, and an object if one is given, and prints the outcome.
 *
 * @throws CommandError if the kernel lacks something that the object needs
 * @throws SkepError `ERR_SKEP_FILE`, and whatever reading the object throws
 */
export function doctorCommand(
  file: string | undefined,
  options: DoctorCommandOptions,
  choice: KernelChoice,
): void {
  // First, so that a wrong path does not take the time of all probes.
  const object = file === undefined ? null : naming(file, () => ObjectFile.open(file));
  const kernel = openOrNull(choice);
  const diagnosis: Diagnosis = {
    system: choice.endsWithCommand ? [] : readSystem(),
    kernel: kernel && examineKernel(kernel),
    object: object && naming(object.file, () => diagnoseObject(object, kernel)),
  };
  if (options.json) {
    printJson({ format: 1, ...diagnosis });
  } else {
    print(describeDiagnosis(diagnosis, standardOutput()));
  }
  if (diagnosis.object?.fits === false) {
    throw new CommandError(
      kernel === null
        ? `${file}: there is no kernel to load it into`
        : `${file}: this kernel, or this user, cannot do all that it needs`,
    );
  }
}

/** The kernel; null if there is none, which the facts about the system explain. */
function openOrNull(choice: KernelChoice): Kernel | null {
  try {
    return choice.open();
  } catch (error) {
    if (error instanceof KernelUnavailableError) {
      return null;
    }
    throw error;
  }
}

function examineKernel(kernel: Kernel): KernelAnswers {
  const set = features(kernel);
  return {
    // By number: some types have two names.
    mapTypes: numbers(BPF_MAP_TYPE).map((type) => ({
      name: mapTypeName(type),
      ...set.mapType(type),
    })),
    programTypes: numbers(BPF_PROG_TYPE).map((type) => ({
      name: programTypeName(type),
      ...set.programType(type),
    })),
    features: FEATURES.map(({ name, title, since }) => ({
      name,
      title,
      since,
      ...set.feature(name),
    })),
  };
}

/** The numbers of types, without 0, which is no type. */
function numbers(table: Readonly<Record<string, number>>): number[] {
  return [...new Set(Object.values(table))].filter((number) => number !== 0);
}

function diagnoseObject(object: ObjectFile, kernel: Kernel | null): ObjectDiagnosis {
  const { file } = object;
  if (kernel === null) {
    return { file, fits: false, findings: [] };
  }
  const findings = examineObject(object, kernel);
  const fits = !findings.some(({ answer, required }) => required && answer !== 'unknown');
  return { file, fits, findings };
}
