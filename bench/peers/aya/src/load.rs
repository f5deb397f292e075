//! Opens, loads and closes objects: EbpfLoader::load, and each program's load.
//!
//! usage: aya programs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT whole|outside
//!        aya maps-of-maps SAMPLES SAMPLE_MS WARM_UP_MS load OBJECT MAP
//!        aya maps-of-maps SAMPLES SAMPLE_MS WARM_UP_MS insert OBJECT MAP
//!
//! `outside` leaves the time out that is spent in bpf(2). `load` counts the filled slots of MAP, an array
//! of maps. `insert` creates an inner map, puts it into a slot of MAP, reads the slot back, and asks the
//! map that it finds there for a value.

use aya::maps::{Array, ArrayOfMaps, MapData};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};

use crate::measure::{fail, measure, must, Plan};
use crate::open::read_whole;
use crate::system_calls::leave_bpf_out;

/// The program types of the inputs.
fn load_program(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SocketFilter(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        other => fail("loading", format!("{:?}", other.prog_type())),
    }
}

/// A loader reads the kernel's BTF when it is made, and keeps it: the first load makes it, and those that
/// follow use it again.
#[derive(Default)]
struct Loader(Option<EbpfLoader<'static>>);

impl Loader {
    fn load(&mut self, bytes: &[u8]) -> Ebpf {
        let loader = self.0.get_or_insert_with(EbpfLoader::new);
        load_all(must("EbpfLoader::load", loader.load(bytes)))
    }
}

fn load_all(mut object: Ebpf) -> Ebpf {
    for (name, program) in object.programs_mut() {
        must(name, load_program(program));
    }
    object
}

pub fn run_programs(plan: Plan, arguments: &[&str]) {
    let [path, mode] = arguments else {
        fail("reading OBJECT whole|outside", "two arguments");
    };
    if *mode == "outside" {
        leave_bpf_out();
    }
    let bytes = read_whole(path);
    let mut loader = Loader::default();
    let measurement = measure(&mut || loader.load(&bytes).programs().count() as u64, plan);
    let loaded = loader
        .load(&bytes)
        .programs()
        .filter(|(_, program)| program.fd().is_ok())
        .count();
    measurement.print(&[("programs", loaded.to_string())]);
}

type Outer<T> = ArrayOfMaps<T, Array<MapData, u64>>;

pub fn run_maps_of_maps(plan: Plan, arguments: &[&str]) {
    let [mode, path, name] = arguments else {
        fail("reading load|insert OBJECT MAP", "three arguments");
    };
    let bytes = read_whole(path);
    if *mode == "insert" {
        run_insert(plan, &bytes, name);
        return;
    }
    let mut loader = Loader::default();
    let measurement = measure(&mut || loader.load(&bytes).maps().count() as u64, plan);
    let mut object = loader.load(&bytes);
    let outer: Outer<_> = must(name, take(&mut object, name));
    let filled = (0..outer.len()).filter(|slot| outer.get(slot, 0).is_ok());
    measurement.print(&[("slots", filled.count().to_string())]);
}

fn take(object: &mut Ebpf, name: &str) -> Result<Outer<MapData>, aya::maps::MapError> {
    match object.take_map(name) {
        Some(map) => map.try_into(),
        None => fail("finding", name),
    }
}

const INSERT_VALUE: u64 = 7;

fn run_insert(plan: Plan, bytes: &[u8], name: &str) {
    let mut object = Loader::default().load(bytes);
    let mut outer: Outer<_> = must(name, take(&mut object, name));
    let mut slot = 0;
    let slots = outer.len();
    let mut insert = || {
        let mut inner = must("Array::create", Array::<MapData, u64>::create(1, 0));
        must("Array::set", inner.set(0, INSERT_VALUE, 0));
        must("ArrayOfMaps::set", outer.set(slot, &inner, 0));
        drop(inner);
        let found = must("ArrayOfMaps::get", outer.get(&slot, 0));
        slot = (slot + 1) % slots;
        must("Array::get", found.get(&0, 0))
    };
    let measurement = measure(&mut insert, plan);
    measurement.print(&[("value", insert().to_string())]);
}
