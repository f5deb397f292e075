/** What this process may do on Linux. */

import { readFileSync } from 'node:fs';
import { type Holds, holdsBy } from './capabilities.ts';

/** Whether this process has a capability. */
export const thisProcessHolds: Holds = (capability) => {
  try {
    return holdsBy(readFileSync('/proc/self/status', 'latin1'), capability);
  } catch {
    // Where /proc is not mounted.
    return null;
  }
};
