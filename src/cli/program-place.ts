/** Finding the loaded program that a command line names. */

import { SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { kernelName } from '../maps/create-map.ts';
import { Program } from '../programs/program.ts';
import { fullName } from './kernel-program.ts';
import { CommandError, type Reference } from './usage.ts';

/**
 * Opens a loaded program; the caller closes it.
 *
 * @throws CommandError for a name that no program has, or several
 * @throws SyscallError if there is none
 */
export function openProgram(kernel: Kernel, reference: Reference): Program {
  switch (reference.by) {
    case 'path':
      return Program.openPinned(reference.path, { kernel });
    case 'id':
      return Program.openById(reference.id, { kernel });
    case 'name':
      return Program.openById(idOfName(kernel, reference.name), { kernel });
  }
}

/** A program by its name, for messages: `"entry" (xdp, id 12)`. */
export function titleOfProgram(program: Program): string {
  const { id, name, typeName } = program.info();
  return name === '' ? `program ${id} (${typeName})` : `"${name}" (${typeName}, id ${id})`;
}

/**
 * What is made of each loaded program, by ascending id; one is open only while it is looked at.
 *
 * @throws SyscallError `EPERM` without CAP_SYS_ADMIN
 */
export function* eachProgram<T>(kernel: Kernel, look: (program: Program) => T): Generator<T> {
  for (let id = kernel.nextProgramId(0); id !== null; id = kernel.nextProgramId(id)) {
    let program: Program;
    try {
      program = Program.openById(id, { kernel });
    } catch (error) {
      if (error instanceof SyscallError && error.errnoName === 'ENOENT') {
        // Gone since its id was told.
        continue;
      }
      throw error;
    }
    try {
      yield look(program);
    } finally {
      program.close();
    }
  }
}

function idOfName(kernel: Kernel, name: string): number {
  // Cut as the kernel has it, a name stands for all that start so; a longer one where types have it.
  const short = kernelName(name);
  const isIt = (program: Program) => {
    const info = program.info();
    return (
      info.name === short && (name === short || [name, short].includes(fullName(program, info)))
    );
  };
  const found = [
    ...eachProgram(kernel, (program) => ({ id: program.info().id, isIt: isIt(program) })),
  ].filter((each) => each.isIt);
  const ids = found.map(({ id }) => id);
  if (ids.length > 1) {
    throw new CommandError(
      `${ids.length} programs are called "${name}"; say which by id:${ids.join(', id:')}`,
    );
  }
  const [id] = ids;
  if (id === undefined) {
    throw new CommandError(`no program is called "${name}"`);
  }
  return id;
}
