/** Sizes of ring buffers. */

/**
 * The size of a ring buffer in bytes: the kernel takes a power of two of whole pages only. Like
 * libbpf's `adjust_ringbuf_sz`: 0, what fits already and what cannot be rounded up stay as they are.
 */
export function ringBufferBytes(bytes: number, pageSize: number): number {
  if (bytes === 0) {
    return 0;
  }
  let size = pageSize;
  while (size < bytes) {
    size *= 2;
  }
  return size > 0xffff_ffff ? bytes : size;
}
