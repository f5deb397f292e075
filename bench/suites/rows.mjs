/** What the suites about maps share: rows of a table, each an operation that several subjects do. */

import { runPasses } from '../processes.mjs';
import { compare } from '../report.mjs';

/** @import { Plan } from '../measure.mjs' */
/** @import { Outcome, Subject } from '../processes.mjs' */
/** @import { Comparison, Report, Unit } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

/**
 * @typedef {object} Row One operation.
 * @property {string} name
 * @property {readonly Subject[]} subjects skep's first
 * @property {Omit<Comparison, 'name' | 'outcomes' | 'ours'>} wanted what to compare with, and the targets
 * @property {Partial<Plan>} [plan] what differs from the usual one
 * @property {number} [passes] for each of the usual ones
 * @property {readonly string[]} [facts] what subjects must agree on
 */

/**
 * Measures rows and compares.
 * @param {string} title
 * @param {readonly Row[]} rows
 * @param {Context} context
 * @param {readonly string[]} notes
 * @param {Unit} unit
 * @returns {Promise<Report>}
 */
export async function reportRows(title, rows, context, notes, unit) {
  /** @type {Comparison[]} */
  const comparisons = [];
  for (const row of rows) {
    const { name, subjects, wanted, plan = {}, passes = 1, facts = ['sum'] } = row;
    context.progress(`${title}: ${name}`);
    const outcomes = await runPasses(
      subjects,
      { ...context.plan, ...plan },
      context.passes * passes,
    );
    checkSameFacts(`${title}: ${name}`, outcomes, facts);
    comparisons.push({ name, outcomes, ours: subjects[0]?.name ?? '', ...wanted });
  }
  const { table, verdicts, rows: compared } = compare(title, comparisons, unit);
  const data = Object.fromEntries(
    comparisons.map(({ name, outcomes }) => [name, Object.fromEntries(outcomes)]),
  );
  return { tables: [table], verdicts, notes, rows: compared, data };
}

/**
 * Subjects that found something else did something else.
 * @param {string} row
 * @param {ReadonlyMap<string, Outcome>} outcomes
 * @param {readonly string[]} names
 */
function checkSameFacts(row, outcomes, names) {
  const found = [...outcomes].map(([subject, { facts }]) => ({
    subject,
    text: JSON.stringify(names.map((name) => facts[name])),
  }));
  const other = found.find(({ text }) => text !== found[0]?.text);
  if (other !== undefined) {
    throw new Error(
      `${row}: ${found[0]?.subject} found ${found[0]?.text}, but ${other.subject} ${other.text}`,
    );
  }
}
