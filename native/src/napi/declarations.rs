//! Node-API as its headers declare it: `js_native_api.h`, `js_native_api_types.h` and `node_api.h` of
//! Node.js. It is a stable C ABI, so there is nothing to generate and no crate to depend on.

use core::ffi::c_void;

pub(super) type Status = i32;
pub(super) const OK: Status = 0;
pub(super) const PENDING_EXCEPTION: Status = 10;
pub(super) const NO_EXTERNAL_BUFFERS_ALLOWED: Status = 22;

/// Of `napi_valuetype`.
pub(super) const OBJECT: i32 = 6;
pub(super) const FUNCTION: i32 = 7;

/// The exports can be listed, but not replaced.
pub(super) const ENUMERABLE: i32 = 1 << 1;

/// `napi_env`: the environment (main thread or worker) that a call comes from. Handed out by
/// Node.js to a callback and valid until that returns, which is as long as the shim ever keeps it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Env(pub(super) *mut c_void);

/// `napi_value`: a JavaScript value, valid until the callback returns.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Value(pub(super) *mut c_void);

/// `napi_callback_info`: where the arguments of a call are found.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct CallInfo(pub(super) *mut c_void);

pub type Callback = extern "C" fn(Env, CallInfo) -> Value;
pub type Finalizer = extern "C" fn(Env, data: *mut c_void, hint: *mut c_void);
pub type CleanupCallback = extern "C" fn(CleanupHook, data: *mut c_void);

/// `napi_ref`: keeps a value alive beyond the callback.
#[repr(transparent)]
pub struct Reference(pub(super) *mut c_void);

/// `napi_async_cleanup_hook_handle`: what an environment that ends waits for.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct CleanupHook(pub(super) *mut c_void);

/// `napi_handle_scope`: how long values live where no JavaScript called.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Scope(pub(super) *mut c_void);

/// `napi_type_tag`: 128 random bits that mark objects as made by one addon. JavaScript can neither
/// read, copy nor forge the mark.
#[repr(C)]
pub struct TypeTag {
    pub lower: u64,
    pub upper: u64,
}

/// `napi_property_descriptor`.
#[repr(C)]
pub(super) struct PropertyDescriptor {
    pub(super) name: *const u8,
    pub(super) name_value: Value,
    pub(super) method: Option<Callback>,
    pub(super) getter: Option<Callback>,
    pub(super) setter: Option<Callback>,
    pub(super) value: Value,
    pub(super) attributes: i32,
    pub(super) data: *mut c_void,
}

extern "C" {
    pub(super) fn napi_get_cb_info(
        env: Env,
        info: CallInfo,
        count: *mut usize,
        arguments: *mut Value,
        this: *mut Value,
        data: *mut *mut c_void,
    ) -> Status;
    pub(super) fn napi_create_function(
        env: Env,
        name: *const u8,
        name_length: usize,
        callback: Callback,
        data: *mut c_void,
        result: *mut Value,
    ) -> Status;
    pub(super) fn napi_get_value_double(env: Env, value: Value, result: *mut f64) -> Status;
    pub(super) fn napi_create_int32(env: Env, value: i32, result: *mut Value) -> Status;
    pub(super) fn napi_create_double(env: Env, value: f64, result: *mut Value) -> Status;
    pub(super) fn napi_is_arraybuffer(env: Env, value: Value, result: *mut bool) -> Status;
    pub(super) fn napi_is_detached_arraybuffer(env: Env, value: Value, result: *mut bool)
        -> Status;
    pub(super) fn napi_detach_arraybuffer(env: Env, value: Value) -> Status;
    pub(super) fn napi_get_arraybuffer_info(
        env: Env,
        value: Value,
        data: *mut *mut c_void,
        length: *mut usize,
    ) -> Status;
    pub(super) fn napi_create_external_arraybuffer(
        env: Env,
        data: *mut c_void,
        length: usize,
        finalizer: Finalizer,
        hint: *mut c_void,
        result: *mut Value,
    ) -> Status;
    pub(super) fn napi_type_tag_object(env: Env, object: Value, tag: *const TypeTag) -> Status;
    pub(super) fn napi_check_object_type_tag(
        env: Env,
        object: Value,
        tag: *const TypeTag,
        result: *mut bool,
    ) -> Status;
    pub(super) fn napi_typeof(env: Env, value: Value, result: *mut i32) -> Status;
    pub(super) fn napi_create_object(env: Env, result: *mut Value) -> Status;
    pub(super) fn napi_wrap(
        env: Env,
        object: Value,
        data: *mut c_void,
        finalizer: Finalizer,
        hint: *mut c_void,
        result: *mut Reference,
    ) -> Status;
    pub(super) fn napi_unwrap(env: Env, object: Value, result: *mut *mut c_void) -> Status;
    pub(super) fn napi_remove_wrap(env: Env, object: Value, result: *mut *mut c_void) -> Status;
    pub(super) fn napi_create_reference(
        env: Env,
        value: Value,
        count: u32,
        result: *mut Reference,
    ) -> Status;
    pub(super) fn napi_delete_reference(env: Env, reference: Reference) -> Status;
    pub(super) fn napi_get_reference_value(
        env: Env,
        reference: *mut c_void,
        result: *mut Value,
    ) -> Status;
    pub(super) fn napi_open_handle_scope(env: Env, result: *mut Scope) -> Status;
    pub(super) fn napi_close_handle_scope(env: Env, scope: Scope) -> Status;
    pub(super) fn napi_get_global(env: Env, result: *mut Value) -> Status;
    pub(super) fn napi_make_callback(
        env: Env,
        context: *mut c_void,
        this: Value,
        function: Value,
        count: usize,
        arguments: *const Value,
        result: *mut Value,
    ) -> Status;
    pub(super) fn napi_get_and_clear_last_exception(env: Env, result: *mut Value) -> Status;
    pub(super) fn napi_fatal_exception(env: Env, exception: Value) -> Status;
    pub(super) fn napi_get_uv_event_loop(env: Env, result: *mut *mut c_void) -> Status;
    pub(super) fn napi_add_async_cleanup_hook(
        env: Env,
        callback: CleanupCallback,
        data: *mut c_void,
        result: *mut CleanupHook,
    ) -> Status;
    pub(super) fn napi_remove_async_cleanup_hook(hook: CleanupHook) -> Status;
    pub(super) fn napi_define_properties(
        env: Env,
        object: Value,
        count: usize,
        properties: *const PropertyDescriptor,
    ) -> Status;
    pub(super) fn napi_throw_type_error(env: Env, code: *const u8, message: *const u8) -> Status;
    pub(super) fn napi_throw_range_error(env: Env, code: *const u8, message: *const u8) -> Status;
    #[cfg(not(test))]
    pub(super) fn napi_fatal_error(
        location: *const u8,
        location_length: usize,
        message: *const u8,
        message_length: usize,
    ) -> !;
}
