//! The system calls that the shim makes, without a C library.
//!
//! Numbers: `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` of
//! Linux. Every function returns what the kernel returned: a negative number is `-errno`.

// The kernel takes registers. Signed arguments are sign-extended into them, as a C compiler does;
// the kernel reads back as many bits as the parameter has.
#![allow(clippy::cast_sign_loss)]

use core::ffi::c_void;
use core::ptr::{addr_of, addr_of_mut};

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("skep's native shim supports Linux on x86_64 and aarch64 only");

pub const ENOMEM: isize = 12;
pub const EBUSY: isize = 16;
pub const EINVAL: isize = 22;
pub const EOPNOTSUPP: isize = 95;

pub const PROT_NONE: i32 = 0;
pub const PROT_READ: i32 = 1;
pub const PROT_WRITE: i32 = 2;
pub const MAP_SHARED: i32 = 0x01;
pub const MAP_PRIVATE: i32 = 0x02;
const MAP_FIXED: i32 = 0x10;
const MAP_ANONYMOUS: i32 = 0x20;
const MAP_NORESERVE: i32 = 0x4000;
const MAP_FIXED_NOREPLACE: i32 = 0x10_0000;

const F_DUPFD_CLOEXEC: usize = 1030;
const EPOLL_CLOEXEC: usize = 0o2_000_000;
const EPOLL_CTL_ADD: usize = 1;
const SIG_BLOCK: usize = 0;
const SIG_SETMASK: usize = 2;
/// A set of signals is 64 bits, of which the first is for signal 1; this one is 27.
const ONLY_SIGPROF: u64 = 1 << 26;
const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_TEST_RUN: i32 = 10;
const RLIMIT_MEMLOCK: usize = 8;
const RLIM_INFINITY: u64 = u64::MAX;

#[cfg(target_arch = "x86_64")]
mod arch {
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const FCNTL: usize = 72;
    pub const EPOLL_CTL: usize = 233;
    pub const EPOLL_CREATE1: usize = 291;
    pub const PERF_EVENT_OPEN: usize = 298;
    pub const PRLIMIT64: usize = 302;
    pub const BPF: usize = 321;

    /// # Safety
    /// The call `number` with these arguments must not break Rust's rules about memory.
    #[inline]
    pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        let result: isize;
        // SAFETY: the caller vouches for the call itself. The kernel keeps every register except
        // rax, and rcx and r11, which the instruction overwrites; the stack is not used.
        unsafe {
            core::arch::asm!(
                "syscall",
                inlateout("rax") number => result,
                in("rdi") first,
                in("rsi") second,
                in("rdx") third,
                in("r10") fourth,
                in("r8") fifth,
                in("r9") sixth,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack)
            );
        }
        result
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    pub const EPOLL_CREATE1: usize = 20;
    pub const EPOLL_CTL: usize = 21;
    pub const FCNTL: usize = 25;
    pub const IOCTL: usize = 29;
    pub const CLOSE: usize = 57;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const MUNMAP: usize = 215;
    pub const MMAP: usize = 222;
    pub const PERF_EVENT_OPEN: usize = 241;
    pub const PRLIMIT64: usize = 261;
    pub const BPF: usize = 280;

    /// # Safety
    /// The call `number` with these arguments must not break Rust's rules about memory.
    #[inline]
    pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        let result: isize;
        // SAFETY: the caller vouches for the call itself. The kernel keeps every register except
        // x0; the stack is not used.
        unsafe {
            core::arch::asm!(
                "svc 0",
                in("x8") number,
                inlateout("x0") first => result,
                in("x1") second,
                in("x2") third,
                in("x3") fourth,
                in("x4") fifth,
                in("x5") sixth,
                options(nostack)
            );
        }
        result
    }
}

/// bpf(2).
///
/// # Safety
/// `attributes` must be the address of `size` bytes that the kernel may read and write, and so must
/// everything that they point to. (A bad address that is not mapped gives `-EFAULT`.)
#[inline]
pub unsafe fn bpf(command: i32, attributes: usize, size: u32) -> isize {
    // The verifier and test runs give up (EAGAIN, EINTR) when a signal is pending. That of a profiler
    // comes every millisecond or so: a long program would never get through.
    let unprofiled = matches!(command, BPF_PROG_LOAD | BPF_PROG_TEST_RUN);
    let before = if unprofiled { change_signals(SIG_BLOCK, ONLY_SIGPROF) } else { None };
    // SAFETY: passed on to the caller.
    let result =
        unsafe { arch::syscall(arch::BPF, [command as usize, attributes, size as usize, 0, 0, 0]) };
    if let Some(blocked) = before {
        change_signals(SIG_SETMASK, blocked);
    }
    result
}

/// `rt_sigprocmask(2)` for this thread: the signals blocked before, or nothing if it failed.
fn change_signals(how: usize, signals: u64) -> Option<u64> {
    let mut before: u64 = 0;
    // SAFETY: the kernel reads and writes one set of 8 bytes each, which live until the call returns.
    let result = unsafe {
        arch::syscall(
            arch::RT_SIGPROCMASK,
            [how, addr_of!(signals) as usize, addr_of_mut!(before) as usize, 8, 0, 0],
        )
    };
    (result == 0).then_some(before)
}

/// close(2). On Linux the descriptor is gone whatever the result, `-EBADF` excepted.
pub fn close(fd: i32) -> isize {
    // SAFETY: no memory is involved.
    unsafe { arch::syscall(arch::CLOSE, [fd as usize, 0, 0, 0, 0, 0]) }
}

