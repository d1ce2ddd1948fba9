//! Part of `scripts/bench qr`: how long a whole PNG takes, from the text to the file, and a memcpy of its raster.
//!
//! `speed TEXT` answers each line `png SIZE COUNT` or `memcpy SIZE COUNT` with nanoseconds for one, and its bytes.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that goes wrong ends here"
)]

use std::hint::black_box;
use std::time::Instant;

use scanvault_qr::{Ecc, Matrix};

fn main() {
    let text = std::env::args().nth(1).unwrap();
    for line in std::io::stdin().lines().map(Result::unwrap) {
        let words: Vec<&str> = line.split(' ').collect();
        let (size, count): (u32, u32) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        let (nanos, bytes) = if words[0] == "png" { png(&text, size, count) } else { copy(size, count) };
        println!("{} {bytes}", nanos / f64::from(count));
    }
}

fn png(text: &str, size: u32, count: u32) -> (f64, usize) {
    let mut bytes = 0;
    let began = Instant::now();
    for _ in 0..count {
        let matrix = Matrix::encode(black_box(text.as_bytes()), Ecc::Auto).unwrap();
        bytes = black_box(matrix.to_png(size, 4).unwrap()).len();
    }
    (began.elapsed().as_nanos() as f64, bytes)
}

/// A byte for each pixel, into memory that is there already and warm.
fn copy(size: u32, count: u32) -> (f64, usize) {
    let raster: Vec<u8> = (0..size * size).map(|at| at as u8).collect();
    let mut to = vec![0; raster.len()];
    let began = Instant::now();
    for _ in 0..count {
        to.copy_from_slice(black_box(&raster));
        black_box(&mut to);
    }
    (began.elapsed().as_nanos() as f64, raster.len())
}
