/** What `skep inspect --json` prints, as a zod schema: for programs that read it. */

import { z } from 'zod';
import type { InspectedMap, Inspection } from '../obj/inspection.ts';

const u32 = z.int().min(0).max(0xffff_ffff);
const bytes = z.int().min(0);

const slot = z.strictObject({
  index: bytes,
  kind: z.enum(['map', 'program']),
  name: z.string(),
});

const map: z.ZodType<InspectedMap> = z.strictObject({
  name: z.string(),
  section: z.string(),
  type: z.string(),
  typeNumber: u32,
  keySize: u32,
  valueSize: u32,
  maxEntries: u32,
  flags: u32,
  numaNode: u32,
  mapExtra: z.string().regex(/^\d+$/),
  pinning: z.enum(['none', 'by-name']),
  key: z.string().nullable(),
  value: z.string().nullable(),
  get inner(): z.ZodNullable<z.ZodType<InspectedMap>> {
    return map.nullable() as z.ZodNullable<z.ZodType<InspectedMap>>;
  },
  slots: z.array(slot),
});

const data = z.strictObject({
  name: z.string(),
  size: bytes,
  readOnly: z.boolean(),
  variables: z.array(
    z.strictObject({ name: z.string(), type: z.string().nullable(), offset: bytes, size: bytes }),
  ),
});

const program = z.strictObject({
  name: z.string(),
  section: z.string(),
  type: z.string(),
  typeNumber: u32,
  attachType: z.string().nullable(),
  attachTypeNumber: u32,
  attachTo: z.string().nullable(),
  sleepable: z.boolean(),
  autoload: z.boolean(),
  instructions: bytes,
});

/** One inspected object, format 1. Sizes and offsets in bytes. */
export const inspectionSchema: z.ZodType<Inspection> = z.strictObject({
  format: z.literal(1),
  file: z.string(),
  byteOrder: z.enum(['little', 'big']),
  license: z.string(),
  maps: z.array(map),
  data: z.array(data),
  programs: z.array(program),
});
