/** A map as an object declares it: plain data, the same on every machine. */

/** What a slot of a map of maps, or of a program array, is to hold from the start. */
export interface MapSlot {
  /** The key: an array index; hashes of maps use 4-byte keys too. */
  readonly index: number;
  readonly kind: 'map' | 'program';
  /** Name of a map or program of the same object. */
  readonly name: string;
}

/**
 * One map of `.maps`, of a legacy `maps` section or of `.struct_ops`, or the template inside a map
 * of maps.
 * Sizes are in bytes and as declared: what depends on the machine (the number of CPUs for
 * perf event arrays, the page size for ring buffers) is filled in when the map is created.
 */
export interface MapDefinition {
  /** The variable's name; `outer.inner` for the template of `outer`. */
  readonly name: string;
  /** `.maps`, a legacy section `maps`, or a section of struct_ops. */
  readonly section: string;
  /** The type as bpftool prints it, e.g. `hash_of_maps`; `type_99` for a number not known here. */
  readonly type: string;
  /** `BPF_MAP_TYPE_*`. */
  readonly typeNumber: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** `BPF_F_*` creation flags. */
  readonly flags: number;
  readonly numaNode: number;
  /** `map_extra`: hash functions of a bloom filter, address of an arena. */
  readonly mapExtra: bigint;
  readonly pinning: 'none' | 'by-name';
  /** BTF id of the key type, 0 if only a size was declared. */
  readonly keyTypeId: number;
  /** BTF id of the value type, 0 if only a size was declared. */
  readonly valueTypeId: number;
  /** Maps of maps: what each inner map looks like. */
  readonly inner: MapDefinition | null;
  /** Initial contents, by ascending index. */
  readonly slots: readonly MapSlot[];
  /** Legacy maps: bytes behind the five known fields, null if there are none. */
  readonly legacyTail: Uint8Array | null;
}
