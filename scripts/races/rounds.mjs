/**
 * What processes do in a round of races, and what must hold afterwards. Pure: `scripts/races.mjs` starts the
 * processes, `worker.mjs` is one of them.
 */

/**
 * What one process does in a round.
 *
 * @typedef {object} Task
 * @property {'load' | 'unpin' | 'remove-directory'} kind
 * @property {string} object path of the object
 * @property {Record<string, unknown>} options of the load
 * @property {string[]} paths of all pins
 * @property {string[]} directories of the pins, innermost first
 * @property {number} seed of the pauses between calls
 */

/**
 * What became of it.
 *
 * @typedef {object} Outcome
 * @property {Task['kind']} kind
 * @property {Record<string, number>} maps ids of the maps that it holds, by name
 * @property {Record<string, number>} programs ids of its programs
 * @property {{ code: string, map: string | null, message: string } | null} error
 * @property {string[]} removed paths that it unpinned, once for each time
 * @property {{ won: number, reused: number, lost: number, retried: number }} counts
 * @property {number} leaked descriptors more than before, when all is closed
 */

/**
 * A kind of round.
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {(root: string, worker: number, workers: number) => Omit<Task, 'seed'>} task
 * @property {readonly string[]} shared names of maps that all processes must have in common
 * @property {string | null} mayDiffer the map of which definitions differ, so that loads may be refused
 */

const OBJECTS = 'fixtures/objects';
const DEMO_MAPS = ['flows', 'tenant_zero', 'tenant_one', 'tenants', 'events'];

/** @param {string} root */
function demo(root) {
  const maps = `${root}/app/maps`;
  return {
    object: `${OBJECTS}/demo.bpf.o`,
    options: {
      pinDirectory: maps,
      pinAll: true,
      maps: { '.rodata': { pin: `${root}/app/rodata` }, '.bss': { pin: `${root}/app/bss` } },
    },
    paths: [...DEMO_MAPS.map((name) => `${maps}/${name}`), `${root}/app/rodata`, `${root}/app/bss`],
    directories: [maps, `${root}/app`],
  };
}

const ALL_SHARED = [...DEMO_MAPS, '.rodata', '.bss'];

/** @type {readonly Scenario[]} */
export const SCENARIOS = [
  {
    name: 'all load at once',
    task: (root) => ({ kind: 'load', ...demo(root) }),
    shared: ALL_SHARED,
    mayDiffer: null,
  },
  {
    name: 'some remove pins meanwhile',
    task: (root, worker) => ({ kind: worker % 4 === 3 ? 'unpin' : 'load', ...demo(root) }),
    shared: ALL_SHARED,
    mayDiffer: null,
  },
  {
    name: 'maps of maps, whose inner maps are raced for too',
    task: (root) => ({
      kind: 'load',
      object: `${OBJECTS}/nested/pinned.bpf.o`,
      options: { pinDirectory: `${root}/nested` },
      paths: ['pinned_inner', 'pinned_array', 'pinned_hash'].map(
        (name) => `${root}/nested/${name}`,
      ),
      directories: [`${root}/nested`],
    }),
    shared: ['pinned_inner', 'pinned_array', 'pinned_hash'],
    mayDiffer: null,
  },
  {
    name: 'the directory is removed meanwhile',
    task: (root, worker) => ({
      kind: worker % 4 === 3 ? 'remove-directory' : 'load',
      ...demo(root),
    }),
    shared: ALL_SHARED,
    mayDiffer: null,
  },
  {
    name: 'two definitions of a map',
    task(root, worker) {
      const { options, ...rest } = demo(root);
      const maps = { ...options.maps, flows: { maxEntries: worker % 2 === 0 ? 64 : 128 } };
      return { kind: 'load', ...rest, options: { ...options, maps } };
    },
    shared: ['flows'],
    mayDiffer: 'flows',
  },
  {
    name: 'programs with pins, which replace each other',
    task(root) {
      const { options, paths, ...rest } = demo(root);
      return {
        kind: 'load',
        ...rest,
        options: { ...options, pinPrograms: `${root}/app`, replacePrograms: true },
        paths: [...paths, `${root}/app/count_packets`],
      };
    },
    shared: ALL_SHARED,
    mayDiffer: null,
  },
];

/**
 * What does not hold of a round; empty if all does.
 *
 * @param {Scenario} scenario
 * @param {readonly Outcome[]} outcomes
 * @param {{ pins: Record<string, number>, strays: readonly string[], pathOf: (map: string) => string | undefined }} after
 *   ids of what is pinned when all have done, and paths that nobody asked for
 * @returns {string[]}
 */
export function violations(scenario, outcomes, { pins, strays, pathOf }) {
  const found = strays.map((path) => `nobody asked for ${path}`);
  for (const [worker, { error, leaked }] of outcomes.entries()) {
    if (error !== null && !isRefusal(scenario, error)) {
      found.push(`process ${worker} failed: ${error.message}`);
    }
    if (leaked !== 0) {
      found.push(`process ${worker} has ${leaked} descriptors more than before`);
    }
  }
  const loads = outcomes.filter(({ kind, error }) => kind === 'load' && error === null);
  if (loads.length === 0) {
    found.push('no load succeeded');
  }
  for (const name of scenario.shared) {
    found.push(...sharing(scenario, name, loads, outcomes, pathOf(name) ?? '', pins));
  }
  return found;
}

/**
 * One map wins: as many may as its pin was there anew.
 *
 * @param {Scenario} scenario
 * @param {string} name
 * @param {readonly Outcome[]} loads
 * @param {readonly Outcome[]} all
 * @param {string} path
 * @param {Record<string, number>} pins
 */
function sharing(scenario, name, loads, all, path, pins) {
  const ids = new Set(loads.map(({ maps }) => maps[name]));
  const removals = all.flatMap(({ removed }) => removed).filter((each) => each === path).length;
  const found = [];
  if (ids.size > removals + 1) {
    found.push(`map "${name}" is ${ids.size} maps, and its pin was removed ${removals} times`);
  }
  const pinned = pins[path];
  if (removals === 0 && pinned === undefined) {
    found.push(`map "${name}" is not pinned, and nobody removed its pin`);
  }
  if (pinned !== undefined && !ids.has(pinned)) {
    found.push(`what is pinned as map "${name}" is nobody's`);
  }
  return scenario.mayDiffer === null || scenario.mayDiffer === name ? found : [];
}

/**
 * @param {Scenario} scenario
 * @param {{ code: string, map: string | null }} error
 */
function isRefusal({ mayDiffer }, { code, map }) {
  return mayDiffer !== null && code === 'ERR_SKEP_PIN_MISMATCH' && map === mayDiffer;
}
