//! The native shim of skep: seventeen functions between JavaScript and the kernel, and no policy.
//!
//! Everything with a decision in it (which command, which layout of `bpf_attr`, what an error
//! means) is TypeScript. What is left is what JavaScript cannot do: find out where a buffer is,
//! make a system call, map memory, wait in the event loop. Arguments are plain numbers, results are numbers, and `-errno`
//! is a result, not an exception; only misuse throws.
//!
//! **The caller is trusted.** Like bpf(2) itself, `bpf` takes an address (as do `perfEventOpen` and
//! `ioctl`) and lets the kernel read
//! and write there, so whoever may call it can overwrite any memory of the process. Checking would
//! need a pointer table for each of the kernel's commands, on the hottest path there is. Instead
//! only `src/kernel/linux*` calls these functions; it keeps every buffer that it passes an address
//! of alive and large enough for the command, and never lets a caller's number become an address.
//!
//! **No state.** A process has one environment per worker thread, they come and go in any order,
//! and nothing here outlives a call except mappings, which belong to their `ArrayBuffer`, and
//! watchers, which belong to their object (`watch.rs`).
//!
//! **No crates and no standard library**, which would cost 270 KB and tie the file to one C
//! library and its version. This is 19 KB and loads everywhere.

// Under `cfg(test)`, which editors and checkers turn on, the standard library is there anyway.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::pedantic)]

mod napi;
mod syscall;
mod watch;

use core::ffi::c_void;
use core::mem::size_of;
use napi::{text, CallInfo, Env, Misuse, NoBuffer, TypeTag, Value};
use syscall::{EBUSY, EINVAL, EOPNOTSUPP, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE};

/// Marks the buffers made by [`map`]. The number was drawn at random.
static MAPPED: TypeTag = TypeTag { lower: 0x9d2f_6c1b_47ae_e803, upper: 0x51c8_0f3a_b96d_7e24 };

/// The largest `ArrayBuffer` that every supported version of Node.js makes: 4 GiB (version 20).
const LARGEST_BUFFER: usize = 1 << 32;

/// `address(buffer)`: where the first byte of an `ArrayBuffer` is. It stays there for as long as
/// the buffer is neither collected nor detached; seeing to that is up to the caller.
extern "C" fn address(env: Env, info: CallInfo) -> Value {
    env.call(info, |[buffer]| {
        if !env.is_array_buffer(buffer) {
            return Err(Misuse::Type(text!("address: buffer must be an ArrayBuffer")));
        }
        let (data, length) = env.array_buffer_info(buffer);
        if length == 0 && env.is_detached(buffer) {
            return Err(Misuse::Type(text!("address: buffer is detached")));
        }
        env.address(data)
    })
}

/// `bpf(command, attributes, size)`: bpf(2). See above for what the caller answers for.
extern "C" fn bpf(env: Env, info: CallInfo) -> Value {
    env.call(info, |[command, attributes, size]| {
        let command = env.int32(command, text!("bpf: command must be a 32-bit integer"))?;
        let attributes = env.size(attributes, text!("bpf: attributes must be an address"))?;
        let size = env.uint32(size, text!("bpf: size must be an unsigned 32-bit integer"))?;
        // SAFETY: src/kernel/linux* passes the address and the size of a buffer that it owns, with
        // pointers to such buffers in it.
        env.result(unsafe { syscall::bpf(command, attributes, size) })
    })
}

/// `prepare(buffer)`: a function without arguments that makes one call of bpf(2) again and again, with
/// what the buffer holds by then: the command, the size of the attributes, the attributes. (Numbers as
/// arguments take longer than the rest of the way to the system call and back.)
extern "C" fn prepare(env: Env, info: CallInfo) -> Value {
    env.call(info, |[buffer]| {
        if !env.is_array_buffer(buffer) {
            return Err(Misuse::Type(text!("prepare: buffer must be an ArrayBuffer")));
        }
        let (data, length) = env.array_buffer_info(buffer);
        if length < size_of::<Prepared>() {
            return Err(Misuse::Type(text!("prepare: buffer is too short, or detached")));
        }
        Ok(env.function(bpf_prepared, data))
    })
}

/// What a [`prepare`]d call looks like, in front of its attributes.
#[repr(C)]
struct Prepared {
    command: i32,
    size: u32,
}

/// The function that [`prepare`] makes. See above for what the caller answers for.
extern "C" fn bpf_prepared(env: Env, info: CallInfo) -> Value {
    let call: *const Prepared = env.function_data(info).cast();
    // SAFETY: src/kernel/linux* owns the buffer for as long as it has the function; the attributes
    // are behind the two fields, and pointers to such buffers in them.
    let result = unsafe {
        let Prepared { command, size } = call.read_unaligned();
        syscall::bpf(command, call.add(1) as usize, size)
    };
    env.number(result)
}

