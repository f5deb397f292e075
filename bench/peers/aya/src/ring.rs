//! Reading what waits in a ring buffer of 16 MiB: RingBuf::next, records of 64 bytes.
//!
//! usage: aya ring SAMPLES SAMPLE_MS WARM_UP_MS OBJECT RECORDS number|fields BPFTOOL
//!
//! OBJECT is fixtures/run/ring.bpf.o, whose program fills the ring between the samples. `number` reads
//! one number of each record, `fields` the three fields that come before its payload. aya has no programs
//! of the object's type, so BPFTOOL loads it, onto the map that was created here: this needs a BPF file
//! system at /sys/fs/bpf.

use std::ffi::{c_long, CString};
use std::hint::black_box;
use std::process::Command;

use aya::maps::{MapData, RingBuf};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF;

use crate::measure::{fail, measure, must, Operation, Plan};

const RING_BYTES: u32 = 16 << 20;
const PROGRAM_PIN: &str = "/sys/fs/bpf/bench-program";
const EVENTS_PIN: &str = "/sys/fs/bpf/bench-events";
const BPF_OBJ_GET: c_long = 7;
const BPF_PROG_TEST_RUN: c_long = 10;
const TEST_RUN_BYTES: usize = 80;
const NO_WAKEUP: u64 = 1;

fn bpf(command: c_long, attributes: &mut [u8]) -> c_long {
    // SAFETY: as long as it says; what it points to lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_mut_ptr(),
            attributes.len(),
        )
    };
    if result < 0 {
        fail("bpf(2)", std::io::Error::last_os_error());
    }
    result
}

fn put(attributes: &mut [u8], offset: usize, bytes: &[u8]) {
    attributes[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn load_program(bpftool: &str, object: &str) -> u32 {
    let loading = Command::new(bpftool)
        .args(["prog", "load", object, PROGRAM_PIN])
        .args(["map", "name", "events", "pinned", EVENTS_PIN])
        .output();
    let output = must("bpftool", loading);
    if !output.status.success() {
        fail("bpftool", String::from_utf8_lossy(&output.stderr));
    }
    let path = must("the path", CString::new(PROGRAM_PIN));
    let mut attributes = [0; 16];
    put(&mut attributes, 0, &(path.as_ptr() as u64).to_ne_bytes());
    bpf(BPF_OBJ_GET, &mut attributes) as u32
}

/// A record without its payload; see fixtures/run/ring.bpf.c.
struct Event {
    number: u64,
    #[allow(dead_code)]
    tag: u32,
    #[allow(dead_code)]
    half: u32,
}

fn bytes_at<const N: usize>(record: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&record[offset..offset + N]);
    bytes
}

fn one_number(record: &[u8]) -> u64 {
    u64::from(u32::from_ne_bytes(bytes_at(record, 0)))
}

/// Decodes all three, and gives the first.
fn three_fields(record: &[u8]) -> u64 {
    let event = Event {
        number: u64::from_ne_bytes(bytes_at(record, 0)),
        tag: u32::from_ne_bytes(bytes_at(record, 8)),
        half: u32::from_ne_bytes(bytes_at(record, 12)),
    };
    black_box(&event).number
}

struct Reading {
    ring: RingBuf<MapData>,
    program: u32,
    records: u32,
    fields: bool,
}

impl Reading {
    /// Adds up what `read` gives for each record, which is compiled into the loop.
    fn consume(&mut self, read: impl Fn(&[u8]) -> u64) -> u64 {
        let (mut sum, mut count) = (0, 0);
        while let Some(record) = self.ring.next() {
            sum += read(&record);
            count += 1;
        }
        if count != self.records {
            fail("RingBuf::next", format!("{count} records"));
        }
        sum
    }
}

impl Operation for Reading {
    fn run(&mut self) -> u64 {
        if self.fields {
            self.consume(three_fields)
        } else {
            self.consume(one_number)
        }
    }

    fn between(&mut self) {
        // What the program takes; see fixtures/run/ring.bpf.c: count, tag, flags, first, discard_every.
        let mut request = [0; 32];
        put(&mut request, 0, &self.records.to_ne_bytes());
        put(&mut request, 8, &NO_WAKEUP.to_ne_bytes());
        let mut attributes = [0; TEST_RUN_BYTES];
        put(&mut attributes, 0, &self.program.to_ne_bytes());
        put(&mut attributes, 40, &(request.len() as u32).to_ne_bytes());
        put(
            &mut attributes,
            48,
            &(request.as_ptr() as u64).to_ne_bytes(),
        );
        bpf(BPF_PROG_TEST_RUN, &mut attributes);
        if attributes[4..8] != self.records.to_ne_bytes() {
            fail("producing", format!("{:?}", &attributes[4..8]));
        }
    }
}

pub fn run(plan: Plan, arguments: &[&str]) {
    let [object, records, mode, bpftool] = arguments else {
        fail(
            "reading OBJECT RECORDS number|fields BPFTOOL",
            "four arguments",
        );
    };
    let records = must("reading RECORDS", records.parse());
    let fields = match *mode {
        "number" => false,
        "fields" => true,
        other => fail("reading number|fields", other),
    };
    let definition =
        aya_obj::Map::new_from_params(BPF_MAP_TYPE_RINGBUF as u32, 0, 0, RING_BYTES, 0);
    let events = must(
        "MapData::create",
        MapData::create(definition, "bench", None),
    );
    must("pinning", events.pin(EVENTS_PIN));
    let program = load_program(bpftool, object);
    must("unpinning", std::fs::remove_file(PROGRAM_PIN));
    must("unpinning", std::fs::remove_file(EVENTS_PIN));
    let map = must("Map::from_map_data", aya::maps::Map::from_map_data(events));
    let mut reading = Reading {
        ring: must("RingBuf", RingBuf::try_from(map)),
        program,
        records,
        fields,
    };
    let measurement = measure(&mut reading, plan).per(u64::from(records));
    reading.between();
    measurement.print(&[("sum", reading.run().to_string())]);
}
