/** Names that stand for numbers, and what a wrong one was most likely meant to be. */

import { describe, expect, it } from 'vitest';
import { byLowerCase, namedNumber } from '../../src/bytes/named-number.ts';
import { nearest } from '../../src/bytes/nearest.ts';

describe('a number given by name', () => {
  const numbers = byLowerCase({ XDP: 6, SCHED_CLS: 3, SCHED_ACT: 4 });
  const context = { where: 'here: ', what: 'program type' };

  it.each([
    ['xdp', 6],
    ['sched_act', 4],
    [3, 3],
    [99, 99],
  ])('%j is %i', (given, number) => {
    expect(namedNumber(given, numbers, context)).toBe(number);
  });

  it.each<[unknown, string]>([
    ['xpd', 'here: there is no program type "xpd"; did you mean "xdp"?'],
    ['XDP', 'here: there is no program type "XDP"; did you mean "xdp"?'],
    ['sched_cl', 'here: there is no program type "sched_cl"; did you mean "sched_cls"?'],
    ['elsewhere', 'here: there is no program type "elsewhere"'],
    ['toString', 'here: there is no program type "toString"'],
    [undefined, 'here: a program type is given by its name or number, not as undefined'],
  ])('%j is none', (given, message) => {
    expect(() => namedNumber(given as string, numbers, context)).toThrow(new TypeError(message));
  });
});

describe('the nearest of several names', () => {
  it.each([
    ['xpd', ['xskmap', 'xdp', 'lsm'], 'xdp'],
    ['hsah', ['array', 'hash'], 'hash'],
    ['dxp', ['hash', 'lsm'], undefined],
    // Two characters of three: it may as well be something else.
    ['dpx', ['xdp'], undefined],
    ['level', ['levels', 'leve'], 'levels'],
  ])('%s of %j is %s', (name, candidates, expected) => {
    expect(nearest(name, candidates)).toBe(expected);
  });
});
