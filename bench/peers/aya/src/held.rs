//! The memory that the C library's heap holds, in bytes: of an open object, or of the kernel's BTF.
//!
//! usage: aya held SAMPLES SAMPLE_MS WARM_UP_MS object OBJECT COUNT
//!        aya held SAMPLES SAMPLE_MS WARM_UP_MS kernel-btf NAMES
//!
//! Nothing is timed. Of an object, COUNT are opened, and the heap is divided by that.

use crate::measure::{fail, must, Measurement};
use crate::{kernel_btf, open};

fn heap_bytes() -> usize {
    // SAFETY: it takes nothing.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

pub fn run(arguments: &[&str]) {
    let facts = match arguments {
        ["object", path, count] => held_by_objects(path, must("reading COUNT", count.parse())),
        ["kernel-btf", names] => held_by_kernel_btf(names),
        _ => fail("reading object OBJECT COUNT|kernel-btf NAMES", "arguments"),
    };
    Measurement::default().print(&facts);
}

fn held_by_objects(path: &str, count: usize) -> Vec<(&'static str, String)> {
    let bytes = open::read_whole(path);
    let mut objects = Vec::with_capacity(count);
    let before = heap_bytes();
    objects.extend((0..count).map(|_| open::open(&bytes)));
    let held = heap_bytes() - before;
    let mut facts = open::facts(&objects[0]);
    facts.push(("heapBytes", (held / count).to_string()));
    facts
}

fn held_by_kernel_btf(path: &str) -> Vec<(&'static str, String)> {
    let names = kernel_btf::read_names(path);
    let before = heap_bytes();
    let btf = kernel_btf::open();
    let opened = heap_bytes() - before;
    kernel_btf::find_all(&btf, &names[..1]);
    let one = heap_bytes() - before;
    let ids = kernel_btf::find_all(&btf, &names);
    let found = heap_bytes() - before;
    let mut facts = kernel_btf::facts(btf, &ids);
    facts.push(("openedHeapBytes", opened.to_string()));
    facts.push(("oneHeapBytes", one.to_string()));
    facts.push(("foundHeapBytes", found.to_string()));
    facts
}
