/**
 * Maps of maps: what arrays and hashes of maps share.
 *
 * The kernel is lopsided here (`bpf_map_fd_get_ptr`, `bpf_map_fd_sys_lookup_elem` in
 * `kernel/bpf/map_in_map.c`): an update takes a file descriptor, which it could not give back on a
 * look-up, since that may be another process's; so a look-up gives the id of the inner map, and it
 * takes one more call, and a privilege, to turn that into a descriptor of one's own. Callers see
 * neither: handles go in, handles come out.
 */

import { bytes } from '../codec/aggregates.ts';
import { type Codec, Memory } from '../codec/codec.ts';
import type { BtfCodecOptions } from '../codec/from-btf.ts';
import type { Input } from '../codec/input.ts';
import { InnerMismatchError, SkepError, SyscallError } from '../errors.ts';
import type { MapInfo } from '../kernel/kernel.ts';
import { EntryRoom } from './entry-room.ts';
import { InnerDescriptors } from './inner-descriptors.ts';
import { innerHandle } from './inner-kinds.ts';
import type { InnerMap } from './inner-map.ts';
import { hiddenDifferences, innerDifferences, neverInner } from './inner-rules.ts';
import {
  createLike,
  type InnerOverrides,
  type InnerShape,
  type InnerTemplate,
  shapeOfMap,
} from './inner-template.ts';
import { type LiveCodecs, liveCodecs } from './live-types.ts';
import { MapHandle, type OwnedMap } from './map-handle.ts';
import { misfit } from './misfit.ts';
import type { RawMap } from './raw-map.ts';
import { refusedCall } from './refused-call.ts';
import { checkKind, checkSize } from './typed-map.ts';

/** How often a slot is read again whose inner map was gone before it could be opened. */
const ATTEMPTS = 16;

/** A map of maps with the codec of its keys. */
export interface OuterSource<K> extends OwnedMap {
  readonly key: Codec<K, never>;
  /** undefined: nothing is known of the inner maps. */
  readonly inner?: InnerTemplate | undefined;
}

/** A key as bytes, and the inner map that it is to have. */
interface Entry {
  readonly key: Uint8Array;
  readonly inner: MapHandle;
}

/**
 * Reading, writing and walking maps of maps. Inner maps go in as handles, which stay the caller's,
 * and come out as new handles, which are the caller's to close.
 */
