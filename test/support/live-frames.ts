/** Packets that XDP programs really redirect, and network interfaces to redirect them to. */

import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { AttributeBlock } from '../../src/kernel/linux-memory.ts';
import { loadNative } from '../../src/kernel/native.ts';
import { BPF_CMD } from '../../src/uapi/commands.ts';
import { errnoName } from '../../src/uapi/errno.ts';
import { output } from './programs.ts';

/** `BPF_F_TEST_XDP_LIVE_FRAMES`: what the program says is done with the packets. */
const LIVE_FRAMES = 1 << 1;
const TEST_RUN_BYTES = 80;

/** Runs an XDP program on so many packets, as if they had come in (5.18). */
export function runLive(program: number, packets: number): void {
  const block = new AttributeBlock(loadNative(), endianness() === 'LE');
  const packet = new Uint8Array(64);
  block.clear(TEST_RUN_BYTES);
  block.setU32(0, program);
  block.setU32(8, packet.length);
  block.setPointer(16, packet, packet.length, 'the packet');
  block.setU32(32, packets);
  block.setU32(64, LIVE_FRAMES);
  const result = block.call(BPF_CMD.PROG_TEST_RUN, TEST_RUN_BYTES);
  if (result < 0) {
    throw new Error(`BPF_PROG_TEST_RUN: ${errnoName(-result)}`);
  }
}

/** A pair of network interfaces, joined by a cable. Close it, or declare it with `using`. */
export class InterfacePair {
  readonly name = `skep${process.pid}`;
  /** The other end. */
  readonly peer = `${this.name}p`;
  readonly ifindex: number;

  constructor() {
    output('ip', 'link', 'add', this.name, 'type', 'veth', 'peer', 'name', this.peer);
    output('ip', 'link', 'set', this.name, 'up');
    output('ip', 'link', 'set', this.peer, 'up');
    this.ifindex = Number(readFileSync(`/sys/class/net/${this.name}/ifindex`, 'latin1'));
  }

  close(): void {
    output('ip', 'link', 'del', this.name);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
