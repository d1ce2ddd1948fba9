//! What the wiping allocator of the binary costs, against the same code in the same process without it; part of
//! `scripts/bench vault`.
//!
//! Rounds with and without take turns, and what is compared is processor time of all threads: neither another load on
//! the machine nor the disk decides. Built as the tests are: `--release` gives the figure of the program as it is shipped.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that goes wrong ends here"
)]

#[path = "../../origin/acs.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod acs;
#[path = "../../origin/world.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroizing_alloc::ZeroAlloc;

use world::{Forward, World};

/// The plain allocator, but for the time of a round.
struct Switch;

#[global_allocator]
static ALLOCATOR: Switch = Switch;
static WIPES: AtomicBool = AtomicBool::new(false);
static WIPING: ZeroAlloc<System> = ZeroAlloc(System);

#[expect(unsafe_code, reason = "an allocator is; each call is handed on, and both hand out the system's memory")]
unsafe impl GlobalAlloc for Switch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WIPES.load(Ordering::Relaxed) {
            unsafe { WIPING.dealloc(block, layout) }
        } else {
            unsafe { System.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if WIPES.load(Ordering::Relaxed) {
            unsafe { WIPING.realloc(block, layout, size) }
        } else {
            unsafe { System.realloc(block, layout, size) }
        }
    }
}

const ROUNDS: usize = 15;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let document = document();
    let mut json = Figures::default();
    let mut codes = Figures::default();
    let mut world = World::sqlite().await;
    let auth = world.ready().await;
    let mut number = 0;
    for round in 0..2 * ROUNDS {
        let wipes = round % 2 == 1;
        json.round(wipes, 300, || {
            for _ in 0..300 {
                let value: serde_json::Value = serde_json::from_str(black_box(&document)).unwrap();
                black_box(value);
            }
        });
        let before = begin(wipes);
        for _ in 0..200 {
            number += 1;
            let body =
                format!(r#"{{"merchantReference":"wiping-{number}","amount":10.00,"shortDescription":"Two coffees"}}"#);
            let answer = world.send(Forward::post_text("/pluto/code/create", body).with(&auth)).await;
            assert_eq!(answer.status, 200);
        }
        codes.end(wipes, before, 200);
    }
    let before = begin(false);
    for _ in 0..20_000 {
        scanvault_origin::vault::memory::wipe_stack();
    }
    println!("wiping an idle thread's stack: {} ns", (processor_time_ns() - before) / 20_000);
    println!("JSON of {} bytes parsed into a tree and dropped: {json}", document.len());
    println!("whole code-create requests, SQLite, signature and client included: {codes}");
}

/// Thousands of small strings, maps and vectors.
fn document() -> String {
    let items: Vec<_> = (0..100)
        .map(|n| serde_json::json!({"reference": format!("order-{n}"), "amount": n, "lines": [{"name": "coffee", "price": "4.50"}, {"name": "cake"}]}))
        .collect();
    serde_json::to_string(&items).unwrap()
}

/// Nanoseconds of processor time for one of what is measured, a value for each round.
#[derive(Default)]
struct Figures {
    plain: Vec<u64>,
    wiping: Vec<u64>,
}

impl Figures {
    fn round(&mut self, wipes: bool, count: u64, work: impl FnOnce()) {
        let before = begin(wipes);
        work();
        self.end(wipes, before, count);
    }

    fn end(&mut self, wipes: bool, before: u64, count: u64) {
        let taken = (processor_time_ns() - before) / count;
        WIPES.store(false, Ordering::Relaxed);
        if wipes { self.wiping.push(taken) } else { self.plain.push(taken) }
    }

    fn ratio(&self) -> f64 {
        median(&self.wiping) as f64 / median(&self.plain) as f64
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |values: &[u64]| median(values) as f64 / 1000.0;
        let (plain, wiping) = (micros(&self.plain), micros(&self.wiping));
        write!(f, "{plain:.1} µs plain, {wiping:.1} µs wiping, {:.3} ×, medians of {ROUNDS}", self.ratio())
    }
}

fn begin(wipes: bool) -> u64 {
    WIPES.store(wipes, Ordering::Relaxed);
    processor_time_ns()
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

/// Of all threads of this process: the first word of each thread's schedstat.
fn processor_time_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("schedstat")).ok();
    let texts = tasks.filter_map(|task| of(task.ok()?));
    texts.map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}
