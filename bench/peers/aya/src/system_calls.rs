//! Times bpf(2): aya calls it by the C library's `syscall`, which is replaced here, as the programs for
//! libbpf do (peers/libbpf/programs.c).

use std::arch::asm;
use std::ffi::c_long;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

static TIMED: AtomicBool = AtomicBool::new(false);
static EXCLUDED_NS: AtomicU64 = AtomicU64::new(0);

/// From now on the time in bpf(2) does not count.
pub fn leave_bpf_out() {
    TIMED.store(true, Ordering::Relaxed);
}

/// How much time, within operations, is not to count.
pub fn excluded_ns() -> u64 {
    EXCLUDED_NS.load(Ordering::Relaxed)
}

/// The C library's function takes a varying number of arguments; those behind the first go where they
/// would go if there were always seven.
#[no_mangle]
extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    let start = (number == libc::SYS_bpf && TIMED.load(Ordering::Relaxed)).then(Instant::now);
    // SAFETY: what the caller asked the kernel for.
    let result = unsafe { raw_syscall(number, [a, b, c, d, e, f]) };
    if let Some(start) = start {
        EXCLUDED_NS.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
    if (-4095..0).contains(&result) {
        // SAFETY: errno of this thread.
        unsafe { *libc::__errno_location() = -result as i32 };
        return -1;
    }
    result
}

#[cfg(target_arch = "x86_64")]
unsafe fn raw_syscall(number: c_long, arguments: [c_long; 6]) -> c_long {
    let [a, b, c, d, e, f] = arguments;
    let result;
    asm!(
        "syscall",
        inlateout("rax") number => result,
        in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
        lateout("rcx") _, lateout("r11") _,
        options(nostack),
    );
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn raw_syscall(number: c_long, arguments: [c_long; 6]) -> c_long {
    let [a, b, c, d, e, f] = arguments;
    let result;
    asm!(
        "svc 0",
        inlateout("x0") a => result,
        in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f, in("x8") number,
        options(nostack),
    );
    result
}
