/** The peers of a suite, as subjects: those that build here, and why the others do not. */

import { buildAya } from './aya.mjs';
import { buildCilium } from './cilium.mjs';
import { buildLibbpf } from './libbpf.mjs';

/** @import { Subject } from '../processes.mjs' */

/** @import { Program } from './libbpf.mjs' */

/** @typedef {'libbpf' | 'cilium' | 'aya'} Peer */
/** @typedef {Program | 'maps-of-maps'} Part The part of a peer's program, or its program for libbpf. */

/** What peers are called in the notes. */
const NAMES = { libbpf: 'libbpf', cilium: 'cilium/ebpf', aya: 'aya' };

/** @type {Map<string, ReturnType<typeof buildAya>>} */
const built = new Map();

/**
 * The peers in C, Go and Rust. Each is built when it is first asked for.
 *
 * @param {Part} program the name of the suite's program; peers in Go and Rust have one for all, which
 *   takes that name as an argument
 * @param {string[]} notes gets the version of each peer, or why it cannot take part
 * @param {readonly Peer[]} [wanted] those that can do what the suite measures
 * @returns {(peer: Peer, args: readonly string[], as?: string) => Subject[]} the peer with these
 *   arguments, under another name if one is given; none if it is not there
 */
export function peersOf(program, notes, wanted = ['libbpf', 'cilium', 'aya']) {
  for (const peer of wanted) {
    const found = build(peer, program);
    const note = 'missing' in found ? found.missing : `${NAMES[peer]} is ${found.version}`;
    if (!notes.includes(note)) notes.push(note);
  }
  return (peer, args, as = peer) => {
    const found = wanted.includes(peer) ? build(peer, program) : { missing: '' };
    if ('missing' in found) {
      return [];
    }
    const command = peer === 'libbpf' ? [found.path] : [found.path, program];
    return [{ name: as, command, args }];
  };
}

/**
 * The versions of the peers that were built so far, by name.
 * @returns {Record<string, string>}
 */
export function versionsOfPeers() {
  return Object.fromEntries(
    [...built].flatMap(([key, found]) => {
      const peer = /** @type {Peer} */ (key.split(' ')[0]);
      return 'version' in found ? [[NAMES[peer], found.version]] : [];
    }),
  );
}

/**
 * @param {Peer} peer
 * @param {Part} program
 */
function build(peer, program) {
  const key = peer === 'libbpf' ? `${peer} ${program}` : peer;
  const found = built.get(key) ?? buildNow(peer, program);
  built.set(key, found);
  return found;
}

/**
 * @param {Peer} peer
 * @param {Part} program
 */
function buildNow(peer, program) {
  if (peer === 'cilium') return buildCilium();
  if (peer === 'aya') return buildAya();
  // What libbpf does with maps of maps is one of the things that its program `load` does.
  return buildLibbpf(program === 'maps-of-maps' ? 'load' : program);
}
