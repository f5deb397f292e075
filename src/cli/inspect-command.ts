/** `skep inspect`: reads one object and prints it. Needs the pure layer only. */

import { ObjectFile } from '../loader/object-file.ts';
import { inspect } from '../obj/inspection.ts';
import type { InspectOptions } from './program.ts';

/**
 * Prints what is in an object.
 *
 * @throws SkepError `ERR_SKEP_FILE`, and whatever reading the object throws
 */
export async function inspectCommand(file: string, options: InspectOptions): Promise<void> {
  const object = ObjectFile.open(file);
  const inspection = inspect(object);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(inspection, null, 2)}\n`);
    return;
  }
  if (options.diagram) {
    const { drawDiagram } = await import('./mermaid.ts');
    process.stdout.write(drawDiagram(inspection));
    return;
  }
  const { describeObject } = await import('./inspect-text.ts');
  const { standardOutput } = await import('./terminal.ts');
  process.stdout.write(describeObject(inspection, object.btf !== undefined, standardOutput()));
}
