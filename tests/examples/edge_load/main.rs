//! The load of `scripts/bench edge`: keep-alive connections with one request in flight each, a thread for each. Node's
//! sockets cost more than what is measured here; this costs a fifth of it.
//!
//! ```text
//! edge_load PORT STATUS SECONDS CONNECTIONS <REQUEST
//! ```
//!
//! REQUEST is sent over and over, as it is but for ten `#`: another number each time. It prints how many answers came and how many seconds that took. Any other
//! status ends it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that goes wrong ends here"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| given.get(at).and_then(|text| text.parse::<f64>().ok());
    let (Some(port), Some(status), Some(seconds), Some(connections)) = (number(0), number(1), number(2), number(3))
    else {
        panic!("usage: edge_load PORT STATUS SECONDS CONNECTIONS <REQUEST");
    };
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request).unwrap();
    let began = Instant::now();
    let ends = began + Duration::from_secs_f64(seconds);
    let done: u64 = thread::scope(|scope| {
        let all: Vec<_> = (0..connections as u64)
            .map(|_| scope.spawn(|| drive(port as u16, &request, status as u16, ends)))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    println!("{done} {:.6}", began.elapsed().as_secs_f64());
}

const NUMBER: &[u8] = b"##########";
static NEXT: AtomicU64 = AtomicU64::new(1);

/// One connection, until the time is over; how many answers came.
fn drive(port: u16, request: &[u8], status: u16, ends: Instant) -> u64 {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    connection.set_nodelay(true).unwrap();
    let mut request = request.to_vec();
    let number = request.windows(NUMBER.len()).position(|it| it == NUMBER).map(|at| at..at + NUMBER.len());
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    while Instant::now() < ends {
        if let Some(number) = number.clone() {
            let next = format!("{:010}", NEXT.fetch_add(1, Ordering::Relaxed));
            request[number].copy_from_slice(next.as_bytes());
        }
        connection.write_all(&request).unwrap();
        let mut held = 0;
        while !is_whole(&buffer[..held], status) {
            let more = connection.read(&mut buffer[held..]).unwrap();
            assert!(more > 0, "the connection ended: {}", String::from_utf8_lossy(&buffer[..held]));
            held += more;
        }
        done += 1;
    }
    done
}

/// Whether an answer is there with all of its body.
fn is_whole(held: &[u8], status: u16) -> bool {
    let Some(head_end) = held.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4) else { return false };
    let head = String::from_utf8_lossy(&held[..head_end]).to_ascii_lowercase();
    let its_status: u16 = head[9..12].parse().unwrap();
    assert!(its_status == status, "status {its_status}, not {status}: {}", String::from_utf8_lossy(held));
    if matches!(its_status, 204 | 304) {
        return true;
    }
    if let Some((_, rest)) = head.split_once("\r\ncontent-length:") {
        let length: usize = rest.split("\r\n").next().unwrap().trim().parse().unwrap();
        return held.len() >= head_end + length;
    }
    assert!(head.contains("transfer-encoding: chunked"), "an answer without a length: {head}");
    held.ends_with(b"0\r\n\r\n")
}
