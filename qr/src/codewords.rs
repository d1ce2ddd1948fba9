//! From segments to the final sequence of codewords: bit stream, padding, Reed–Solomon, interleaving.
#![expect(
    clippy::indexing_slicing,
    reason = "lengths follow from the version's tables"
)]

use crate::segment::{Mode, Segment, alphanumeric};
use crate::version::{Level, Version};

/// All codewords of the symbol in the order of placement (ISO/IEC 18004 §7.4–7.6).
pub(crate) fn codewords(
    message: &[u8],
    segments: &[Segment],
    version: Version,
    level: Level,
) -> Vec<u8> {
    let data = data_codewords(message, segments, version, level);
    interleave(&data, version, level)
}

fn data_codewords(message: &[u8], segments: &[Segment], version: Version, level: Level) -> Vec<u8> {
    let capacity = version.data_codewords(level);
    let mut stream = BitStream {
        bytes: Vec::with_capacity(capacity + 8),
        bits: 0,
        len: 0,
    };
    let mut rest = message;
    for segment in segments {
        let (part, tail) = rest.split_at(segment.len.min(rest.len()));
        rest = tail;
        stream.push(segment.mode.indicator(), 4);
        stream.push(part.len() as u32, segment.mode.count_bits(version));
        match segment.mode {
            Mode::Numeric => push_numeric(&mut stream, part),
            Mode::Alphanumeric => push_alphanumeric(&mut stream, part),
            Mode::Byte => part
                .iter()
                .for_each(|&byte| stream.push(u32::from(byte), 8)),
        }
    }
    stream.finish(capacity)
}

fn push_numeric(stream: &mut BitStream, digits: &[u8]) {
    for group in digits.chunks(3) {
        let value = group
            .iter()
            .fold(0, |value, digit| value * 10 + u32::from(digit & 0x0F));
        stream.push(value, 1 + 3 * group.len() as u32);
    }
}

fn push_alphanumeric(stream: &mut BitStream, text: &[u8]) {
    for group in text.chunks(2) {
        let value = group
            .iter()
            .fold(0, |v, &byte| v * 45 + alphanumeric(byte).unwrap_or(0));
        stream.push(value, if group.len() == 2 { 11 } else { 6 });
    }
}

struct BitStream {
    bytes: Vec<u8>,
    bits: u64,
    len: u32,
}

impl BitStream {
    fn push(&mut self, value: u32, len: u32) {
        self.bits = self.bits << len | u64::from(value);
        self.len += len;
        while self.len >= 8 {
            self.len -= 8;
            self.bytes.push((self.bits >> self.len) as u8);
        }
    }

    /// Terminator, zero bits to the byte, then alternating pad codewords (§7.4.9, §7.4.10).
    fn finish(mut self, capacity: usize) -> Vec<u8> {
        let free = capacity * 8 - (self.bytes.len() * 8 + self.len as usize);
        self.push(0, free.min(4) as u32);
        self.push(0, (8 - self.len) % 8);
        let pads = capacity - self.bytes.len();
        self.bytes.extend([0xEC, 0x11].iter().cycle().take(pads));
        self.bytes
    }
}

/// Splits into blocks, appends each block's error correction, and deals them out column by column.
fn interleave(data: &[u8], version: Version, level: Level) -> Vec<u8> {
    let (ecc_len, count) = version.blocks(level);
    let code = ReedSolomon::new(ecc_len);
    let total = version.total_codewords();
    let mut out = vec![0; total];
    // The first blocks are one data codeword shorter when the data do not divide evenly.
    let (short, longer) = (data.len() / count, data.len() % count);
    let mut rest = data;
    for block in 0..count {
        let is_long = block >= count - longer;
        let (part, tail) = rest.split_at(short + usize::from(is_long));
        rest = tail;
        for (i, &byte) in part.iter().enumerate() {
            let column = if i < short {
                i * count + block
            } else {
                short * count + block - (count - longer)
            };
            out[column] = byte;
        }
        for (i, byte) in code.remainder(part).enumerate() {
            out[data.len() + i * count + block] = byte;
        }
    }
    out
}

/// Up to 32 bytes, first byte on top: the register of the polynomial division.
type Register = [u64; 4];

/// Division by a generator polynomial, four bits of the quotient at a time.
struct ReedSolomon {
    len: usize,
    high: [Register; 16],
    low: [Register; 16],
}