export abstract class OuterMap<K, M extends InnerMap, KI = Input<K>>
  extends MapHandle
  implements Iterable<[K, M]>
{
  readonly #key: Codec<K, unknown>;
  readonly #room: EntryRoom;
  /** Filled and read without any code of others in between. */
  readonly #value: Memory;
  readonly #template: InnerTemplate;
  #shape: InnerShape | null;
  /** The kernel's id for the types of the inner map that tells the shape; 0 for none. */
  #typesFrom = 0;
  #lastTypes: { readonly name: string; readonly codecs: LiveCodecs } | undefined;
  readonly #descriptors: InnerDescriptors;
  /** undefined: not loaded yet; null: the kernel does not take it. */
  #btf: number | null | undefined;

  /** @internal */
  constructor(source: OuterSource<K>, types: readonly number[]) {
    super(source);
    const { keySize } = this.info();
    checkKind(this, types);
    checkSize(this, 'keys', source.key, keySize);
    this.#key = source.key as Codec<K, unknown>;
    this.#room = new EntryRoom(keySize, 4, source.kernel.littleEndian);
    this.#value = this.#room.value;
    this.#template = source.inner ?? { shape: null };
    this.#shape = this.#template.shape;
    this.#descriptors = new InnerDescriptors(source.kernel);
  }

  /**
   * A handle to the inner map of a key, the caller's to close; undefined if there is none.
   *
   * Maps that this handle has put in, and those that the object fills its slots with, are opened
   * without privileges; others need CAP_SYS_ADMIN, as the kernel gives only their id.
   *
   * @throws SyscallError `EPERM` without that
   */
  get(key: KI): M | undefined {
    this.#guard();
    const inner = this.#openSlot(this.#writeKey(key));
    return inner === undefined ? undefined : this.#handle(inner);
  }

  /** Whether there is an inner map. */
  has(key: KI): boolean {
    this.#guard();
    return this.#lookup(this.#writeKey(key)) !== undefined;
  }

  /**
   * Sets many inner maps in one call, where the kernel can (5.19): each call waits until no program
   * uses the old contents any more, some milliseconds. Otherwise one by one. The last one counts if
   * a key comes twice.
   *
   * @throws as setting one does; what comes before the refused one has been set
   */
  setAll(entries: Iterable<readonly [key: KI, inner: M | RawMap]>): this {
    this.#guard();
    const unique = new Map<string, Entry>();
    for (const [key, inner] of entries) {
      this.#checkInner(inner);
      const encoded = this.#writeKey(key).slice();
      unique.set(String(encoded), { key: encoded, inner });
    }
    this.#updateAll([...unique.values()]);
    return this;
  }

  /** Removes the inner map of a key, which lives on with its other users; false if there is none. */
  delete(key: KI): boolean {
    this.#guard();
    const encoded = this.#writeKey(key);
    try {
      const removed = this.kernel.delete(this.fd, encoded);
      this.#descriptors.see(encoded, undefined);
      return removed;
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  /**
   * Creates a map that fits: of the template's type, sizes and flags, with its types. It is not put
   * in yet, and the caller's to close.
   *
   * The template is the object's. Where there is no object, it is that of an inner map found inside;
   * its types come along where this process may ask for them (CAP_SYS_ADMIN).
   *
   * @throws InnerMismatchError for a number of entries that cannot be
   * @throws SkepError `ERR_SKEP_INNER_UNKNOWN` if there is neither object nor inner map
   */
  createInner(overrides: InnerOverrides = {}): M {
    this.#guard();
    const shape = this.#knownShape();
    const fd = createLike(this.kernel, shape, this.name, overrides, () => this.#loadBtf());
    return this.#handle(fd, overrides.name);
  }

  /** The keys that have an inner map. */
  *keys(): Generator<K, void, undefined> {
    for (const [key] of this.ids()) {
      yield key;
    }
  }

  /** Handles to the inner maps. Each is the caller's to close. See {@link OuterMap.entries}. */
  *values(): Generator<M, void, undefined> {
    for (const [, inner] of this.entries()) {
      yield inner;
    }
  }

  /**
   * Pairs of keys and handles to the inner maps. Each handle is opened when its turn comes, and is
   * the caller's to close. What changes during the walk may be seen or not.
   *
   * @example
   * for (const [tenant, ports] of tenants) {
   *   console.log(tenant, ports.snapshot());
   *   ports.close();
   * }
   */
  *entries(): Generator<[K, M], void, undefined> {
    for (const [key] of this.slots()) {
      // Looked up again: the inner map may have been replaced since, and its id gone with it.
      const inner = this.#openSlot(key);
      if (inner !== undefined) {
        yield [this.#readKey(key), this.#handle(inner)];
      }
    }
  }

  [Symbol.iterator](): Generator<[K, M], void, undefined> {
    return this.entries();
  }

  /** Pairs of keys and the ids of their inner maps, as bpftool shows them. Opens none of them. */
  *ids(): Generator<[K, number], void, undefined> {
    for (const [key, id] of this.slots()) {
      yield [this.#readKey(key), id];
    }
  }

  /** Number of inner maps now; a map in two slots counts twice. Reads all keys. */
  count(): number {
    let count = 0;
    for (const _ of this.slots()) {
      count += 1;
    }
    return count;
  }

  /** Closes the handle. The inner maps live on in the map of maps, and with handles to them. */
  override close(): void {
    super.close();
    this.#descriptors.close();
    if (typeof this.#btf === 'number') {
      this.kernel.close(this.#btf);
      this.#btf = null;
    }
  }

  /** All keys that have an inner map, with its id. A key's bytes are the receiver's. @internal */
  protected abstract slots(): Generator<readonly [key: Uint8Array, id: number], void, undefined>;

  /** The id of the inner map of a key. @internal */
  protected lookupId(key: Uint8Array): number | undefined {
    try {
      const found = this.kernel.lookup(this.fd, key, this.#value.bytes, 0);
      // In the machine's byte order.
      return found ? this.#value.view.getUint32(0, this.#value.littleEndian) : undefined;
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  /** Sets one inner map. @internal */
  protected setInner(key: KI, inner: MapHandle, flags: number): void {
    this.#guard();
    this.#checkInner(inner);
    this.#update({ key: this.#writeKey(key), inner }, flags);
  }

  /** Forgets the descriptors of inner maps that were all removed. @internal */
  protected forgetAll(): void {
    this.#descriptors.close();
  }

  #guard(): void {
    // Asking for the descriptor throws if there is none.
    void this.fd;
  }

  #writeKey(key: KI): Uint8Array {
    try {
      return this.#room.encodeKey(this.#key, key);
    } catch (error) {
      throw misfit(error, this.name, 'key');
    }
  }

  #readKey(key: Uint8Array): K {
    return this.#key.read(new Memory(key, this.kernel.littleEndian), 0);
  }

  #lookup(key: Uint8Array): number | undefined {
    const id = this.lookupId(key);
    this.#descriptors.see(key, id);
    return id;
  }

  /** A descriptor for the inner map of a key, the caller's. */
  #openSlot(key: Uint8Array): number | undefined {
    for (let attempt = 1; ; attempt += 1) {
      const id = this.#lookup(key);
      if (id === undefined) {
        return undefined;
      }
      try {
        return this.#openId(id);
      } catch (error) {
        // Somebody has replaced the inner map since, and nobody else uses it: read the slot again.
        const gone = error instanceof SyscallError && error.errnoName === 'ENOENT';
        if (!gone || attempt === ATTEMPTS) {
          throw error;
        }
      }
    }
  }

  /** A descriptor for the inner map with this id, the caller's. */
  #openId(id: number): number {
    const own = this.#descriptors.get(id) ?? this.#knownDescriptor(id);
    if (own !== undefined) {
      return this.kernel.duplicate(own);
    }
    try {
      return this.kernel.openMapById(id);
    } catch (error) {
      throw error instanceof SyscallError && error.errnoName === 'EPERM'
        ? notPermitted(this.name, id, error)
        : error;
    }
  }

  /** The descriptor of somebody else's handle to the inner map with this id. */
  #knownDescriptor(id: number): number | undefined {
    return this.#template.known?.find((map) => !map.closed && map.info().id === id)?.fd;
  }

  /** A handle to an inner map, which takes the descriptor over. */
  #handle(fd: number, name?: string): M {
    const { kernel } = this;
    const { kind, key, value, live } = this.#template;
    let shape: InnerShape;
    let codecs: LiveCodecs;
    try {
      const info = this.#shape === null || live !== undefined ? kernel.mapInfo(fd) : null;
      // One inner map is like the other in sizes, so any of them tells them, but not in its types.
      shape = this.#shape ?? this.#learnShape(info!);
      codecs =
        live !== undefined
          ? this.#liveCodecs(info!, live)
          : { key: key ?? bytes(shape.keySize), value: value ?? bytes(shape.valueSize) };
    } catch (error) {
      kernel.close(fd);
      throw error;
    }
    return innerHandle({ kernel, fd, name, ...codecs }, shape.type, kind) as M;
  }

  /** The kernel's types of an inner map; most have those of the one before. */
  #liveCodecs(info: MapInfo, options: BtfCodecOptions): LiveCodecs {
    const { btfId, keyTypeId, valueTypeId } = info;
    const name = `${btfId} ${keyTypeId} ${valueTypeId}`;
    // Sizes and type of map are the same in all; ids of BTF are not given out again for long.
    if (this.#lastTypes?.name !== name) {
      this.#lastTypes = { name, codecs: liveCodecs(this.kernel, info, options) };
    }
    return this.#lastTypes.codecs;
  }

  #knownShape(): InnerShape {
    this.#shape ??= this.#findShape();
    if (this.#shape === null) {
      throw new SkepError(
        'ERR_SKEP_INNER_UNKNOWN',
        `map "${this.name}" is empty, and without its object nothing else tells what its inner maps look like; create one and set it`,
      );
    }
    return this.#shape;
  }

  /** The shape of an inner map that is inside; null if there is none. */
  #findShape(): InnerShape | null {
    for (const [key] of this.slots()) {
      const fd = this.#openSlot(key);
      if (fd !== undefined) {
        try {
          return this.#learnShape(this.kernel.mapInfo(fd));
        } finally {
          this.kernel.close(fd);
        }
      }
    }
    return null;
  }

  /** Takes the shape of an inner map, with its types. */
  #learnShape(info: MapInfo): InnerShape {
    const { keyTypeId, valueTypeId } = info;
    this.#typesFrom = info.btfId;
    this.#shape = { ...shapeOfMap(info), keyTypeId, valueTypeId };
    return this.#shape;
  }

  #loadBtf(): number | null {
    if (this.#btf === undefined) {
      this.#btf = this.#template.loadBtf?.() ?? this.#copyBtf();
    }
    return this.#btf;
  }

  /** Loads the types of the inner map that was found, where this process may read them. */
  #copyBtf(): number | null {
    if (this.#typesFrom === 0) {
      return null;
    }
    try {
      return this.kernel.loadBtf(this.kernel.readBtf(this.#typesFrom));
    } catch (error) {
      // Maps work without, as they do in a load.
      if (error instanceof SyscallError) {
        return null;
      }
      throw error;
    }
  }

  /** Refuses what can never be an inner map, before the kernel does with less to say. */
  #checkInner(inner: MapHandle): void {
    if (!(inner instanceof MapHandle)) {
      throw new TypeError(`map "${this.name}": an inner map is given as a handle to a map`);
    }
    if (inner.kernel !== this.kernel) {
      throw new TypeError(`map "${this.name}": map "${inner.name}" is of another kernel`);
    }
    const { type, typeName } = inner.info();
    const rule = neverInner(type);
    if (rule !== undefined) {
      const wanted = 'a type that can be an inner map';
      throw new InnerMismatchError(this.name, `map "${inner.name}"`, [
        { field: 'type', wanted, found: typeName, rule },
      ]);
    }
  }

  #update({ key, inner }: Entry, flags: number): void {
    const { kernel } = this;
    // First, so that nothing is written when there are no descriptors left.
    const fd = kernel.duplicate(inner.fd);
    try {
      this.#value.view.setUint32(0, fd, this.#value.littleEndian);
      kernel.update(this.fd, key, this.#value.bytes, flags);
    } catch (error) {
      kernel.close(fd);
      throw this.#explain(inner, error);
    }
    this.#remember({ key, inner }, fd);
  }

  #updateAll(entries: readonly Entry[]): void {
    if (entries.length < 2 || !this.#updateBatch(entries)) {
      for (const entry of entries) {
        this.#update(entry, 0);
      }
    }
  }

  /** False if the kernel has no batches for this. */
  #updateBatch(entries: readonly Entry[]): boolean {
    const { kernel } = this;
    const { keySize } = this.info();
    const keys = new Uint8Array(entries.length * keySize);
    const values = new DataView(new ArrayBuffer(entries.length * 4));
    const opened: number[] = [];
    try {
      entries.forEach(({ key, inner }, index) => {
        const fd = kernel.duplicate(inner.fd);
        opened.push(fd);
        keys.set(key, index * keySize);
        values.setUint32(index * 4, fd, kernel.littleEndian);
      });
      const valueBytes = new Uint8Array(values.buffer);
      if (!kernel.updateBatch(this.fd, keys, valueBytes, entries.length, 0)) {
        return false;
      }
      for (const entry of entries) {
        this.#remember(entry, opened.shift()!);
      }
      return true;
    } catch (error) {
      throw this.#batchError(entries, opened, error);
    } finally {
      for (const fd of opened) {
        kernel.close(fd);
      }
    }
  }

  /** Finds the entry that a batch ended at: the kernel goes through them in order. */
  #batchError(entries: readonly Entry[], opened: number[], error: unknown): unknown {
    if (opened.length < entries.length) {
      // Not even all descriptors could be duplicated: nothing was written.
      return refusedCall(error, this.name);
    }
    for (const entry of entries) {
      if (this.#lookup(entry.key) !== entry.inner.info().id) {
        return this.#explain(entry.inner, error);
      }
      this.#remember(entry, opened.shift()!);
    }
    return refusedCall(error, this.name);
  }

  /** Notes that an inner map is in its slot, and takes the descriptor over. */
  #remember({ key, inner }: Entry, fd: number): void {
    const info = inner.info();
    this.#descriptors.put(key, info.id, fd);
    if (this.#shape === null) {
      this.#learnShape(info);
    }
    if (this.#descriptors.size > this.info().maxEntries) {
      // More than there are slots: others have emptied some, which a look-up notices.
      for (const slot of this.#descriptors.slots()) {
        this.#lookup(slot);
      }
    }
  }

  /** The error for a map that the kernel refused: in what it differs, if it can be told. */
  #explain(inner: MapHandle, error: unknown): unknown {
    const mayDiffer =
      error instanceof SyscallError && ['EINVAL', 'ENOTSUPP'].includes(error.errnoName);
    const shape = mayDiffer ? this.#shapeIfAny() : null;
    if (shape === null) {
      return refusedCall(error, this.name);
    }
    const info = inner.info();
    const told = innerDifferences(shape, info);
    const found = told.length > 0 ? told : hiddenDifferences(shape, info);
    return new InnerMismatchError(this.name, `map "${inner.name}"`, found, { cause: error });
  }

  /** The shape of inner maps; null where it is not known, or this process may not look. */
  #shapeIfAny(): InnerShape | null {
    try {
      this.#shape ??= this.#findShape();
      return this.#shape;
    } catch {
      return null;
    }
  }
}

function notPermitted(map: string, id: number, error: SyscallError): SyscallError {
  return new SyscallError(`map "${map}", inner map with id ${id}`, {
    command: error.command,
    errno: error.errno,
    errnoName: error.errnoName,
    hint: 'needs CAP_SYS_ADMIN, since somebody else put that map in; inner maps that this handle has put in, keys() and ids() work without, and so does an own pin of the inner map',
    cause: error,
  });
}
