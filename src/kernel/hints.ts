/** What a refusal by the kernel most likely means, and what to do about it. */

import { ERRNO } from '../uapi/errno.ts';

const READ_ONLY = 'the BPF file system is mounted read-only: mount -o remount,rw, or pin elsewhere';
/** Inodes of a BPF file system: `bpf_get_inode()` of kernel/bpf/inode.c says ENOSPC for want of memory. */
const NO_INODE =
  'the kernel has too little memory for another name there, or the cgroup of this process may have no more (memory.max)';
/** May also be the answer for a name that is not there: `bpf_lookup()` of kernel/bpf/inode.c. */
const NOT_REMOVED =
  "it is another user's in a directory where each removes their own alone (mode +t), or its name has a dot";
const SECURITY_MODULE =
  'a security module (SELinux, a BPF LSM program) does not allow it; its log says which rule (ausearch -m avc)';
const SIGNALLED = 'signals came while the kernel verified it: load it again';
const LINKS_IN_CIRCLE = 'symbolic links of the path lead in a circle, or are more than 40';
const PERF_EVENTS = 'needs root or CAP_PERFMON (before Linux 5.8 CAP_SYS_ADMIN)';

/** What EPERM means, by command. */
const PERMISSIONS: Readonly<Record<string, string>> = {
  BPF_MAP_CREATE:
    'needs root or CAP_BPF (before Linux 5.8 CAP_SYS_ADMIN, before 5.11 also ulimit -l unlimited); sockmap, sockhash, devmap, devmap_hash and xskmap also CAP_NET_ADMIN',
  BPF_BTF_LOAD: 'needs root or CAP_BPF (before Linux 5.8 CAP_SYS_ADMIN)',
  BPF_MAP_GET_FD_BY_ID: 'needs CAP_SYS_ADMIN; open the map by its pin instead',
  BPF_MAP_GET_NEXT_ID: 'needs CAP_SYS_ADMIN',
  BPF_BTF_GET_FD_BY_ID: 'needs CAP_SYS_ADMIN',
  BPF_PROG_GET_FD_BY_ID: 'needs CAP_SYS_ADMIN; open the program by its pin instead',
  BPF_PROG_GET_NEXT_ID: 'needs CAP_SYS_ADMIN',
  BPF_BTF_GET_NEXT_ID: 'needs CAP_SYS_ADMIN',
  BPF_LINK_CREATE: 'needs the capabilities that loading its programs took',
  BPF_PROG_TEST_RUN: 'needs the capabilities that loading the program took',
  BPF_OBJ_PIN:
    'pins need a BPF file system (mount -t bpf bpf /sys/fs/bpf), and no dot in any part of the path',
  BPF_OBJ_GET: "the path has a part with a dot, or the pin is another user's",
  BPF_MAP_UPDATE_ELEM: 'the map is frozen, or the descriptor is read-only',
  BPF_MAP_UPDATE_BATCH: 'the map is frozen, or the descriptor is read-only',
  BPF_MAP_DELETE_ELEM: 'the map is frozen, or the descriptor is read-only',
  BPF_MAP_LOOKUP_ELEM: 'the descriptor is write-only',
  // The capability was asked for until Linux 6.5 (map_freeze() of kernel/bpf/syscall.c).
  BPF_MAP_FREEZE:
    'the descriptor is read-only; before Linux 6.5 also root or CAP_BPF is needed (before 5.8 CAP_SYS_ADMIN)',
  mmap: 'the map is frozen, or the descriptor is read-only',
  mkdir: 'names on a BPF file system have no dots, in no part of the path',
  unlink: NOT_REMOVED,
  rmdir: NOT_REMOVED,
  perf_event_open: PERF_EVENTS,
  poll: 'this kind of file cannot be waited for',
};

