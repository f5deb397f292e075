//! Waiting for a file descriptor without a thread: libuv's poll handles on the event loop that
//! Node.js runs anyway.
//!
//! A watcher is a page of memory with a poll handle in it, and an object through which JavaScript
//! names it. It is armed for one call at a time: that is what makes waiting keep the process alive,
//! not waiting not, and a reader that does not wait not be woken, although polling is level
//! triggered. Only an armed watcher refers to JavaScript (its callback).
//!
//! Four events end a watcher, in any order: [`unwatch`], the collection of its object, the end of
//! its environment, and libuv's word that the handle is closed. The first of the former three starts
//! closing; the page is freed once libuv is done *and* no object leads to it any more.
//!
//! Declarations: `uv.h` of libuv. It is not part of Node-API, and other runtimes lack it, so its
//! symbols are weak: without them the shim still loads, and [`watch`] says `-EOPNOTSUPP`.

use crate::napi::{text, CallInfo, CleanupHook, Env, Misuse, Reference, TypeTag, Value};
use crate::syscall::{self, EBUSY, EINVAL, ENOMEM, EOPNOTSUPP};
use core::ffi::c_void;
use core::ptr::{addr_of, null_mut, read_volatile};

/// Marks the objects made by [`watch`]. The number was drawn at random.
static WATCHER: TypeTag = TypeTag { lower: 0x3be1_94d7_0c52_af86, upper: 0xe60d_7a1f_58c4_9b23 };

/// What a handle is watched for (`enum uv_poll_event`).
const UV_READABLE: i32 = 1;
const UV_WRITABLE: i32 = 2;
/// `UV_POLL` of `uv_handle_type`.
const UV_POLL: i32 = 8;

/// The memory of a watcher: the struct below, then at [`HANDLE_OFFSET`] the handle.
const PAGE_BYTES: usize = 4096;
const HANDLE_OFFSET: usize = 128;

type Handle = *mut c_void;
type PollInit = unsafe extern "C" fn(event_loop: *mut c_void, handle: Handle, fd: i32) -> i32;

extern "C" {
    fn uv_handle_size(kind: i32) -> usize;
    fn uv_poll_init(event_loop: *mut c_void, handle: Handle, fd: i32) -> i32;
    fn uv_poll_start(
        handle: Handle,
        events: i32,
        callback: extern "C" fn(Handle, status: i32, events: i32),
    ) -> i32;
    fn uv_poll_stop(handle: Handle) -> i32;
    fn uv_close(handle: Handle, callback: extern "C" fn(Handle));
    fn uv_handle_get_data(handle: Handle) -> *mut c_void;
    fn uv_handle_set_data(handle: Handle, data: *mut c_void);
}

core::arch::global_asm!(
    ".weak uv_handle_size",
    ".weak uv_poll_init",
    ".weak uv_poll_start",
    ".weak uv_poll_stop",
    ".weak uv_close",
    ".weak uv_handle_get_data",
    ".weak uv_handle_set_data",
);

/// Null where there is no libuv; the compiler would take a function to have an address.
static POLL_INIT: Option<PollInit> = Some(uv_poll_init);

/// What is known of a watcher. Only the thread of its environment ever touches it.
struct Watcher {
    env: Env,
    /// The callback; none unless armed.
    callback: Reference,
    hook: CleanupHook,
    /// The watcher's own descriptor, so that no one else can close it.
    fd: i32,
    events: i32,
    /// Whether `uv_close` was called.
    closing: bool,
    /// Whether libuv let go of the handle.
    closed: bool,
    /// Whether an object leads here.
    named: bool,
}

/// The handle behind a watcher.
fn handle_of(watcher: *mut Watcher) -> Handle {
    watcher.cast::<u8>().wrapping_add(HANDLE_OFFSET).cast()
}

/// Starts to end a watcher; nothing if that was done. Its descriptor is closed right away, which
/// libuv allows, and its callback will not be called any more.
///
/// # Safety
/// `watcher` must not have been freed.
unsafe fn begin_close(watcher: *mut Watcher) {
    // SAFETY: the page is there, and only this thread uses it.
    let state = unsafe { &mut *watcher };
    if state.closing {
        return;
    }
    state.closing = true;
    state.env.drop_reference(core::mem::replace(&mut state.callback, Reference::NONE));
    // SAFETY: the handle was initialised, and is closed only here.
    unsafe { uv_close(handle_of(watcher), on_closed) };
    syscall::close(state.fd);
}

