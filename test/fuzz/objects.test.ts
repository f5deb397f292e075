/**
 * Damaged objects: whatever the bytes, the outcome is an object or a `SkepError`, in bounded time.
 * The seed of a run is printed by a failure; `SKEP_FUZZ_RUNS` makes it longer.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SkepError } from '../../src/errors.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { listProgram } from '../../src/obj/instructions/listing.ts';
import { linkProgram } from '../../src/obj/link.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { fixtureBytes } from '../support/fixtures.ts';

const RUNS = Number(process.env.SKEP_FUZZ_RUNS ?? 2000);

const BASES = [
  'demo',
  'demo.eb',
  'nested/golden-init',
  'data/kconfig',
  'legacy/bpf-map-def',
  'maps/flavour-keys',
  'programs/several-per-section',
  'programs/linking',
  'programs/core',
  'programs/exception-callback.eb',
].map((name) => fixtureBytes(`objects/${name}.bpf.o`));

/** Values that break arithmetic and bounds more often than random ones. */
const WORDS = [0, 1, 7, 8, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff];

const edit = fc.oneof(
  fc.record({
    kind: fc.constant('byte' as const),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    value: fc.nat(255),
  }),
  fc.record({
    kind: fc.constant('word' as const),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    value: fc.constantFrom(...WORDS),
  }),
  fc.record({
    kind: fc.constant('cut' as const),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    value: fc.constant(0),
  }),
);

function damage(
  base: Uint8Array,
  edits: readonly { kind: string; at: number; value: number }[],
): Uint8Array {
  let bytes = base.slice();
  for (const { kind, at, value } of edits) {
    const offset = Math.floor(at * (bytes.length - 4));
    if (kind === 'cut') {
      bytes = bytes.slice(0, Math.floor(at * bytes.length));
      if (bytes.length < 8) return bytes;
    } else if (kind === 'byte') {
      bytes[offset] = value;
    } else {
      new DataView(bytes.buffer).setUint32(offset & ~3, value, true);
    }
  }
  return bytes;
}

it('gives an object or a typed error for damaged objects', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...BASES),
      fc.array(edit, { minLength: 1, maxLength: 4 }),
      (base, edits) => {
        try {
          const object = ObjectFile.parse(damage(base, edits));
          inspect(object);
          for (const program of object.programs.keys()) {
            listProgram(linkProgram(object, program));
          }
        } catch (error) {
          expect(error).toBeInstanceOf(SkepError);
        }
      },
    ),
    { numRuns: RUNS },
  );
});

it('gives a typed error for bytes that are no object', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(() => ObjectFile.parse(bytes)).toThrow(SkepError);
    }),
    { numRuns: 200 },
  );
});
