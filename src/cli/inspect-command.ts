/** `skep inspect`: reads one object and prints it. Needs the pure layer only. */

import { ObjectFile } from '../loader/object-file.ts';
import { inspect } from '../obj/inspection.ts';
import { naming } from './object-errors.ts';
import type { InspectOptions } from './program.ts';
import { print, printJson, standardOutput } from './terminal.ts';

/**
 * Prints what is in an object.
 *
 * @throws SkepError `ERR_SKEP_FILE`, and whatever reading the object throws
 */
export async function inspectCommand(file: string, options: InspectOptions): Promise<void> {
  const object = naming(file, () => ObjectFile.open(file));
  const inspection = naming(file, () => inspect(object));
  if (options.json) {
    printJson(inspection);
    return;
  }
  if (options.diagram) {
    const { drawDiagram } = await import('./mermaid.ts');
    print(drawDiagram(inspection));
    return;
  }
  const { describeObject } = await import('./inspect-text.ts');
  print(describeObject(inspection, object.btf !== undefined, standardOutput()));
}