/// `close(fd)`: close(2).
extern "C" fn close(env: Env, info: CallInfo) -> Value {
    env.call(info, |[fd]| {
        let fd = env.int32(fd, text!("close: fd must be a 32-bit integer"))?;
        env.result(syscall::close(fd))
    })
}

/// `duplicate(fd)`: a second descriptor for the same file, closed on exec.
extern "C" fn duplicate(env: Env, info: CallInfo) -> Value {
    env.call(info, |[fd]| {
        let fd = env.int32(fd, text!("duplicate: fd must be a 32-bit integer"))?;
        env.result(syscall::duplicate(fd))
    })
}

/// `raiseMemlock()`: no limit on locked memory, which kernels before 5.11 charge maps to.
extern "C" fn raise_memlock(env: Env, info: CallInfo) -> Value {
    env.call(info, |[]| env.result(syscall::raise_memlock()))
}

/// `map(fd, offset, length, protection, flags)`: a mapping as an `ArrayBuffer`, or `-errno`.
///
/// Writing to one without `PROT_WRITE` kills the process, as does touching a page that the file
/// does not have; the caller must keep both from its users.
extern "C" fn map(env: Env, info: CallInfo) -> Value {
    env.call(info, |[fd, offset, length, protection, flags]| {
        let fd = env.int32(fd, text!("map: fd must be a 32-bit integer"))?;
        let offset = env.size(offset, text!("map: offset must be an integer from 0 to 2^53"))?;
        let length = env.size(length, text!("map: length must be an integer from 0 to 2^53"))?;
        let protection = env.int32(protection, text!("map: protection must be an integer"))?;
        let flags = env.int32(flags, text!("map: flags must be an integer"))?;
        if protection != PROT_READ && protection != PROT_READ | PROT_WRITE {
            return Err(Misuse::Range(text!(
                "map: protection must be PROT_READ or PROT_READ | PROT_WRITE"
            )));
        }
        if flags != MAP_SHARED && flags != MAP_PRIVATE {
            return Err(Misuse::Range(text!("map: flags must be MAP_SHARED or MAP_PRIVATE")));
        }
        if length > LARGEST_BUFFER {
            return env.result(-EOPNOTSUPP);
        }
        let mapped = syscall::map(fd, offset, length, protection, flags);
        if mapped < 0 {
            return env.result(mapped);
        }
        present(env, mapped as *mut c_void, length)
    })
}

/// `mapAt(fd, address, length)`: memory that is shared and writable, at an address where nothing is
/// yet, as an `ArrayBuffer`, or `-errno`. What is said of `map` holds for pages that are not there.
extern "C" fn map_at(env: Env, info: CallInfo) -> Value {
    env.call(info, |[fd, address, length]| {
        let fd = env.int32(fd, text!("mapAt: fd must be a 32-bit integer"))?;
        let address =
            env.size(address, text!("mapAt: address must be an integer from 0 to 2^53"))?;
        let length = env.size(length, text!("mapAt: length must be an integer from 0 to 2^53"))?;
        if length > LARGEST_BUFFER {
            return env.result(-EOPNOTSUPP);
        }
        let mapped = syscall::map_at(fd, address, length);
        if mapped < 0 {
            return env.result(mapped);
        }
        present(env, mapped as *mut c_void, length)
    })
}

/// `perfEventOpen(attributes, pid, cpu, groupFd, flags)`: `perf_event_open(2)`. What is said of `bpf`
/// holds for the address.
extern "C" fn perf_event_open(env: Env, info: CallInfo) -> Value {
    env.call(info, |[attributes, pid, cpu, group_fd, flags]| {
        let attributes =
            env.size(attributes, text!("perfEventOpen: attributes must be an address"))?;
        let pid = env.int32(pid, text!("perfEventOpen: pid must be a 32-bit integer"))?;
        let cpu = env.int32(cpu, text!("perfEventOpen: cpu must be a 32-bit integer"))?;
        let group =
            env.int32(group_fd, text!("perfEventOpen: groupFd must be a 32-bit integer"))?;
        let flags =
            env.uint32(flags, text!("perfEventOpen: flags must be an unsigned 32-bit integer"))?;
        // SAFETY: src/kernel/linux* passes the address of a buffer that it owns.
        env.result(unsafe { syscall::perf_event_open(attributes, pid, cpu, group, flags) })
    })
}

/// `ioctl(fd, request, argument)`: ioctl(2). What is said of `bpf` holds for the argument.
extern "C" fn ioctl(env: Env, info: CallInfo) -> Value {
    env.call(info, |[fd, request, argument]| {
        let fd = env.int32(fd, text!("ioctl: fd must be a 32-bit integer"))?;
        let request =
            env.uint32(request, text!("ioctl: request must be an unsigned 32-bit integer"))?;
        let argument =
            env.size(argument, text!("ioctl: argument must be an integer from 0 to 2^53"))?;
        // SAFETY: src/kernel/linux* knows what the request takes.
        env.result(unsafe { syscall::ioctl(fd, request, argument) })
    })
}

