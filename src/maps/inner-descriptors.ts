/**
 * Descriptors of the inner maps that a handle has put into a map of maps.
 *
 * A look-up in a map of maps gives the inner map's id, and the way from there to a descriptor needs
 * CAP_SYS_ADMIN. Who puts a map in has its descriptor already: a duplicate is kept here for as long
 * as the map stays in its slot, so that reading it back needs no privilege.
 */

import type { Kernel } from '../kernel/kernel.ts';

interface Held {
  readonly fd: number;
  /** In how many slots the map is. */
  slots: number;
}

/** One descriptor per inner map, for the slots that are known to hold it. */
export class InnerDescriptors {
  readonly #kernel: Kernel;
  /** Ids by slot; a slot goes by the bytes of its key. */
  readonly #slots = new Map<string, number>();
  /** By id. */
  readonly #held = new Map<number, Held>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Number of slots that are remembered. */
  get size(): number {
    return this.#slots.size;
  }

  /** The descriptor of the inner map with this id, which stays here; undefined if there is none. */
  get(id: number): number | undefined {
    return this.#held.get(id)?.fd;
  }

  /** Notes that a slot holds a map now, and takes over the descriptor. */
  put(slot: Uint8Array, id: number, fd: number): void {
    const held = this.#held.get(id);
    if (held === undefined) {
      this.#held.set(id, { fd, slots: 1 });
    } else {
      held.slots += 1;
      this.#kernel.close(fd);
    }
    // Only now, so that a map that is put where it was stays held throughout.
    const name = nameOf(slot);
    this.#release(name);
    this.#slots.set(name, id);
  }

  /** Notes what a slot was seen to hold; one that others have changed is forgotten. */
  see(slot: Uint8Array, id: number | undefined): void {
    if (this.#slots.size > 0) {
      const name = nameOf(slot);
      if (this.#slots.get(name) !== id) {
        this.#release(name);
      }
    }
  }

  /** The slots that are remembered, as keys. */
  slots(): Uint8Array[] {
    return Array.from(this.#slots.keys(), (name) =>
      Uint8Array.from(name, (character) => character.charCodeAt(0)),
    );
  }

  /** Forgets everything. */
  close(): void {
    for (const { fd } of this.#held.values()) {
      this.#kernel.close(fd);
    }
    this.#held.clear();
    this.#slots.clear();
  }

  #release(name: string): void {
    const id = this.#slots.get(name);
    if (id === undefined) {
      return;
    }
    this.#slots.delete(name);
    const held = this.#held.get(id)!;
    held.slots -= 1;
    if (held.slots === 0) {
      this.#held.delete(id);
      this.#kernel.close(held.fd);
    }
  }
}

function nameOf(slot: Uint8Array): string {
  return String.fromCharCode(...slot);
}