/// Frees the page if nobody needs it any more.
///
/// # Safety
/// `watcher` must not have been freed.
unsafe fn free_if_unused(watcher: *mut Watcher) {
    // SAFETY: see above.
    if unsafe { (*watcher).closed && !(*watcher).named } {
        // SAFETY: libuv is done with the handle, and no object has the address.
        unsafe { syscall::unmap(watcher.cast(), PAGE_BYTES) };
    }
}

extern "C" fn on_closed(handle: Handle) {
    // SAFETY: the address was put there by `watch`, and the page is freed only after this.
    unsafe {
        let watcher = uv_handle_get_data(handle).cast::<Watcher>();
        (*watcher).closed = true;
        // An environment that ends waits for this.
        (*watcher).hook.remove();
        free_if_unused(watcher);
    }
}

/// The environment ends. Removed by [`on_closed`], so the watcher is there.
extern "C" fn on_environment_end(_hook: CleanupHook, watcher: *mut c_void) {
    // SAFETY: see above.
    unsafe { begin_close(watcher.cast()) };
}

/// The object was collected, or its environment ended.
extern "C" fn on_collected(_env: Env, watcher: *mut c_void, _hint: *mut c_void) {
    let watcher = watcher.cast::<Watcher>();
    // SAFETY: while `named` the page stays.
    unsafe {
        (*watcher).named = false;
        begin_close(watcher);
        free_if_unused(watcher);
    }
}

/// The descriptor is ready, or cannot be polled any more; finding out is up to the callback.
extern "C" fn on_ready(handle: Handle, _status: i32, _events: i32) {
    // SAFETY: libuv calls this only between `uv_poll_start` and `uv_poll_stop` or `uv_close`.
    let (env, callback) = unsafe {
        uv_poll_stop(handle);
        let watcher = uv_handle_get_data(handle).cast::<Watcher>();
        ((*watcher).env, core::mem::replace(&mut (*watcher).callback, Reference::NONE))
    };
    // Nothing of the watcher is used from here on: the callback may end it.
    env.call_back(callback);
}

/// `watch(fd, events)`: a watcher, not armed, for its own copy of the descriptor; or `-errno`.
pub extern "C" fn watch(env: Env, info: CallInfo) -> Value {
    env.call(info, |[fd, events]| {
        let fd = env.int32(fd, text!("watch: fd must be a 32-bit integer"))?;
        let events = env.int32(events, text!("watch: events must be an integer"))?;
        if events != UV_READABLE && events != UV_WRITABLE {
            return Err(Misuse::Range(text!("watch: events must be 1 (readable) or 2 (writable)")));
        }
        // SAFETY: a static.
        if unsafe { read_volatile(addr_of!(POLL_INIT)) }.is_none() {
            return env.result(-EOPNOTSUPP);
        }
        let own = syscall::duplicate(fd);
        if own < 0 {
            return env.result(own);
        }
        #[allow(clippy::cast_possible_truncation)]
        let own = own as i32;
        create(env, own, events).or_else(|errno| {
            syscall::close(own);
            env.result(errno)
        })
    })
}

/// Makes a watcher that owns `fd`; if that fails, nothing is left but the descriptor.
fn create(env: Env, fd: i32, events: i32) -> Result<Value, isize> {
    let event_loop = env.event_loop();
    // SAFETY: there is a libuv. It says how much memory a handle takes.
    let handle_bytes = unsafe { uv_handle_size(UV_POLL) };
    if event_loop.is_null() || handle_bytes > PAGE_BYTES - HANDLE_OFFSET {
        return Err(-EOPNOTSUPP);
    }
    let page = syscall::allocate(PAGE_BYTES);
    if page < 0 {
        return Err(-ENOMEM);
    }
    let watcher = page as *mut Watcher;
    let handle = handle_of(watcher);
    // SAFETY: fresh memory, aligned to a page, large enough for both.
    let status = unsafe {
        watcher.write(Watcher {
            env,
            callback: Reference::NONE,
            hook: CleanupHook::NONE,
            fd,
            events,
            closing: false,
            closed: false,
            named: false,
        });
        uv_poll_init(event_loop, handle, fd)
    };
    if status < 0 {
        // SAFETY: libuv has not taken the handle in.
        unsafe { syscall::unmap(watcher.cast(), PAGE_BYTES) };
        return Err(status as isize);
    }
    // SAFETY: the handle is initialised, and belongs to this watcher.
    unsafe {
        uv_handle_set_data(handle, watcher.cast());
        (*watcher).hook = env.add_cleanup_hook(on_environment_end, watcher.cast());
    }
    name(env, watcher)
}

