//! A deflate writer that is told about repetition and never searches for it (RFC 1951).
//!
//! An image of squares has two kinds: a byte repeated within a row, and a row repeated below
//! itself. So there are two distances, 1 and one row, and the block has its own Huffman codes.
#![expect(
    clippy::indexing_slicing,
    reason = "symbols are below 286, distances below 30"
)]

use crate::huffman::{Code, SYMBOLS, codes};

/// The longest match that deflate can write.
const LONGEST: u32 = 258;
const END_OF_BLOCK: usize = 256;

/// Collects literals and matches, then writes them as one block.
pub(crate) struct Deflate {
    tokens: Vec<Token>,
    literals: [u32; SYMBOLS],
    distances: [u32; 30],
    row: Symbol,
    last: u8,
}

#[derive(Clone, Copy)]
enum Token {
    /// A byte, up to three times.
    Literal(u8, u8),
    /// The last byte again, so many times.
    Byte(u16),
    /// The bytes one row above, so many.
    Row(u16),
    /// `LONGEST` bytes of the row above, so often.
    Rows(u16),
}

/// A symbol with the extra bits that follow it (§3.2.5).
#[derive(Clone, Copy)]
struct Symbol {
    symbol: u16,
    extra: u16,
    extra_len: u32,
}

impl Deflate {
    /// `row_len` is the distance of the row above in bytes.
    pub(crate) fn new(row_len: u32) -> Self {
        let mut literals = [0; SYMBOLS];
        literals[END_OF_BLOCK] = 1;
        let tokens = Vec::with_capacity(1024);
        Self {
            tokens,
            literals,
            distances: [0; 30],
            row: distance(row_len),
            last: 0,
        }
    }

    /// The same byte `count` times.
    #[inline]
    pub(crate) fn bytes(&mut self, byte: u8, count: u32) {
        // The two common literals cost about two bits, a match about six.
        if count < 4 {
            self.literals(byte, count);
        } else {
            self.repeat(byte, count);
        }
    }

    #[inline]
    fn literals(&mut self, byte: u8, count: u32) {
        if count > 0 {
            self.tokens.push(Token::Literal(byte, count as u8));
            self.literals[usize::from(byte)] += count;
            self.last = byte;
        }
    }

    fn repeat(&mut self, byte: u8, mut count: u32) {
        if self.tokens.is_empty() || self.last != byte {
            self.literals(byte, 1);
            count -= 1;
        }
        while count > 0 {
            let len = next_match(count);
            self.tokens.push(Token::Byte(len as u16));
            self.literals[usize::from(length(len).symbol)] += 1;
            self.distances[0] += 1;
            count -= len;
        }
    }

    /// The row above again, `count` bytes in all (at least one row, so never below 3).
    pub(crate) fn rows(&mut self, mut count: u32) {
        let full = count.saturating_sub(LONGEST) / LONGEST;
        if full > 0 {
            self.tokens.push(Token::Rows(full as u16));
            self.literals[usize::from(length(LONGEST).symbol)] += full;
            self.distances[usize::from(self.row.symbol)] += full;
            count -= full * LONGEST;
        }
        while count > 0 {
            let len = next_match(count);
            self.tokens.push(Token::Row(len as u16));
            self.literals[usize::from(length(len).symbol)] += 1;
            self.distances[usize::from(self.row.symbol)] += 1;
            count -= len;
        }
    }

    /// Writes everything as one final block with dynamic codes (§3.2.7).
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        let literals = codes(&self.literals, 15);
        let distances = codes(&self.distances, 15);
        let mut bits = BitWriter {
            out,
            bits: 0,
            len: 0,
        };
        bits.push(0b101, 3);
        write_code_lengths(&mut bits, &literals, &distances);
        let one = Symbol {
            symbol: 0,
            extra: 0,
            extra_len: 0,
        };
        for token in self.tokens {
            match token {
                Token::Literal(byte, count) => {
                    let code = literals[usize::from(byte)];
                    (0..count).for_each(|_| bits.code(code));
                }
                Token::Byte(len) => bits.code(pair(&literals, &distances, u32::from(len), one)),
                Token::Row(len) => bits.code(pair(&literals, &distances, u32::from(len), self.row)),
                Token::Rows(times) => {
                    let code = pair(&literals, &distances, LONGEST, self.row);
                    (0..times).for_each(|_| bits.code(code));
                }
            }
        }
        bits.code(literals[END_OF_BLOCK]);
        bits.flush();
    }
}

/// The length of the next match, so that no rest of one or two bytes is left.
fn next_match(count: u32) -> u32 {
    match count {
        ..=LONGEST => count,
        259..261 => LONGEST - 3,
        _ => LONGEST,
    }
}

/// Length, its extra bits, distance and its extra bits as one word of at most 15+5+15+13 bits;
/// with the few symbols here far fewer, and never over 32 (see the test).
fn pair(literals: &[Code], distances: &[Code], len: u32, distance: Symbol) -> Code {
    let len = length(len);
    let mut word = literals[usize::from(len.symbol)];
    for (bits, len) in [
        (u32::from(len.extra), len.extra_len),
        (
            distances[usize::from(distance.symbol)].bits,
            distances[usize::from(distance.symbol)].len,
        ),
        (u32::from(distance.extra), distance.extra_len),
    ] {
        word.bits |= bits << word.len;
        word.len += len;
    }
    word
}