/** What other errnos mean, by command. */
const OTHER: Readonly<Record<string, string>> = {
  'BPF_MAP_CREATE E2BIG': 'too many entries for one map, or a field this kernel does not know',
  'BPF_MAP_CREATE ENOMEM':
    'too little memory for that many entries, or the cgroup of this process may have no more (memory.max)',
  'BPF_MAP_CREATE ENOTSUPP':
    'maps of this type cannot be inner maps; before Linux 6.2, neither can maps whose values have a lock',
  'BPF_MAP_CREATE EINVAL':
    'the kernel does not know the type, or sizes, entries or flags are not what the type wants',
  'BPF_MAP_UPDATE_ELEM E2BIG': 'the map is full, or the index is not below max entries',
  'BPF_MAP_UPDATE_ELEM ENOSPC': 'the map is full',
  'BPF_MAP_UPDATE_BATCH E2BIG':
    'the map is full, or an index is not below max entries; a part of the entries may have been put in',
  'BPF_MAP_UPDATE_ELEM EEXIST': 'the key is there already',
  'BPF_MAP_UPDATE_ELEM ENOENT': 'the key is not there',
  // A bucket of a hash is held by what runs on this CPU; bpf_struct_ops_map_update_elem().
  'BPF_MAP_UPDATE_ELEM EBUSY':
    'a program was in the middle of a change of the same entries: try again; a struct_ops map takes a value once',
  'BPF_MAP_UPDATE_ELEM EINVAL':
    'flags or value are not what this type of map takes: inner maps are like the one it was made with, programs of the type of those that are in it, devices are there',
  'BPF_MAP_UPDATE_ELEM EBADF': 'a map of maps takes the descriptor of an open map',
  'BPF_OBJ_PIN ENOTDIR': 'a part of the path is no directory',
  'mkdir ENOTDIR': 'a part of the path is no directory',
  'BPF_OBJ_PIN EEXIST': 'something is pinned there already',
  'BPF_OBJ_PIN ENOENT': 'the directory does not exist',
  'BPF_OBJ_PIN ENOSPC': NO_INODE,
  'mkdir ENOSPC': NO_INODE,
  'BPF_OBJ_PIN EROFS': READ_ONLY,
  'mkdir EROFS': READ_ONLY,
  'unlink EROFS': READ_ONLY,
  'rmdir EROFS': READ_ONLY,
  'BPF_OBJ_PIN EACCES': 'this user may not write to the directory',
  'mkdir EACCES': 'this user may not write to the directory above',
  'unlink EACCES': 'this user may not write to the directory',
  'rmdir EACCES': 'this user may not write to the directory above',
  'mkdir ENOENT': 'the directory above does not exist',
  // systemd mounts it with mode=0700.
  'statfs EACCES':
    'this user may not go through a directory of the path; /sys/fs/bpf is often for root alone (mode 0700)',
  'statfs ELOOP': LINKS_IN_CIRCLE,
  'open ENOENT': 'this kernel was built without it, or /proc or /sys is not mounted here',
  'open EACCES': 'this process may not read it: a security module or a container keeps it away',
  'BPF_OBJ_GET ENOENT': 'nothing is pinned there',
  'BPF_OBJ_GET EROFS':
    'the BPF file system is mounted read-only, and so is what is pinned there: mount -o remount,rw',
  'BPF_OBJ_GET EACCES':
    'this user may not open it (pins are made for their owner alone), or it is no pin but a directory',
  // Links and programs have no such access (bpf_obj_get_user() of kernel/bpf/inode.c).
  'BPF_OBJ_GET EINVAL':
    'what is pinned there cannot be opened read-only or write-only: maps can (Linux 4.15), programs and links cannot',
  'BPF_OBJ_GET_INFO_BY_FD EACCES': SECURITY_MODULE,
  'BPF_MAP_FREEZE EINVAL': 'this kernel cannot freeze maps (Linux 5.2)',
  'BPF_MAP_FREEZE ENOTSUPP':
    'struct_ops maps cannot be frozen, nor maps whose values have locks, timers or pointers of the kernel',
  'BPF_MAP_FREEZE EBUSY': 'the map is mapped into memory for writing, or frozen already',
  'mmap EAGAIN': 'too much memory is locked (ulimit -l, mlockall)',
  'mmap EINVAL': 'this kind of map has no memory to share; arrays need BPF_F_MMAPABLE (Linux 5.5)',
  'mmap ENOTSUPP':
    'this kind of map has no memory to share; arrays need BPF_F_MMAPABLE (Linux 5.5)',
  // MAP_FIXED_NOREPLACE, for an arena with an address.
  'mmap EEXIST':
    'something else is at its address; a mapping that was ended stays there until the next turn of the event loop',
  'mmap EACCES': 'the descriptor is read-only',
  'perf_event_open EACCES': PERF_EVENTS,
  'perf_event_open ENODEV': 'the CPU is not running',
  'BPF_MAP_GET_FD_BY_ID ENOENT': 'there is no map with that id',
  'BPF_PROG_GET_FD_BY_ID ENOENT': 'there is no program with that id',
  'BPF_BTF_GET_FD_BY_ID ENOENT': 'there is no BTF with that id',
  // The verifier looks for signals (bpf_check() of kernel/bpf/verifier.c).
  'BPF_PROG_LOAD EAGAIN': SIGNALLED,
  'BPF_PROG_LOAD EINTR': SIGNALLED,
  'BPF_PROG_TEST_RUN ENOTSUPP': 'programs of this type cannot be run by themselves',
  'BPF_PROG_TEST_RUN ENOSPC': 'what it left does not fit into the room for it',
  'BPF_PROG_TEST_RUN EINVAL':
    'packet, context, flags or repetitions are not what programs of this type are run with; a packet has 14 bytes or more',
  // A ring of io_uring that is closed interrupts its threads as a signal does (io_ring_exit_work).
  'BPF_PROG_TEST_RUN EINTR':
    'a signal came before it had run as often as it was to, or Node.js 22 or newer closed a ring of io_uring, as after spawnSync(); run it again',
  'BPF_LINK_CREATE EINVAL':
    'it is no struct_ops map made for links (BPF_F_LINK, Linux 6.4), or its value is not complete',
};

