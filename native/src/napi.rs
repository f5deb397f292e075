//! Safe wrappers for the part of Node-API that the shim uses.

mod declarations;

use core::ffi::c_void;
use core::ptr::{addr_of, addr_of_mut, null, null_mut};

#[allow(clippy::wildcard_imports)]
use declarations::*;
pub use declarations::{
    CallInfo, Callback, CleanupCallback, CleanupHook, Env, Finalizer, Reference, TypeTag, Value,
};

/// The Node-API version that the shim asks for: 8 has all it needs (the type tags being the
/// newest), and Node.js 20 crashes on a number it does not know.
pub const VERSION: i32 = 8;

/// The `code` of every error thrown here.
const MISUSE: Text = text!("ERR_SKEP_ARGUMENT");

/// The largest integer up to which every one is exact as a double: `2^53`.
const LARGEST_EXACT: u64 = 1 << 53;

/// A string as C wants it, ending in a zero byte. Made by [`text!`].
#[derive(Clone, Copy)]
pub struct Text(&'static str);

impl Text {
    pub const fn new(terminated: &'static str) -> Self {
        let bytes = terminated.as_bytes();
        assert!(bytes[bytes.len() - 1] == 0);
        Text(terminated)
    }

    fn as_ptr(self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// A [`Text`] from a literal, checked while compiling.
macro_rules! text {
    ($literal:literal) => {{
        const TEXT: $crate::napi::Text = $crate::napi::Text::new(concat!($literal, "\0"));
        TEXT
    }};
}
pub(crate) use text;

/// Why a call was refused before anything was done; becomes a JavaScript exception.
pub enum Misuse {
    Type(Text),
    Range(Text),
}

/// Why no external `ArrayBuffer` came to be.
pub enum NoBuffer {
    /// This runtime has none. The finalizer will not be called.
    Unsupported,
    /// Anything else, say that the environment is being torn down. The finalizer may or may not be
    /// called later; it has not been called yet.
    Failed,
}

impl Value {
    /// "No value": JavaScript sees `undefined`, or the pending exception if there is one.
    const NONE: Value = Value(null_mut());
}

impl Reference {
    pub const NONE: Reference = Reference(null_mut());

    pub fn is_some(&self) -> bool {
        !self.0.is_null()
    }
}

impl CleanupHook {
    pub const NONE: CleanupHook = CleanupHook(null_mut());

    pub fn is_some(self) -> bool {
        !self.0.is_null()
    }

    /// The hook need not be called any more; if it was, the environment may go on ending.
    ///
    /// # Safety
    /// Once for each hook that was added.
    pub unsafe fn remove(self) {
        if self.is_some() {
            // SAFETY: passed on to the caller.
            unsafe { napi_remove_async_cleanup_hook(self) };
        }
    }
}

// SAFETY (all unsafe blocks below): an `Env` comes from Node.js and is used within the callback
// that it was handed to, on that thread; `Value`s likewise. Node-API checks the kind of every value
// itself and answers with a status. Result pointers are to locals, which the functions fill only
// when they return OK, so each is initialised with what the wrapper returns otherwise.
impl Env {
    /// Runs `body` on the first `N` arguments (`undefined` where there are fewer), and throws what
    /// it refuses.
    #[inline]
    pub fn call<const N: usize>(
        self,
        info: CallInfo,
        body: impl FnOnce([Value; N]) -> Result<Value, Misuse>,
    ) -> Value {
        let mut count = N;
        let mut arguments = [Value::NONE; N];
        // SAFETY: see above; `count` says how many values fit. Were this to fail, the arguments
        // would stay NONE, which every getter refuses.
        unsafe {
            napi_get_cb_info(
                self,
                info,
                addr_of_mut!(count),
                arguments.as_mut_ptr(),
                null_mut(),
                null_mut(),
            );
        }
        body(arguments).unwrap_or_else(|misuse| self.throw(&misuse))
    }

    /// A function that has no name, and data of its own. Should that fail, an exception is pending.
    pub fn function(self, callback: Callback, data: *mut c_void) -> Value {
        let mut function = Value::NONE;
        // SAFETY: see above; there is no name to read.
        unsafe {
            napi_create_function(self, null(), 0, callback, data, addr_of_mut!(function));
        }
        function
    }

    /// The data of the [`Self::function`] that is called.
    #[inline]
    pub fn function_data(self, info: CallInfo) -> *mut c_void {
        let mut data = null_mut();
        // SAFETY: see above; what is not asked for may be null.
        unsafe {
            napi_get_cb_info(self, info, null_mut(), null_mut(), null_mut(), addr_of_mut!(data));
        }
        data
    }

    #[cold]
    fn throw(self, misuse: &Misuse) -> Value {
        // SAFETY: see above; a `Text` ends in a zero byte. The status is of no use: it can only
        // say that another exception is pending already.
        unsafe {
            match misuse {
                Misuse::Type(text) => napi_throw_type_error(self, MISUSE.as_ptr(), text.as_ptr()),
                Misuse::Range(text) => napi_throw_range_error(self, MISUSE.as_ptr(), text.as_ptr()),
            };
        }
        Value::NONE
    }

    /// A number, not converted from anything else; NaN stands for everything that is none.
    ///
    /// The integer getters of Node-API are not used: they truncate and wrap without a word.
    #[inline]
    fn double(self, value: Value) -> f64 {
        let mut result = f64::NAN;
        // SAFETY: see above.
        unsafe { napi_get_value_double(self, value, addr_of_mut!(result)) };
        result
    }

    /// An argument that must be an integer from `-2^31` to `2^31 - 1`.
    #[inline]
    pub fn int32(self, value: Value, complaint: Text) -> Result<i32, Misuse> {
        let number = self.double(value);
        // Casts saturate and make NaN 0; the way back tells whether the number survived exactly.
        #[allow(clippy::cast_possible_truncation)]
        let integer = number as i32;
        #[allow(clippy::float_cmp)]
        if f64::from(integer) == number {
            Ok(integer)
        } else {
            Err(Misuse::Type(complaint))
        }
    }

    /// An argument that must be an integer from 0 to `2^32 - 1`.
    #[inline]
    pub fn uint32(self, value: Value, complaint: Text) -> Result<u32, Misuse> {
        let number = self.double(value);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let integer = number as u32;
        #[allow(clippy::float_cmp)]
        if f64::from(integer) == number {
            Ok(integer)
        } else {
            Err(Misuse::Type(complaint))
        }
    }

    /// An argument that must be an integer from 0 to `2^53`: an address, a length, an offset.
    #[inline]
    pub fn size(self, value: Value, complaint: Text) -> Result<usize, Misuse> {
        let number = self.double(value);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let integer = number as usize;
        #[allow(clippy::float_cmp, clippy::cast_precision_loss)]
        if integer as f64 == number && integer as u64 <= LARGEST_EXACT {
            Ok(integer)
        } else {
            Err(Misuse::Type(complaint))
        }
    }

    /// What a system call returned, as a number: they all return 32 bits, addresses excepted.
    #[inline]
    pub fn number(self, result: isize) -> Value {
        let mut value = Value::NONE;
        #[allow(clippy::cast_possible_truncation)]
        let result = result as i32;
        // SAFETY: see above.
        unsafe { napi_create_int32(self, result, addr_of_mut!(value)) };
        value
    }

    /// [`Self::number`] at the end of the body of a call.
    #[inline]
    #[allow(clippy::unnecessary_wraps)]
    pub fn result(self, result: isize) -> Result<Value, Misuse> {
        Ok(self.number(result))
    }

    /// An address as a number, exact: user space ends far below `2^53`.
    #[allow(clippy::unnecessary_wraps)] // so that it can end the body of a call
    pub fn address(self, address: *mut c_void) -> Result<Value, Misuse> {
        let mut value = Value::NONE;
        #[allow(clippy::cast_precision_loss)]
        let address = address as usize as f64;
        // SAFETY: see above.
        unsafe { napi_create_double(self, address, addr_of_mut!(value)) };
        Ok(value)
    }

    /// Whether this is an `ArrayBuffer`. A `SharedArrayBuffer` is not; [`Self::array_buffer_info`]
    /// is no substitute, for newer versions of Node.js accept those there.
    pub fn is_array_buffer(self, value: Value) -> bool {
        let mut result = false;
        // SAFETY: see above.
        unsafe { napi_is_arraybuffer(self, value, addr_of_mut!(result)) };
        result
    }

    pub fn is_detached(self, buffer: Value) -> bool {
        let mut result = false;
        // SAFETY: see above.
        unsafe { napi_is_detached_arraybuffer(self, buffer, addr_of_mut!(result)) };
        result
    }

    /// Takes the memory away from `buffer`, which becomes empty, and all views with it.
    pub fn detach(self, buffer: Value) -> bool {
        // SAFETY: see above.
        unsafe { napi_detach_arraybuffer(self, buffer) == OK }
    }

    /// The address and the length in bytes of an `ArrayBuffer`.
    pub fn array_buffer_info(self, buffer: Value) -> (*mut c_void, usize) {
        let mut data = null_mut();
        let mut length = 0;
        // SAFETY: see above.
        unsafe {
            napi_get_arraybuffer_info(self, buffer, addr_of_mut!(data), addr_of_mut!(length));
        }
        (data, length)
    }

    /// An `ArrayBuffer` over memory that is not JavaScript's, and the finalizer that gets `data` and
    /// `hint` once nothing uses the memory any more.
    ///
    /// # Safety
    /// `data` must be the address of `length` bytes, at most 4 GiB (beyond what the runtime allows
    /// it calls the finalizer before it fails), that stay valid until the finalizer is called.
    pub unsafe fn external_array_buffer(
        self,
        data: *mut c_void,
        length: usize,
        finalizer: Finalizer,
        hint: *mut c_void,
    ) -> Result<Value, NoBuffer> {
        let mut value = Value::NONE;
        // SAFETY: see above, and passed on to the caller.
        let status = unsafe {
            napi_create_external_arraybuffer(
                self,
                data,
                length,
                finalizer,
                hint,
                addr_of_mut!(value),
            )
        };
        match status {
            OK => Ok(value),
            NO_EXTERNAL_BUFFERS_ALLOWED => Err(NoBuffer::Unsupported),
            _ => Err(NoBuffer::Failed),
        }
    }

    pub fn tag(self, object: Value, tag: &TypeTag) -> bool {
        // SAFETY: see above.
        unsafe { napi_type_tag_object(self, object, addr_of!(*tag)) == OK }
    }

    pub fn has_tag(self, object: Value, tag: &TypeTag) -> bool {
        let mut result = false;
        // SAFETY: see above.
        unsafe { napi_check_object_type_tag(self, object, addr_of!(*tag), addr_of_mut!(result)) };
        result
    }

    fn type_of(self, value: Value) -> i32 {
        let mut result = -1;
        // SAFETY: see above.
        unsafe { napi_typeof(self, value, addr_of_mut!(result)) };
        result
    }

    pub fn is_object(self, value: Value) -> bool {
        self.type_of(value) == OBJECT
    }

    pub fn is_function(self, value: Value) -> bool {
        self.type_of(value) == FUNCTION
    }

    /// An empty object.
    pub fn object(self) -> Value {
        let mut value = Value::NONE;
        // SAFETY: see above.
        unsafe { napi_create_object(self, addr_of_mut!(value)) };
        value
    }

    /// Hides `data` in an object. The finalizer is called once, when the object is collected or the
    /// environment ends, unless [`Self::remove_wrap`] comes first.
    pub fn wrap(self, object: Value, data: *mut c_void, finalizer: Finalizer) -> bool {
        // SAFETY: see above.
        unsafe { napi_wrap(self, object, data, finalizer, null_mut(), null_mut()) == OK }
    }

    /// What is hidden in an object; null if there is nothing.
    pub fn unwrap(self, object: Value) -> *mut c_void {
        let mut data = null_mut();
        // SAFETY: see above.
        unsafe { napi_unwrap(self, object, addr_of_mut!(data)) };
        data
    }

    pub fn remove_wrap(self, object: Value) {
        let mut data = null_mut();
        // SAFETY: see above.
        unsafe { napi_remove_wrap(self, object, addr_of_mut!(data)) };
    }

    /// Keeps a value alive until [`Self::drop_reference`].
    pub fn reference(self, value: Value) -> Reference {
        let mut reference = Reference::NONE;
        // SAFETY: see above.
        unsafe { napi_create_reference(self, value, 1, addr_of_mut!(reference)) };
        reference
    }

    pub fn drop_reference(self, reference: Reference) {
        if reference.is_some() {
            // SAFETY: it was made in this environment, and is used up here.
            unsafe { napi_delete_reference(self, reference) };
        }
    }

    /// libuv's event loop of this environment; null if there is none.
    pub fn event_loop(self) -> *mut c_void {
        let mut event_loop = null_mut();
        // SAFETY: see above.
        unsafe { napi_get_uv_event_loop(self, addr_of_mut!(event_loop)) };
        event_loop
    }

    /// Asks to be called when the environment ends, which then waits for [`CleanupHook::remove`].
    pub fn add_cleanup_hook(self, callback: CleanupCallback, data: *mut c_void) -> CleanupHook {
        let mut hook = CleanupHook::NONE;
        // SAFETY: see above.
        unsafe { napi_add_async_cleanup_hook(self, callback, data, addr_of_mut!(hook)) };
        hook
    }

    /// Calls a function from the event loop, without arguments, and what it queued (microtasks).
    /// What it throws is an uncaught exception, as from any callback of Node.js.
    pub fn call_back(self, callback: Reference) {
        let mut scope = Scope(null_mut());
        let (mut this, mut function, mut result) = (Value::NONE, Value::NONE, Value::NONE);
        // SAFETY: the thread is that of the environment, and the scope holds the values made here.
        unsafe {
            if napi_open_handle_scope(self, addr_of_mut!(scope)) != OK {
                self.drop_reference(callback);
                return;
            }
            napi_get_reference_value(self, callback.0, addr_of_mut!(function));
            self.drop_reference(callback);
            napi_get_global(self, addr_of_mut!(this));
            let status = napi_make_callback(
                self,
                null_mut(),
                this,
                function,
                0,
                null_mut(),
                addr_of_mut!(result),
            );
            // Left alone it would be thrown out of the next call that has nothing to do with it.
            if status == PENDING_EXCEPTION
                && napi_get_and_clear_last_exception(self, addr_of_mut!(result)) == OK
            {
                napi_fatal_exception(self, result);
            }
            napi_close_handle_scope(self, scope);
        }
    }

    /// Adds functions to an object. Should that fail, an exception is pending.
    pub fn define<const N: usize>(self, object: Value, functions: [(Text, Callback); N]) {
        let properties = functions.map(|(name, method)| PropertyDescriptor {
            name: name.as_ptr(),
            name_value: Value::NONE,
            method: Some(method),
            getter: None,
            setter: None,
            value: Value::NONE,
            attributes: ENUMERABLE,
            data: null_mut(),
        });
        // SAFETY: see above; Node-API copies the descriptors.
        unsafe { napi_define_properties(self, object, N, properties.as_ptr()) };
    }
}

/// There is nowhere to unwind to: say where it happened and abort, as Node.js does itself.
///
/// The optimiser shows that no code here can panic and drops this; it is the compiler's demand and
/// the safety net for the next change.
#[cfg(not(test))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let file = info.location().map_or("", |location| location.file());
    let message = "skep: the native shim panicked";
    // SAFETY: two strings with their lengths; may be called at any time and does not return.
    unsafe { napi_fatal_error(file.as_ptr(), file.len(), message.as_ptr(), message.len()) }
}