/// `epollCreate()`: a descriptor that is readable while one of those added to it is ready.
extern "C" fn epoll_create(env: Env, info: CallInfo) -> Value {
    env.call(info, |[]| env.result(syscall::epoll_create()))
}

/// `epollAdd(epoll, fd, events)`: adds one, level triggered unless `events` says otherwise.
extern "C" fn epoll_add(env: Env, info: CallInfo) -> Value {
    env.call(info, |[epoll, fd, events]| {
        let epoll = env.int32(epoll, text!("epollAdd: epoll must be a 32-bit integer"))?;
        let fd = env.int32(fd, text!("epollAdd: fd must be a 32-bit integer"))?;
        let events =
            env.uint32(events, text!("epollAdd: events must be an unsigned 32-bit integer"))?;
        env.result(syscall::epoll_add(epoll, fd, events))
    })
}

/// Wraps a fresh mapping, or lets go of it and says that this runtime cannot.
fn present(env: Env, data: *mut c_void, length: usize) -> Result<Value, Misuse> {
    // SAFETY: a mapping of `length` bytes, not above the limit; only `finalize` unmaps it.
    match unsafe { env.external_array_buffer(data, length, finalize, length as *mut c_void) } {
        // Without its mark it cannot be unmapped early, so it is not handed out. The collector
        // finds it, and then the finalizer does its work.
        Ok(buffer) if env.tag(buffer, &MAPPED) => Ok(buffer),
        Ok(_) => env.result(-EOPNOTSUPP),
        Err(NoBuffer::Unsupported) => {
            // SAFETY: no buffer was made and no finalizer kept, so nothing refers to the mapping.
            unsafe { syscall::unmap(data, length) };
            env.result(-EOPNOTSUPP)
        }
        Err(NoBuffer::Failed) => {
            // SAFETY: no buffer was made. A finalizer may be left behind, so the addresses stay
            // reserved: if it runs it unmaps those, if not they cost nothing.
            unsafe { syscall::reserve(data, length) };
            env.result(-EOPNOTSUPP)
        }
    }
}

/// `unmap(buffer)`: ends a mapping at once; the buffer and its views become empty.
///
/// The finalizer still runs, in a later turn of the event loop, and cannot be told that it came
/// too late. Had the addresses been freed here, it would unmap whatever another thread put there
/// meanwhile. So they stay reserved, and it is always the finalizer, and only that, which frees
/// them: no record has to be kept of what was unmapped.
extern "C" fn unmap(env: Env, info: CallInfo) -> Value {
    env.call(info, |[buffer]| {
        if !env.is_array_buffer(buffer) {
            return Err(Misuse::Type(text!("unmap: buffer must be an ArrayBuffer")));
        }
        if !env.has_tag(buffer, &MAPPED) || env.is_detached(buffer) {
            return env.result(-EINVAL);
        }
        let (data, length) = env.array_buffer_info(buffer);
        if !env.detach(buffer) {
            return env.result(-EBUSY);
        }
        // SAFETY: the mark says that `map` made this mapping; it was attached to the buffer until
        // the line above, so it is still there, and now nothing in JavaScript refers to it.
        env.result(unsafe { syscall::reserve(data, length) })
    })
}

/// Called once for each buffer that [`map`] made, when nothing uses its memory any more: after
/// [`unmap`], when it is collected, or when its environment ends.
extern "C" fn finalize(_env: Env, data: *mut c_void, hint: *mut c_void) {
    // SAFETY: the addresses are still those of the mapping, or of the reservation that replaced it.
    unsafe { syscall::unmap(data, hint as usize) };
}

/// Called by Node.js once in every environment that loads the shim.
#[no_mangle]
pub extern "C" fn napi_register_module_v1(env: Env, exports: Value) -> Value {
    env.define(
        exports,
        [
            (text!("address"), address),
            (text!("bpf"), bpf),
            (text!("prepare"), prepare),
            (text!("close"), close),
            (text!("duplicate"), duplicate),
            (text!("raiseMemlock"), raise_memlock),
            (text!("map"), map),
            (text!("mapAt"), map_at),
            (text!("unmap"), unmap),
            (text!("perfEventOpen"), perf_event_open),
            (text!("ioctl"), ioctl),
            (text!("epollCreate"), epoll_create),
            (text!("epollAdd"), epoll_add),
            (text!("watch"), watch::watch),
            (text!("arm"), watch::arm),
            (text!("disarm"), watch::disarm),
            (text!("unwatch"), watch::unwatch),
        ],
    );
    exports
}

/// Called by Node.js before the above, to learn which version of Node-API to provide.
#[no_mangle]
pub extern "C" fn node_api_module_get_api_version_v1() -> i32 {
    napi::VERSION
}