/** What opening a file means that is a caller's, not the kernel's own below /proc and /sys. */
const OPEN_FILE: Readonly<Record<string, string>> = {
  ENOENT: 'there is nothing at this path',
  EACCES: 'this user may not open it, or not go through a directory of the path',
};

/** Files of the kernel; cgroups are directories that somebody makes. */
const KERNEL_FILE = /^\/(?:proc|sys)\/(?!fs\/cgroup)/;

/** What means the same whoever says it. */
const ANY_COMMAND: Readonly<Record<string, string>> = {
  EMFILE: 'this process may not open more files; raise the limit (ulimit -n)',
  ENFILE: 'the system may not open more files; raise its limit (sysctl fs.file-max)',
  ENOMEM: 'too little memory, or the cgroup of this process may have no more (memory.max)',
};

/**
 * A sentence for `errno` from this command, or undefined where the names say all there is.
 *
 * @param what the call was about; the path, of a call that opens a file
 */
export function explain(
  command: string,
  errno: number,
  errnoName: string,
  what = '',
): string | undefined {
  if (errno === ERRNO.EPERM) {
    return PERMISSIONS[command];
  }
  if (errno === ERRNO.ENOSYS) {
    return "this kernel, or a filter in front of it (a container's seccomp profile), has no bpf(2)";
  }
  if (command === 'open' && !KERNEL_FILE.test(what) && Object.hasOwn(OPEN_FILE, errnoName)) {
    return OPEN_FILE[errnoName];
  }
  return OTHER[`${command} ${errnoName}`] ?? ANY_COMMAND[errnoName];
}