/// Makes the object for a watcher. Without one, or without a hook, nobody could end it in time.
fn name(env: Env, watcher: *mut Watcher) -> Result<Value, isize> {
    let object = env.object();
    // SAFETY: the watcher is there.
    unsafe {
        if (*watcher).hook.is_some() && env.tag(object, &WATCHER) {
            // Before: from here on the finalizer may run.
            (*watcher).named = true;
            if env.wrap(object, watcher.cast(), on_collected) {
                return Ok(object);
            }
            (*watcher).named = false;
        }
        // The descriptor is the caller's to close if this fails.
        (*watcher).fd = -1;
        begin_close(watcher);
    }
    Err(-EOPNOTSUPP)
}

/// The watcher that an object names; null if it was ended.
fn watcher_of(
    env: Env,
    object: Value,
    complaint: crate::napi::Text,
) -> Result<*mut Watcher, Misuse> {
    if env.is_object(object) && env.has_tag(object, &WATCHER) {
        Ok(env.unwrap(object).cast())
    } else {
        Err(Misuse::Type(complaint))
    }
}

/// `arm(watcher, callback)`: calls back once, when the descriptor is ready; until then the process
/// stays. `-EBUSY` if it is armed already, `-EINVAL` if it was ended.
pub extern "C" fn arm(env: Env, info: CallInfo) -> Value {
    env.call(info, |[object, callback]| {
        let watcher = watcher_of(env, object, text!("arm: watcher must come from watch"))?;
        if !env.is_function(callback) {
            return Err(Misuse::Type(text!("arm: callback must be a function")));
        }
        if watcher.is_null() {
            return env.result(-EINVAL);
        }
        // SAFETY: while the object names the watcher it is there.
        let state = unsafe { &mut *watcher };
        if state.closing {
            return env.result(-EINVAL);
        }
        if state.callback.is_some() {
            return env.result(-EBUSY);
        }
        state.callback = env.reference(callback);
        if !state.callback.is_some() {
            return env.result(-ENOMEM);
        }
        // SAFETY: the handle is initialised and not closing.
        let status = unsafe { uv_poll_start(handle_of(watcher), state.events, on_ready) };
        if status < 0 {
            env.drop_reference(core::mem::replace(&mut state.callback, Reference::NONE));
        }
        env.result(status as isize)
    })
}

/// `disarm(watcher)`: the callback is not called any more; nothing if there is none.
pub extern "C" fn disarm(env: Env, info: CallInfo) -> Value {
    env.call(info, |[object]| {
        let watcher = watcher_of(env, object, text!("disarm: watcher must come from watch"))?;
        if watcher.is_null() {
            return env.result(-EINVAL);
        }
        // SAFETY: while the object names the watcher it is there.
        let state = unsafe { &mut *watcher };
        if state.callback.is_some() && !state.closing {
            env.drop_reference(core::mem::replace(&mut state.callback, Reference::NONE));
            // SAFETY: the handle is initialised and not closing.
            unsafe { uv_poll_stop(handle_of(watcher)) };
        }
        env.result(0)
    })
}

/// `unwatch(watcher)`: ends it. `-EINVAL` if that was done.
pub extern "C" fn unwatch(env: Env, info: CallInfo) -> Value {
    env.call(info, |[object]| {
        let watcher = watcher_of(env, object, text!("unwatch: watcher must come from watch"))?;
        if watcher.is_null() {
            return env.result(-EINVAL);
        }
        env.remove_wrap(object);
        on_collected(env, watcher.cast(), null_mut());
        env.result(0)
    })
}
