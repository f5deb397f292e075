//! What maps hold in the benchmarks: bench/entries.mjs in Rust.

pub const ENTRIES: u32 = 100_000;
pub const KEYS: usize = 65_536;

pub fn random_keys() -> Vec<u32> {
    let mut state = 1_u32;
    (0..KEYS)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % ENTRIES
        })
        .collect()
}

pub fn value_for(key: u32) -> u64 {
    u64::from(key) * 3 + 7
}