/// Lengths 3–258 (§3.2.5): eight alone, then four symbols for each further extra bit.
fn length(len: u32) -> Symbol {
    let l = len - 3;
    match len {
        LONGEST => Symbol {
            symbol: 285,
            extra: 0,
            extra_len: 0,
        },
        ..11 => Symbol {
            symbol: (257 + l) as u16,
            extra: 0,
            extra_len: 0,
        },
        _ => {
            let extra_len = l.ilog2() - 2;
            let symbol = (257 + 4 * extra_len + (l >> extra_len)) as u16;
            Symbol {
                symbol,
                extra: (l & ((1 << extra_len) - 1)) as u16,
                extra_len,
            }
        }
    }
}

/// Distances: four alone, then two symbols for each further extra bit.
fn distance(distance: u32) -> Symbol {
    let d = distance - 1;
    if d < 4 {
        return Symbol {
            symbol: d as u16,
            extra: 0,
            extra_len: 0,
        };
    }
    let extra_len = d.ilog2() - 1;
    let symbol = (2 * extra_len + (d >> extra_len)) as u16;
    Symbol {
        symbol,
        extra: (d & ((1 << extra_len) - 1)) as u16,
        extra_len,
    }
}

/// The two codes as their lengths, run-length coded, under a third Huffman code.
fn write_code_lengths(bits: &mut BitWriter, literals: &[Code; SYMBOLS], distances: &[Code; 30]) {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let used = |codes: &[Code]| {
        codes
            .iter()
            .rposition(|code| code.len > 0)
            .map_or(1, |i| i + 1)
    };
    let (literal_count, distance_count) = (used(literals).max(257), used(distances));
    let mut lengths = [0_u8; SYMBOLS + 30];
    let all = literals[..literal_count]
        .iter()
        .chain(&distances[..distance_count]);
    for (length, code) in lengths.iter_mut().zip(all) {
        *length = code.len as u8;
    }
    let runs = run_lengths(&lengths[..literal_count + distance_count]);
    let mut counts = [0; 19];
    for run in &runs {
        counts[usize::from(run.symbol)] += 1;
    }
    let codes = codes(&counts, 7);
    let listed = ORDER
        .iter()
        .rposition(|&symbol| codes[symbol].len > 0)
        .map_or(4, |i| (i + 1).max(4));
    bits.push(literal_count as u32 - 257, 5);
    bits.push(distance_count as u32 - 1, 5);
    bits.push(listed as u32 - 4, 4);
    for &symbol in &ORDER[..listed] {
        bits.push(codes[symbol].len, 3);
    }
    for run in runs {
        bits.code(codes[usize::from(run.symbol)]);
        bits.push(u32::from(run.extra), run.extra_len);
    }
}

fn run_lengths(lengths: &[u8]) -> Vec<Symbol> {
    let mut out = Vec::with_capacity(64);
    for run in lengths.chunk_by(|a, b| a == b) {
        let (value, mut left) = (u16::from(run[0]), run.len());
        if value > 0 {
            out.push(Symbol {
                symbol: value,
                extra: 0,
                extra_len: 0,
            });
            left -= 1;
        }
        while left > 0 {
            let (symbol, least, most, extra_len) = match (value, left) {
                (0, 11..) => (18, 11, 138, 7),
                (0, 3..) => (17, 3, 10, 3),
                (1.., 3..) => (16, 3, 6, 2),
                _ => (value, 1, 1, 0),
            };
            let taken = left.min(most);
            out.push(Symbol {
                symbol,
                extra: (taken - least) as u16,
                extra_len,
            });
            left -= taken;
        }
    }
    out
}

/// Bits first to last from the lowest bit of each byte (§3.1.1).
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    bits: u64,
    len: u32,
}

impl BitWriter<'_> {
    /// At most 32 bits.
    #[inline]
    fn push(&mut self, value: u32, len: u32) {
        self.bits |= u64::from(value) << self.len;
        self.len += len;
        if self.len >= 32 {
            self.out
                .extend_from_slice(&(self.bits as u32).to_le_bytes());
            self.bits >>= 32;
            self.len -= 32;
        }
    }

    #[inline]
    fn code(&mut self, code: Code) {
        self.push(code.bits, code.len);
    }

    fn flush(self) {
        let bytes = self.bits.to_le_bytes();
        self.out
            .extend_from_slice(&bytes[..self.len.div_ceil(8) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_distances_match_the_tables_of_the_rfc() {
        let l = |len| (length(len).symbol, length(len).extra_len, length(len).extra);
        assert_eq!(
            [l(3), l(10), l(11), l(12)],
            [(257, 0, 0), (264, 0, 0), (265, 1, 0), (265, 1, 1)]
        );
        assert_eq!(
            [l(19), l(34), l(257), l(258)],
            [(269, 2, 0), (272, 2, 3), (284, 5, 30), (285, 0, 0)]
        );
        let d = |n| (distance(n).symbol, distance(n).extra_len, distance(n).extra);
        assert_eq!(
            [d(1), d(4), d(5), d(6)],
            [(0, 0, 0), (3, 0, 0), (4, 1, 0), (4, 1, 1)]
        );
        assert_eq!([d(9), d(513), d(515)], [(6, 2, 0), (18, 8, 0), (18, 8, 2)]);
    }

    #[test]
    fn matches_never_leave_a_rest_that_cannot_be_written() {
        for total in 3..2000 {
            let mut left = total;
            while left > 0 {
                let len = next_match(left);
                assert!((3..=258).contains(&len), "{total}: {len}");
                left -= len;
            }
        }
    }

    #[test]
    fn a_pair_fits_one_word() {
        // Widest: two distances have one bit each; the widest row (2048 pixels of two bits) has
        // eight extra bits; a length code has at most fifteen, with five extra bits.
        assert!(15 + 5 + 1 + distance(513).extra_len <= 32);
    }
}