impl ReedSolomon {
    fn new(len: usize) -> Self {
        let index = DEGREES
            .iter()
            .position(|&degree| degree == len)
            .unwrap_or(0);
        let basis = &MULTIPLES[index];
        let table = |shift: usize| {
            let mut table = [[0; 4]; 16];
            for value in 1..16_usize {
                // Linear: drop the lowest bit, add that bit's multiple.
                let bit = value.trailing_zeros() as usize;
                table[value] = xor(table[value & (value - 1)], basis[bit + shift]);
            }
            table
        };
        Self {
            len,
            high: table(4),
            low: table(0),
        }
    }

    fn remainder(&self, data: &[u8]) -> impl Iterator<Item = u8> {
        let mut r: Register = [0; 4];
        for &byte in data {
            let factor = usize::from(byte ^ (r[0] >> 56) as u8);
            let shifted = [
                r[0] << 8 | r[1] >> 56,
                r[1] << 8 | r[2] >> 56,
                r[2] << 8 | r[3] >> 56,
                r[3] << 8,
            ];
            r = xor(shifted, xor(self.high[factor >> 4], self.low[factor & 15]));
        }
        r.into_iter().flat_map(u64::to_be_bytes).take(self.len)
    }
}

fn xor(a: Register, b: Register) -> Register {
    [a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3]]
}

/// The degrees that occur in table 9.
const DEGREES: [usize; 13] = [7, 10, 13, 15, 16, 17, 18, 20, 22, 24, 26, 28, 30];

/// Per degree, the generator polynomial times 1, 2, 4 … 128, without its leading coefficient.
const MULTIPLES: [[Register; 8]; 13] = {
    let mut table = [[[0; 4]; 8]; 13];
    let mut index = 0;
    while index < 13 {
        let generator = generator(DEGREES[index]);
        let mut bit = 0;
        while bit < 8 {
            let mut i = 0;
            while i < DEGREES[index] {
                let byte = multiply(generator[i], 1 << bit) as u64;
                table[index][bit][i / 8] |= byte << (56 - 8 * (i % 8));
                i += 1;
            }
            bit += 1;
        }
        index += 1;
    }
    table
};

/// (x − 1)(x − 2)(x − 4) … over GF(256), highest coefficient first, the leading 1 left out.
const fn generator(degree: usize) -> [u8; 30] {
    let mut coefficients = [0; 30];
    coefficients[degree - 1] = 1;
    let mut root = 1;
    let mut factor = 0;
    while factor < degree {
        let mut i = 0;
        while i < degree {
            let next = if i + 1 < degree {
                coefficients[i + 1]
            } else {
                0
            };
            coefficients[i] = multiply(coefficients[i], root) ^ next;
            i += 1;
        }
        root = multiply(root, 2);
        factor += 1;
    }
    coefficients
}

/// Product in GF(256) modulo x⁸ + x⁴ + x³ + x² + 1 (§7.5.2).
const fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0_u16;
    let mut bit = 8;
    while bit > 0 {
        bit -= 1;
        product = (product << 1) ^ ((product >> 7) * 0x11D);
        product ^= ((b as u16 >> bit) & 1) * a as u16;
    }
    product as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_the_standard() {
        // ISO/IEC 18004 annex I: "01234567", version 1-M.
        let version = Version::new(1).unwrap();
        let segments = [Segment {
            mode: Mode::Numeric,
            len: 8,
        }];
        let expected = [
            0x10, 0x20, 0x0C, 0x56, 0x61, 0x80, 0xEC, 0x11, 0xEC, 0x11, 0xEC, 0x11, 0xEC, 0x11,
            0xEC, 0x11, 0xA5, 0x24, 0xD4, 0xC1, 0xED, 0x36, 0xC7, 0x87, 0x2C, 0x55,
        ];
        assert_eq!(
            codewords(b"01234567", &segments, version, Level::M),
            expected
        );
    }

    #[test]
    fn a_block_with_its_remainder_vanishes_at_every_root() {
        for &len in &DEGREES {
            let data: Vec<u8> = (0..100).map(|i| (i * 37 + 11) as u8).collect();
            let code: Vec<u8> = data
                .iter()
                .copied()
                .chain(ReedSolomon::new(len).remainder(&data))
                .collect();
            assert_eq!(code.len(), 100 + len);
            let mut root = 1;
            for _ in 0..len {
                assert_eq!(
                    code.iter().fold(0, |sum, &byte| multiply(sum, root) ^ byte),
                    0
                );
                root = multiply(root, 2);
            }
        }
    }
}
