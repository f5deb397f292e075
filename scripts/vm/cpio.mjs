/**
 * An initramfs, written without a copy of its files on disk: an archive in the form "newc" of cpio, as the
 * kernel's Documentation/driver-api/early-userspace/buffer-format.rst describes it.
 */

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const DIRECTORY = 0o040755;
const FILE = 0o100000;
const LINK = 0o120777;
const DEVICE = 0o020600;
/** Room for a header: a magic number and 13 fields of 8 digits. */
const HEADER_BYTES = 110;

/** An archive that is being written. Paths are as in the guest, and begin with a slash. */
export class Initramfs {
  /** @type {number} */
  #fd;
  #inode = 0;
  /** @type {Set<string>} */
  #paths = new Set(['/']);

  /** @param {string} path where it is written */
  constructor(path) {
    this.#fd = openSync(path, 'w');
  }

  /**
   * Whether a path is taken.
   *
   * @param {string} path
   */
  has(path) {
    return this.#paths.has(path);
  }

  /** @param {string} path of a directory; those above it are made, too */
  directory(path) {
    if (!this.#paths.has(path)) {
      this.directory(dirname(path));
      this.#entry(path, DIRECTORY, Buffer.alloc(0));
    }
  }

  /**
   * @param {string} path
   * @param {string | Uint8Array} content
   * @param {number} [mode]
   */
  file(path, content, mode = 0o644) {
    this.directory(dirname(path));
    this.#entry(path, FILE | mode, Buffer.from(content));
  }

  /**
   * Copies a file of the host, once.
   *
   * @param {string} path
   * @param {string} source
   * @param {number} [mode]
   */
  copy(path, source, mode = 0o644) {
    if (!this.has(path)) {
      this.file(path, readFileSync(source), mode);
    }
  }

  /**
   * @param {string} path
   * @param {string} target
   */
  link(path, target) {
    this.directory(dirname(path));
    this.#entry(path, LINK, Buffer.from(target));
  }

  /**
   * @param {string} path of a character device
   * @param {number} major
   * @param {number} minor
   */
  device(path, major, minor) {
    this.directory(dirname(path));
    this.#entry(path, DEVICE, Buffer.alloc(0), major, minor);
  }

  close() {
    this.#entry('/TRAILER!!!', 0, Buffer.alloc(0));
    closeSync(this.#fd);
  }

  /**
   * @param {string} path
   * @param {number} mode
   * @param {Buffer} content
   * @param {number} [major]
   * @param {number} [minor]
   */
  #entry(path, mode, content, major = 0, minor = 0) {
    this.#paths.add(path);
    this.#inode += 1;
    const name = Buffer.from(`${path.slice(1)}\0`);
    const fields = [
      this.#inode,
      mode,
      0,
      0,
      1,
      0,
      content.length,
      0,
      0,
      major,
      minor,
      name.length,
      0,
    ];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    const afterName = padding(HEADER_BYTES + name.length);
    const parts = [Buffer.from(header), name, afterName, content, padding(content.length)];
    for (const part of parts) {
      // A file of more than 2 GiB would need more than one call; there is none.
      writeSync(this.#fd, part);
    }
  }
}

/** @param {number} length what is filled up to a multiple of 4 bytes */
function padding(length) {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
