/**
 * Structs of functions that the kernel calls (struct_ops): a congestion control of TCP, a scheduler, a
 * queueing discipline.
 *
 * Semantics: `kernel/bpf/bpf_struct_ops.c`; as libbpf's `bpf_map__attach_struct_ops`.
 */

import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { closedInTime, watchForLeak } from './leaks.ts';
import { MapHandle, type OwnedMap } from './map-handle.ts';

/** `enum bpf_struct_ops_state`. */
const STATES = ['initial', 'registered', 'unregistered', 'ready'] as const;
/** Of `struct bpf_struct_ops_common_value`, with which each value starts. */
const REFERENCES_OFFSET = 0;
const STATE_OFFSET = 4;

/** The one key of such a map. */
const KEY = new Uint8Array(4);

/** What the kernel says of a struct of functions. */
export interface StructOpsStatus {
  /**
   * `initial`: it has no functions yet; `ready`: it has (maps with a link); `registered`,
   * `unregistered`: maps without.
   */
  readonly state: (typeof STATES)[number];
  /** How many of the kernel's own use it, as an estimate: connections, for a congestion control. */
  readonly references: number;
}

/** A program as a function of a struct. */
interface StructFunction {
  /** Where its descriptor goes, in bytes of the value. */
  readonly offset: number;
  readonly program: { readonly fd: number };
}

/** What a {@link StructOps} is made from. */
export interface StructOpsSource extends OwnedMap {
  /** The kernel's struct, without its programs' descriptors. */
  readonly value: Uint8Array;
  readonly functions: readonly StructFunction[];
}

/**
 * A struct of functions that was loaded (`BPF_MAP_TYPE_STRUCT_OPS`, 5.6). The kernel calls them from
 * {@link StructOps.register} on, until what that returns is closed, or this handle is, or the loaded
 * object.
 *
 * @example
 * using app = load(ObjectFile.open('congestion.bpf.o'));
 * using registration = app.structOps('my_control').register();
 */
export class StructOps extends MapHandle {
  /**
   * Whether it is registered by a link (section `.struct_ops.link`, 6.4): that ends with the process at
   * the latest. Without, it stays registered if the process ends before it is unregistered.
   */
  readonly hasLink: boolean;
  readonly #value: Uint8Array;
  readonly #functions: readonly StructFunction[];
  readonly #registrations = new Set<StructOpsRegistration>();

  /** @internal */
  constructor(source: StructOpsSource) {
    if (source.functions === undefined) {
      throw new TypeError('structs of functions are opened by structOps(name) of a loaded object');
    }
    super(source);
    this.#value = source.value;
    this.#functions = source.functions;
    this.hasLink = (this.info().flags & BPF_F.LINK) !== 0;
  }

  /**
   * Registers the struct: from now on the kernel calls its functions. With a link this can be done
   * again when it was undone; without, a map is registered once.
   *
   * @throws SyscallError `EEXIST` if one with its name is registered, `EINVAL` if the kernel wants other
   *   functions or values in it, `EBUSY` if a map without link was registered before
   * @throws SkepError `ERR_SKEP_CLOSED` if one of its programs was closed
   */
  register(): StructOpsRegistration {
    const { fd, kernel, name } = this;
    this.#write(fd);
    let link: number | null = null;
    if (this.hasLink) {
      try {
        link = kernel.linkStructOps(fd);
      } catch (error) {
        throw explained(error, name);
      }
    }
    const registration = StructOpsRegistration.adopt(kernel, name, link, () => {
      this.#registrations.delete(registration);
      if (link === null) {
        unregister(kernel, fd, name);
      } else {
        kernel.close(link);
      }
    });
    this.#registrations.add(registration);
    return registration;
  }

  /** What the kernel says of it now. */
  status(): StructOpsStatus {
    const { fd, kernel } = this;
    const value = new Uint8Array(kernel.valueBytes(fd));
    kernel.lookup(fd, KEY, value, 0);
    const view = new DataView(value.buffer);
    return {
      // A kernel with more states than are known here would be one with another struct.
      state: STATES[view.getUint32(STATE_OFFSET, kernel.littleEndian)] ?? 'initial',
      references: view.getUint32(REFERENCES_OFFSET, kernel.littleEndian),
    };
  }

