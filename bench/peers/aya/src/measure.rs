//! How a subject measures itself, in Rust: the protocol of bench/measure.mjs, which says what the
//! arguments and the printed fields mean.

use std::fmt::Display;
use std::io::{Read, Write};
use std::process::exit;
use std::time::Instant;

use crate::system_calls::excluded_ns;

// How warming up ends; see bench/measure.mjs.
const WARM_UP_WINDOWS: u32 = 5;
const FASTER: f64 = 0.98;
const MAX_WINDOWS: u32 = 40;

#[derive(Clone, Copy)]
pub struct Plan {
    samples: usize,
    sample_ms: f64,
    warm_up_ms: f64,
}

#[derive(Default)]
pub struct Measurement {
    first_ns: f64,
    iterations: u64,
    samples_ns: Vec<f64>,
}

/// Says why, and ends the program.
pub fn fail(what: &str, why: impl Display) -> ! {
    eprintln!("{what} failed: {why}");
    exit(1)
}

/// The value, or the end of the program.
pub fn must<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| fail(what, format!("{error:?}")))
}

impl Plan {
    pub fn read(samples: &str, sample_ms: &str, warm_up_ms: &str) -> Self {
        Self {
            samples: must("reading SAMPLES", samples.parse()),
            sample_ms: must("reading SAMPLE_MS", sample_ms.parse()),
            warm_up_ms: must("reading WARM_UP_MS", warm_up_ms.parse()),
        }
    }
}

/// An operation, which returns a number that depends on all of its work, and what runs before each
/// sample, outside of the measured part.
pub trait Operation {
    fn run(&mut self) -> u64;
    fn between(&mut self) {}
}

impl<F: FnMut() -> u64> Operation for F {
    fn run(&mut self) -> u64 {
        self()
    }
}

fn time_ns(operation: &mut impl Operation, iterations: u64) -> f64 {
    let excluded = excluded_ns();
    let start = Instant::now();
    for _ in 0..iterations {
        std::hint::black_box(operation.run());
    }
    start.elapsed().as_nanos() as f64 - (excluded_ns() - excluded) as f64
}

fn mean_of_window(operation: &mut impl Operation, window_ns: f64) -> f64 {
    let (mut total, mut count) = (0.0, 0.0);
    while total < window_ns {
        operation.between();
        total += time_ns(operation, 1);
        count += 1.0;
    }
    if count == 0.0 {
        0.0
    } else {
        total / count
    }
}

/// Lets other subjects measure until it is this one's turn; see bench/measure.mjs.
fn await_turn() {
    if std::env::var_os("SKEP_BENCH_TURNS").is_none() {
        return;
    }
    println!("ready");
    must("asking for a turn", std::io::stdout().flush());
    must(
        "waiting for a turn",
        std::io::stdin().read_exact(&mut [0; 1]),
    );
}

pub fn measure(operation: &mut impl Operation, plan: Plan) -> Measurement {
    operation.between();
    let first_ns = time_ns(operation, 1);
    let mut fastest = 1e300_f64;
    let (mut window, mut idle) = (0, 0);
    while idle < WARM_UP_WINDOWS && window < MAX_WINDOWS {
        let mean = mean_of_window(
            operation,
            plan.warm_up_ms * 1e6 / f64::from(WARM_UP_WINDOWS),
        );
        idle = if mean < fastest * FASTER { 0 } else { idle + 1 };
        fastest = fastest.min(mean);
        window += 1;
    }
    let iterations = ((plan.sample_ms * 1e6 / fastest.max(1.0)).round() as u64).max(1);
    let mut samples_ns = Vec::with_capacity(plan.samples);
    for _ in 0..plan.samples {
        await_turn();
        operation.between();
        samples_ns.push(time_ns(operation, iterations) / iterations as f64);
    }
    Measurement {
        first_ns,
        iterations,
        samples_ns,
    }
}

impl Measurement {
    /// The same per item, where one operation is many of what is to be compared.
    pub fn per(mut self, items: u64) -> Self {
        self.first_ns /= items as f64;
        self.iterations *= items;
        for ns in &mut self.samples_ns {
            *ns /= items as f64;
        }
        self
    }

    /// Prints the measurement and the facts, which other subjects must find too: names with values in
    /// JSON.
    pub fn print(&self, facts: &[(&str, String)]) {
        let facts: Vec<String> = facts
            .iter()
            .map(|(name, value)| format!("\"{name}\": {value}"))
            .collect();
        let samples: Vec<String> = self
            .samples_ns
            .iter()
            .map(|ns| format!("{ns:.3}"))
            .collect();
        println!(
            "{{ \"facts\": {{ {} }}, \"firstNs\": {:.1}, \"iterations\": {}, \"samplesNs\": [{}] }}",
            facts.join(", "),
            self.first_ns,
            self.iterations,
            samples.join(", ")
        );
    }
}
