//! Opens an object: aya_obj::Object::parse.
//!
//! usage: aya open SAMPLES SAMPLE_MS WARM_UP_MS OBJECT

use aya_obj::Object;

use crate::measure::{fail, measure, must, Plan};

pub fn read_whole(path: &str) -> Vec<u8> {
    must(path, std::fs::read(path))
}

pub fn open(bytes: &[u8]) -> Object {
    must("Object::parse", Object::parse(bytes))
}

pub fn facts(object: &Object) -> Vec<(&'static str, String)> {
    let instructions: usize = object
        .programs
        .values()
        .map(|program| object.functions[&program.function_key()].instructions.len())
        .sum();
    let value_bytes: u64 = object
        .maps
        .values()
        .map(|map| u64::from(map.value_size()))
        .sum();
    vec![
        ("maps", object.maps.len().to_string()),
        ("programs", object.programs.len().to_string()),
        ("instructions", instructions.to_string()),
        ("valueBytes", value_bytes.to_string()),
    ]
}

pub fn run(plan: Plan, arguments: &[&str]) {
    let [path] = arguments else {
        fail("reading OBJECT", "one argument");
    };
    let bytes = read_whole(path);
    let measurement = measure(
        &mut || {
            let object = open(&bytes);
            (object.maps.len() + object.programs.len()) as u64
        },
        plan,
    );
    measurement.print(&facts(&open(&bytes)));
}
