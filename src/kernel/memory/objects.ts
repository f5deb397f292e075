/**
 * What file descriptors, pins and maps of maps refer to in the in-process kernel, counted: an object
 * is there for as long as somebody holds it.
 */

import type { Btf } from '../../obj/btf/btf.ts';
import type { MapAttributes } from '../kernel.ts';
import type { Store } from './store.ts';

export type ObjectKind = 'map' | 'btf' | 'program' | 'event';

/** An object with an id of its kind. */
export abstract class KernelObject {
  abstract readonly kind: ObjectKind;
  readonly id: number;
  readonly #gone: (object: KernelObject) => void;
  #references = 0;
  /** References from user space: descriptors and pins. */
  #users = 0;

  /** @param gone called when nobody holds the object any more */
  constructor(id: number, gone: (object: KernelObject) => void) {
    this.id = id;
    this.#gone = gone;
  }

  /** @param byUser whether for a descriptor or a pin, and not for another object */
  hold(byUser: boolean): void {
    this.#references += 1;
    this.#users += byUser ? 1 : 0;
  }

  release(byUser: boolean): void {
    this.#references -= 1;
    if (byUser) {
      this.#users -= 1;
      if (this.#users === 0) {
        this.releasedByUsers();
      }
    }
    if (this.#references === 0) {
      this.#gone(this);
      this.destroy();
    }
  }

  /** A file of the object was closed, which may have left something in it. */
  fileClosed(_file: object): void {}

  protected releasedByUsers(): void {}

  protected destroy(): void {}
}

/** A table of types, as it was loaded. */
export class BtfObject extends KernelObject {
  readonly kind = 'btf';
  readonly bytes: Uint8Array;
  readonly types: Btf;

  /** `vmlinux` for the kernel's own types; '' for what was loaded. */
  readonly name: string;

  constructor(
    id: number,
    gone: (object: KernelObject) => void,
    parts: { readonly bytes: Uint8Array; readonly types: Btf; readonly name: string },
  ) {
    super(id, gone);
    this.bytes = parts.bytes;
    this.types = parts.types;
    this.name = parts.name;
  }
}

/** What all programs of a program array have in common: they run on each other's registers. */
export interface ArrayOwner {
  readonly type: number;
  readonly flags: number;
  readonly expectedAttachType: number;
  /** The function of the kernel that they stand for, where they stand for one. */
  readonly targetTypeId: number;
}

/** A part of a value that the kernel keeps for itself, such as a `bpf_spin_lock`. In bytes. */
export interface SpecialField {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** What a map of maps compares new inner maps with, copied from its template. */
export interface InnerMeta {
  readonly attributes: Omit<MapAttributes, 'btf' | 'innerMapFd' | 'name'>;
  readonly special: readonly SpecialField[];
  /** The types that the fields above are known by. */
  readonly btf: BtfObject | null;
}

/** A map. */
export class MapObject extends KernelObject {
  readonly kind = 'map';
  readonly attributes: MapAttributes;
  /** `BPF_F_*` as the map keeps them. */
  readonly flags: number;
  readonly store: Store;
  readonly btf: BtfObject | null;
  readonly special: readonly SpecialField[];
  readonly inner: InnerMeta | null;
  frozen = false;
  /** Program arrays: what the first program was, which all others must be. */
  owner: ArrayOwner | null = null;
  writableMappings = 0;

  constructor(
    id: number,
    gone: (object: KernelObject) => void,
    parts: {
      readonly attributes: MapAttributes;
      readonly flags: number;
      readonly store: Store;
      readonly btf: BtfObject | null;
      readonly special: readonly SpecialField[];
      readonly inner: InnerMeta | null;
    },
  ) {
    super(id, gone);
    this.attributes = parts.attributes;
    this.flags = parts.flags;
    this.store = parts.store;
    this.btf = parts.btf;
    this.special = parts.special;
    this.inner = parts.inner;
    this.btf?.hold(false);
    this.inner?.btf?.hold(false);
  }

  /** Whether values have a lock (`BPF_F_LOCK`). */
  get hasLock(): boolean {
    return this.special.some(({ name }) => name === 'bpf_spin_lock');
  }

  override fileClosed(file: object): void {
    this.store.fileClosed(file);
  }

  protected override releasedByUsers(): void {
    this.store.releasedByUsers();
  }

  protected override destroy(): void {
    this.store.destroy();
    this.btf?.release(false);
    this.inner?.btf?.release(false);
  }
}
