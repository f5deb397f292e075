/** What the kernel refuses about an entry, told by the name of the map. */

import { SyscallError } from '../errors.ts';
import { BPF_UPDATE } from '../uapi/map-flags.ts';

const NO_LOCK =
  'the option "lock" needs values with a bpf_spin_lock, in a map that has the types of its object (Linux 5.1)';

/**
 * An error of a call for an entry. The kernel's front knows a map by its descriptor only; whoever
 * made the call knows its name.
 *
 * @param name the map's name
 * @param flags of the call, in case they were the reason
 * @returns what is to be thrown; errors that the kernel did not give stay as they are
 */
export function refusedCall(error: unknown, name: string, flags = 0): unknown {
  if (!(error instanceof SyscallError) || !error.message.startsWith('map at file descriptor ')) {
    return error;
  }
  const { command, errno, errnoName, hint, cause } = error;
  const isLock = (flags & BPF_UPDATE.LOCK) !== 0 && errnoName === 'EINVAL';
  return new SyscallError(`map "${name}"`, {
    command,
    errno,
    errnoName,
    hint: isLock ? NO_LOCK : hint,
    cause,
  });
}