  /** Undoes what it registered, and closes the handle. */
  override close(): void {
    try {
      for (const registration of [...this.#registrations]) {
        registration.close();
      }
    } finally {
      super.close();
    }
  }

  /** Without a link, writing the value registers it. */
  #write(fd: number): void {
    const { kernel, name } = this;
    const value = this.#value.slice();
    const view = new DataView(value.buffer);
    for (const { offset, program } of this.#functions) {
      // An `unsigned long`, as pointers are.
      view.setBigUint64(offset, BigInt(program.fd), kernel.littleEndian);
    }
    try {
      kernel.update(fd, KEY, value, 0);
    } catch (error) {
      // Links leave a value as it is, and it cannot be changed once it is set.
      if (this.hasLink && error instanceof SyscallError && error.errnoName === 'EBUSY') {
        return;
      }
      throw explained(error, name);
    }
  }
}

/**
 * A struct of functions that is registered. {@link StructOpsRegistration.close} it to have the kernel
 * call it no more, or declare it with `using`. What uses it, such as an open connection, goes on to.
 */
export class StructOpsRegistration {
  /** The map's name in its object. */
  readonly name: string;
  readonly kernel: Kernel;
  #link: number | null;
  #undo: (() => void) | null;

  /** @internal */
  private constructor(kernel: Kernel, name: string, link: number | null, undo: () => void) {
    this.kernel = kernel;
    this.name = name;
    this.#link = link;
    this.#undo = undo;
  }

  /** @internal */
  static adopt(
    kernel: Kernel,
    name: string,
    link: number | null,
    undo: () => void,
  ): StructOpsRegistration {
    const registration = new StructOpsRegistration(kernel, name, link, undo);
    if (link !== null) {
      watchForLeak(registration as { name: string; fd: number }, StructOpsRegistration.adopt);
    }
    return registration;
  }

  /** Whether it was undone. */
  get closed(): boolean {
    return this.#undo === null;
  }

  /** The descriptor of its link, which stays this handle's; null if it has none. */
  get fd(): number | null {
    if (this.#undo === null) {
      throw new SkepError('ERR_SKEP_CLOSED', `the registration of "${this.name}" is closed`);
    }
    return this.#link;
  }

  /** Unregisters the struct. Closing twice does nothing. */
  close(): void {
    const undo = this.#undo;
    if (undo === null) {
      return;
    }
    if (this.#link !== null) {
      closedInTime(this as { name: string; fd: number });
    }
    this.#undo = null;
    this.#link = null;
    undo();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Ends the registration of a map without link. */
function unregister(kernel: Kernel, fd: number, name: string): void {
  try {
    kernel.delete(fd, KEY);
  } catch (error) {
    // Somebody else has unregistered it; it goes when nothing uses it any more.
    if (!(error instanceof SyscallError) || error.errnoName !== 'EINPROGRESS') {
      throw explained(error, name);
    }
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EEXIST: 'a struct with the same name is registered',
  EBUSY:
    'it was registered before; without a link (section .struct_ops.link) that is possible once',
  EINVAL: 'the kernel wants other functions or values in it, such as a name',
  EOPNOTSUPP: 'the kernel does not let anybody register this struct',
};

/** The same error with the map's name, and what it means here. */
function explained(error: unknown, name: string): unknown {
  if (!(error instanceof SyscallError)) {
    return error;
  }
  const { command, errno, errnoName, hint, cause } = error;
  return new SyscallError(`struct of functions "${name}"`, {
    command,
    errno,
    errnoName,
    // Of links, the front knows better what EINVAL means.
    hint:
      (command === 'BPF_LINK_CREATE' && errnoName === 'EINVAL' ? hint : HINTS[errnoName]) ?? hint,
    cause,
  });
}
