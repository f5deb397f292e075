//! The peer in Rust: aya. One program for all suites, since they share the library.
//!
//! usage: aya SUITE SAMPLES SAMPLE_MS WARM_UP_MS ARGUMENT...
//!
//! Each suite is in a file of its own, which says what its arguments are.

mod entries;
mod held;
mod kernel_btf;
mod load;
mod map_ops;
mod measure;
mod open;
mod ring;
mod system_calls;

use measure::{fail, Plan};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [suite, samples, sample_ms, warm_up_ms, rest @ ..] = arguments.as_slice() else {
        fail(
            "reading SUITE SAMPLES SAMPLE_MS WARM_UP_MS",
            "too few arguments",
        );
    };
    let plan = Plan::read(samples, sample_ms, warm_up_ms);
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match suite.as_str() {
        "open" => open::run(plan, &rest),
        "kernel-btf" => kernel_btf::run(plan, &rest),
        "map-ops" => map_ops::run(plan, &rest),
        "maps-of-maps" => load::run_maps_of_maps(plan, &rest),
        "programs" => load::run_programs(plan, &rest),
        "ring" => ring::run(plan, &rest),
        "held" => held::run(&rest),
        _ => fail("reading SUITE", suite),
    }
}
