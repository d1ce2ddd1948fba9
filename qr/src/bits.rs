//! A row of modules as machine words, so that whole rows are masked and scored at once.
#![expect(
    clippy::indexing_slicing,
    reason = "indices are bounded by the loops over three words"
)]

use std::ops::{BitAnd, BitOr, BitXor, Not, Shl, Shr};

/// A row of modules, bit `x` is column `x`, 1 is dark.
///
/// Shifts fill with zeros: what lies outside the symbol is light, as the quiet zone is.
pub(crate) trait Bits:
    Copy
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    const ZERO: Self;

    /// The lowest 64 columns.
    fn low(self) -> u64;
    fn from_low(low: u64) -> Self;
    fn count_ones(self) -> u32;
    /// A pattern of twelve columns, repeated over the row.
    fn repeat12(pattern: u16) -> Self;
    fn words(self) -> [u64; 3];

    /// `len` dark modules from column `start`.
    fn span(start: u32, len: u32) -> Self {
        !(!Self::ZERO << len) << start
    }

    fn bit(column: u32) -> Self {
        Self::from_low(1) << column
    }
}

/// Versions 1–11 have at most 61 columns.
impl Bits for u64 {
    const ZERO: Self = 0;

    fn low(self) -> u64 {
        self
    }

    fn from_low(low: u64) -> Self {
        low
    }

    fn count_ones(self) -> u32 {
        Self::count_ones(self)
    }

    fn repeat12(pattern: u16) -> Self {
        // One bit every twelve columns; the product copies the pattern to each of them.
        Self::from(pattern).wrapping_mul(0x1001_0010_0100_1001)
    }

    fn words(self) -> [u64; 3] {
        [self, 0, 0]
    }
}

/// Versions 12–40: up to 177 columns, lowest word first.
#[derive(Clone, Copy)]
pub(crate) struct Wide([u64; 3]);

impl Bits for Wide {
    const ZERO: Self = Self([0; 3]);

    fn low(self) -> u64 {
        self.0[0]
    }

    fn from_low(low: u64) -> Self {
        Self([low, 0, 0])
    }

    fn count_ones(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn repeat12(pattern: u16) -> Self {
        // 64 = 4 and 128 = 8 (mod 12): each word starts later in the pattern.
        let turned = |n: u32| (pattern >> n | pattern << (12 - n)) & 0xFFF;
        Self([pattern, turned(4), turned(8)].map(u64::repeat12))
    }

    fn words(self) -> [u64; 3] {
        self.0
    }
}

impl BitAnd for Wide {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl BitOr for Wide {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }
}

impl BitXor for Wide {
    type Output = Self;
    fn bitxor(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] ^ other.0[i]))
    }
}

impl Not for Wide {
    type Output = Self;
    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

impl Shl<u32> for Wide {
    type Output = Self;
    fn shl(self, by: u32) -> Self {
        let (words, bits) = ((by / 64) as usize, by % 64);
        Self(std::array::from_fn(|i| {
            let at = |lower: usize| i.checked_sub(lower).map_or(0, |i| self.0[i]);
            // `>> 1 >> (63 - bits)` is `>> (64 - bits)` without overflow at 0 bits.
            at(words) << bits | at(words + 1) >> 1 >> (63 - bits)
        }))
    }
}

impl Shr<u32> for Wide {
    type Output = Self;
    fn shr(self, by: u32) -> Self {
        let (words, bits) = ((by / 64) as usize, by % 64);
        Self(std::array::from_fn(|i| {
            let at = |higher: usize| self.0.get(i + higher).copied().unwrap_or(0);
            at(words) >> bits | at(words + 1) << 1 << (63 - bits)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    trait Has: Bits {
        fn has(self, column: u32) -> bool {
            (self >> column).low() & 1 == 1
        }
    }

    impl<B: Bits> Has for B {}

    #[test]
    fn wide_shifts_carry_over_words() {
        for from in 0..177 {
            for to in from..177 {
                assert!((Wide::bit(from) << (to - from)).has(to));
                assert!((Wide::bit(to) >> (to - from)).has(from));
                assert_eq!((Wide::bit(to) >> (to + 1)).count_ones(), 0);
            }
        }
    }

    #[test]
    fn spans_and_patterns_cover_their_columns() {
        let span = Wide::span(60, 100);
        let pattern = Wide::repeat12(0b1000_0000_0101);
        for x in 0..177 {
            assert_eq!(span.has(x), (60..160).contains(&x));
            assert_eq!(pattern.has(x), [0, 2, 11].contains(&(x % 12)));
        }
        assert_eq!(u64::repeat12(0b1000_0000_0101), pattern.low());
    }
}
