//! Entries of a hash of 100,000: single look-ups and updates of random keys, walks over all; and look-ups
//! in a per-CPU array.
//!
//! usage: aya map-ops SAMPLES SAMPLE_MS WARM_UP_MS lookup|update|iterate|per-cpu u64|u32

use aya::maps::{HashMap, MapData, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use aya::Pod;

use crate::entries::{random_keys, value_for, ENTRIES, KEYS};
use crate::measure::{fail, measure, must, Plan};

/// Single operations for each call of the measured function; see bench/skep/map-ops.mjs.
const CHUNK: u64 = 64;
const PER_CPU_ENTRIES: u32 = 1_024;

trait Value: Pod {
    fn of(key: u32) -> Self;
    fn number(self) -> u64;
}

impl Value for u32 {
    fn of(key: u32) -> Self {
        value_for(key) as Self
    }
    fn number(self) -> u64 {
        u64::from(self)
    }
}

impl Value for u64 {
    fn of(key: u32) -> Self {
        value_for(key)
    }
    fn number(self) -> u64 {
        self
    }
}

/// Calls back for the next few of the random keys.
fn chunks(mut each: impl FnMut(u32) -> u64) -> impl FnMut() -> u64 {
    let keys = random_keys();
    let mut position = 0;
    move || {
        let mut sum = 0_u64;
        for _ in 0..CHUNK {
            sum = sum.wrapping_add(each(keys[position]));
            position = (position + 1) % KEYS;
        }
        sum
    }
}

fn sum_of<V: Value>(hash: &HashMap<MapData, u32, V>) -> u64 {
    hash.iter()
        .map(|entry| {
            let (key, value) = must("HashMap::iter", entry);
            u64::from(key) + value.number()
        })
        .sum()
}

fn run_hash<V: Value>(plan: Plan, operation: &str) {
    let mut hash = must(
        "HashMap::create",
        HashMap::<MapData, u32, V>::create(ENTRIES, 0),
    );
    for key in 0..ENTRIES {
        must("HashMap::insert", hash.insert(key, V::of(key), 0));
    }
    let measurement = match operation {
        "lookup" => {
            let mut lookup = chunks(|key| must("HashMap::get", hash.get(&key, 0)).number());
            measure(&mut lookup, plan).per(CHUNK)
        }
        "update" => {
            let mut update = chunks(|key| {
                must("HashMap::insert", hash.insert(key, V::of(key), 0));
                u64::from(key)
            });
            measure(&mut update, plan).per(CHUNK)
        }
        "iterate" => measure(&mut || sum_of(&hash), plan).per(u64::from(ENTRIES)),
        other => fail("reading OPERATION", other),
    };
    measurement.print(&[("sum", sum_of(&hash).to_string())]);
}

/// Look-ups of all CPUs' values, which are added up.
fn run_per_cpu(plan: Plan) {
    let cpus = nr_cpus().unwrap_or_else(|(path, error)| fail(path, error));
    let mut array = must(
        "PerCpuArray::create",
        PerCpuArray::<MapData, u64>::create(PER_CPU_ENTRIES, 0),
    );
    for key in 0..PER_CPU_ENTRIES {
        let values = must(
            "PerCpuValues",
            PerCpuValues::try_from(vec![value_for(key); cpus]),
        );
        must("PerCpuArray::set", array.set(key, values, 0));
    }
    let mut lookup = chunks(|key| {
        let values = must("PerCpuArray::get", array.get(&(key % PER_CPU_ENTRIES), 0));
        values.iter().sum()
    });
    let first = lookup();
    let measurement = measure(&mut lookup, plan).per(CHUNK);
    measurement.print(&[("sum", first.to_string())]);
}

pub fn run(plan: Plan, arguments: &[&str]) {
    match arguments {
        ["per-cpu", _] => run_per_cpu(plan),
        [operation, "u32"] => run_hash::<u32>(plan, operation),
        [operation, "u64"] => run_hash::<u64>(plan, operation),
        _ => fail("reading OPERATION u64|u32", "two arguments"),
    }
}
