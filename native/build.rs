//! Linker options of the shim. Cargo has no place for them in Cargo.toml.

fn main() {
    for option in [
        // No C runtime and no libraries: without a NEEDED entry the same file loads under glibc and
        // musl, whatever their version. What is left undefined (`napi_*`) binds to the executable.
        "-nostartfiles",
        "-nodefaultlibs",
        // Node.js unloads an addon when the last environment that loaded it ends. A finalizer that
        // is still queued then would run code that is gone, so the library stays mapped.
        "-Wl,-z,nodelete",
        // Less padding between the segments: 4 KiB with GNU ld.
        "-Wl,-z,noseparate-code",
        "-Wl,--build-id=none",
    ] {
        println!("cargo:rustc-cdylib-link-arg={option}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