/// A copy of `fd` with close-on-exec set, and never one of the three standard descriptors.
pub fn duplicate(fd: i32) -> isize {
    // SAFETY: no memory is involved.
    unsafe { arch::syscall(arch::FCNTL, [fd as usize, F_DUPFD_CLOEXEC, 3, 0, 0, 0]) }
}

/// `perf_event_open(2)`.
///
/// # Safety
/// `attributes` must be the address of a `struct perf_event_attr` as long as it says, and what that
/// points to must be there.
pub unsafe fn perf_event_open(
    attributes: usize,
    pid: i32,
    cpu: i32,
    group_fd: i32,
    flags: u32,
) -> isize {
    // SAFETY: passed on to the caller.
    unsafe {
        arch::syscall(
            arch::PERF_EVENT_OPEN,
            [attributes, pid as usize, cpu as usize, group_fd as usize, flags as usize, 0],
        )
    }
}

/// ioctl(2).
///
/// # Safety
/// If the request takes a pointer, `argument` must be the address of what it wants.
pub unsafe fn ioctl(fd: i32, request: u32, argument: usize) -> isize {
    // SAFETY: passed on to the caller.
    unsafe { arch::syscall(arch::IOCTL, [fd as usize, request as usize, argument, 0, 0, 0]) }
}

/// `epoll_create1(2)`, closed on exec.
pub fn epoll_create() -> isize {
    // SAFETY: no memory is involved.
    unsafe { arch::syscall(arch::EPOLL_CREATE1, [EPOLL_CLOEXEC, 0, 0, 0, 0, 0]) }
}

/// `struct epoll_event`, which only x86-64 packs.
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
struct EpollEvent {
    events: u32,
    data: u64,
}

/// `epoll_ctl(2)` with `EPOLL_CTL_ADD`.
pub fn epoll_add(epoll: i32, fd: i32, events: u32) -> isize {
    let event = EpollEvent { events, data: 0 };
    // SAFETY: the kernel reads the event, which lives until the call returns.
    unsafe {
        arch::syscall(
            arch::EPOLL_CTL,
            [epoll as usize, EPOLL_CTL_ADD, fd as usize, addr_of!(event) as usize, 0, 0],
        )
    }
}

/// Lifts the limit on locked memory of this process, soft and hard.
pub fn raise_memlock() -> isize {
    let limit: [u64; 2] = [RLIM_INFINITY; 2];
    // SAFETY: process 0 is this one; the kernel reads two 64-bit numbers, which live until the call
    // returns; the fourth argument is where the old limit would go.
    unsafe {
        arch::syscall(arch::PRLIMIT64, [0, RLIMIT_MEMLOCK, addr_of!(limit) as usize, 0, 0, 0])
    }
}

/// mmap(2) at an address of the kernel's choice: the address, or `-errno`.
pub fn map(fd: i32, offset: usize, length: usize, protection: i32, flags: i32) -> isize {
    // MAP_FIXED could replace memory that is in use.
    let flags = flags & (MAP_SHARED | MAP_PRIVATE);
    // SAFETY: without MAP_FIXED a new mapping overlaps no other.
    unsafe {
        arch::syscall(
            arch::MMAP,
            [0, length, protection as usize, flags as usize, fd as usize, offset],
        )
    }
}

/// mmap(2) at an address where nothing is yet (Linux 4.17), shared and writable: the address, or `-errno`.
pub fn map_at(fd: i32, address: usize, length: usize) -> isize {
    let protection = PROT_READ | PROT_WRITE;
    let flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
    // SAFETY: with MAP_FIXED_NOREPLACE, too, a new mapping overlaps no other; kernels that do not know
    // it take the address for a hint.
    unsafe {
        arch::syscall(
            arch::MMAP,
            [address, length, protection as usize, flags as usize, fd as usize, 0],
        )
    }
}

/// Fresh memory, zeroed: its address, or `-errno`.
pub fn allocate(length: usize) -> isize {
    let no_fd: i32 = -1;
    let protection = PROT_READ | PROT_WRITE;
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    // SAFETY: without MAP_FIXED a new mapping overlaps no other.
    unsafe {
        arch::syscall(
            arch::MMAP,
            [0, length, protection as usize, flags as usize, no_fd as usize, 0],
        )
    }
}

/// munmap(2).
///
/// # Safety
/// The range must be a whole mapping made by [`map`], [`map_at`] or [`allocate`], and nothing may refer to it any more.
pub unsafe fn unmap(address: *mut c_void, length: usize) -> isize {
    // SAFETY: passed on to the caller.
    unsafe { arch::syscall(arch::MUNMAP, [address as usize, length, 0, 0, 0, 0]) }
}

/// Replaces a mapping by a reservation of its addresses: what was mapped is let go of exactly as by
/// munmap(2), but the addresses cannot be given to anyone else until [`unmap`].
///
/// # Safety
/// As for [`unmap`].
pub unsafe fn reserve(address: *mut c_void, length: usize) -> isize {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    let no_fd: i32 = -1;
    // SAFETY: passed on to the caller.
    let result = unsafe {
        arch::syscall(
            arch::MMAP,
            [address as usize, length, PROT_NONE as usize, flags as usize, no_fd as usize, 0],
        )
    };
    result.min(0)
}
