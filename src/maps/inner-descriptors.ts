/**
 * Descriptors of the inner maps that a handle has put into a map of maps.
 *
 * A look-up in a map of maps gives the inner map's id, and the way from there to a descriptor needs
 * CAP_SYS_ADMIN. Who puts a map in has its descriptor already: a duplicate is kept here for as long
 * as the map stays in its slot, so that reading it back needs no privilege.
 *
 * Who has that privilege needs few of them: descriptors are scarce (1024 in many a process), and maps of
 * maps can have a hundred thousand slots. So beyond {@link KEPT} the kernel is asked once whether it
 * opens maps by their ids, and if so, the oldest are let go of.
 */

import { nameOfBytes } from '../bytes/byte-name.ts';
import { SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';

/** So many descriptors are kept by a process that may open maps by their ids. */
const KEPT = 64;

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
  /** Whether maps can be opened by their ids; undefined until that matters. */
  #mayOpenById: boolean | undefined;

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
    const name = nameOfBytes(slot);
    this.#release(name);
    this.#slots.set(name, id);
    if (this.#held.size > KEPT) {
      this.#mayOpenById ??= this.#tryToOpen(id);
      if (this.#mayOpenById) {
        this.#releaseOldest();
      }
    }
  }

  /** Notes what a slot was seen to hold; one that others have changed is forgotten. */
  see(slot: Uint8Array, id: number | undefined): void {
    if (this.#slots.size > 0) {
      const name = nameOfBytes(slot);
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

  #tryToOpen(id: number): boolean {
    try {
      this.#kernel.close(this.#kernel.openMapById(id));
      return true;
    } catch (error) {
      if (error instanceof SyscallError) {
        return false;
      }
      throw error;
    }
  }

  #releaseOldest(): void {
    for (const name of this.#slots.keys()) {
      if (this.#held.size <= KEPT) {
        return;
      }
      this.#release(name);
    }
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
