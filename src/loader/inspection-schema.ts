/** What `skep inspect --json` prints, as a zod schema: for programs that read it. */

import { z } from 'zod';
import type { InspectedMap, Inspection } from '../obj/inspection.ts';

function u32() {
  return z.int().min(0).max(0xffff_ffff);
}

function bytes() {
  return z.int().min(0);
}

function mapSchema(): z.ZodType<InspectedMap> {
  const slot = z.strictObject({
    index: bytes(),
    kind: z.enum(['map', 'program']),
    name: z.string(),
  });
  const map: z.ZodType<InspectedMap> = z.strictObject({
    name: z.string(),
    section: z.string(),
    type: z.string(),
    typeNumber: u32(),
    keySize: u32(),
    valueSize: u32(),
    maxEntries: u32(),
    flags: u32(),
    numaNode: u32(),
    mapExtra: z.string().regex(/^\d+$/),
    pinning: z.enum(['none', 'by-name']),
    key: z.string().nullable(),
    value: z.string().nullable(),
    get inner(): z.ZodNullable<z.ZodType<InspectedMap>> {
      return map.nullable() as z.ZodNullable<z.ZodType<InspectedMap>>;
    },
    slots: z.array(slot),
  });
  return map;
}

function dataSchema() {
  const variable = z.strictObject({
    name: z.string(),
    type: z.string().nullable(),
    offset: bytes(),
    size: bytes(),
  });
  return z.strictObject({
    name: z.string(),
    size: bytes(),
    readOnly: z.boolean(),
    variables: z.array(variable),
  });
}

function programSchema() {
  return z.strictObject({
    name: z.string(),
    section: z.string(),
    type: z.string(),
    typeNumber: u32(),
    attachType: z.string().nullable(),
    attachTypeNumber: u32(),
    attachTo: z.string().nullable(),
    sleepable: z.boolean(),
    autoload: z.boolean(),
    instructions: bytes(),
  });
}

/**
 * One inspected object, format 1. Sizes and offsets in bytes. Its parts are made when it is first used:
 * that takes milliseconds, and most of those who load skep do not use it.
 */
export const inspectionSchema: z.ZodType<Inspection> = z.lazy(() =>
  z.strictObject({
    format: z.literal(1),
    file: z.string(),
    byteOrder: z.enum(['little', 'big']),
    license: z.string(),
    maps: z.array(mapSchema()),
    data: z.array(dataSchema()),
    programs: z.array(programSchema()),
  }),
);
