/** What `skep doctor` found, for people. */

import type { Answer } from '../probes/answer.ts';
import type { Diagnosis, NamedAnswer, ObjectDiagnosis } from './doctor.ts';
import type { SystemFact } from './doctor-system.ts';
import { type Column, type Row, renderTable } from './table.ts';
import { printable, type Terminal } from './terminal.ts';

const SYSTEM_COLUMNS: readonly Column[] = [
  { title: 'SYSTEM', kind: 'name' },
  { title: 'STATE', kind: 'text' },
  { title: 'NOTE', kind: 'text' },
];

const FEATURE_COLUMNS: readonly Column[] = [
  { title: 'FEATURE', kind: 'text' },
  { title: 'SINCE', kind: 'number' },
  { title: 'HERE', kind: 'name' },
  { title: 'WHY NOT', kind: 'text' },
];

const TYPE_COLUMNS: readonly Column[] = [
  { title: 'TYPES', kind: 'name' },
  { title: 'HERE', kind: 'name' },
  { title: 'WHY NOT', kind: 'text' },
];

const FINDING_COLUMNS: readonly Column[] = [
  { title: 'OF THE OBJECT', kind: 'name' },
  { title: 'NEEDS', kind: 'text' },
  { title: 'HERE', kind: 'name' },
  { title: 'WHY NOT', kind: 'text' },
];

/** Sets all that was found; the parts are set apart by empty lines. */
export function describeDiagnosis(diagnosis: Diagnosis, terminal: Terminal): string {
  const { system, kernel, object } = diagnosis;
  const parts: string[] = [];
  if (system.length > 0) {
    parts.push(renderTable(SYSTEM_COLUMNS, system.map(systemRow), terminal));
  }
  if (kernel !== null) {
    const types = [
      ...typeRows('map', kernel.mapTypes),
      ...typeRows('program', kernel.programTypes),
    ];
    parts.push(renderTable(TYPE_COLUMNS, types, terminal));
    const reasons = new Reasons();
    const rows = kernel.features.map((feature) => [
      feature.title,
      feature.since,
      feature.answer,
      reasons.of(feature),
    ]);
    parts.push(renderTable(FEATURE_COLUMNS, rows, terminal));
  }
  if (object !== null) {
    parts.push(describeObject(object, terminal));
  }
  return parts.join('\n');
}

function systemRow({ name, value, note }: SystemFact): Row {
  return [name, printable(value ?? 'not known'), printable(note)];
}

/** Types by answer and reason: how many, then which. */
function typeRows(kind: 'map' | 'program', types: readonly NamedAnswer[]): Row[] {
  const groups = new Map<string, NamedAnswer[]>();
  for (const type of types) {
    const key = `${type.answer} ${reasonOf(type)}`;
    groups.set(key, [...(groups.get(key) ?? []), type]);
  }
  return [...groups.values()].flatMap((group) => [
    [`${group.length} of ${types.length} ${kind} types`, group[0]!.answer, reasonOf(group[0]!)],
    { lead: '  ', items: group.map(({ name }) => name) },
  ]);
}

/** Why, in words that are the same for all types. */
function reasonOf({ name, reason }: NamedAnswer): string {
  return printable(reason ?? '').replace(`programs of type ${name}`, 'such programs');
}

/** Reasons one below the other: what to do about privileges is said once. */
class Reasons {
  readonly #said = new Set<string>();

  of({ answer, reason }: Answer): string {
    const text = printable((reason ?? '').replace(/\s*\n\s*/g, ' '));
    if (answer !== 'not permitted') {
      return text;
    }
    const [call = text] = text.split(': ', 1);
    const isNew = !this.#said.has(call);
    this.#said.add(call);
    return isNew ? text : call;
  }
}

function describeObject(object: ObjectDiagnosis, terminal: Terminal): string {
  const file = printable(object.file);
  if (object.findings.length === 0) {
    return object.fits ? `${file}: the kernel has all that it needs\n` : '';
  }
  const reasons = new Reasons();
  const rows = object.findings.map((finding) => [
    printable(finding.required ? finding.subject : `${finding.subject} (not loaded by default)`),
    printable(finding.needs),
    finding.answer,
    reasons.of(finding),
  ]);
  return renderTable(FINDING_COLUMNS, rows, terminal);
}
