//! The symbol: its plan (segments, version, level) and its modules.

use crate::bits::{Bits, Wide};
use crate::board::Board;
use crate::codewords::codewords;
use crate::segment::{Segment, bit_length, segment};
use crate::version::{Ecc, Level, Version};

/// How a message will be written: decided before anything is drawn.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    message: &'a [u8],
    segments: Vec<Segment>,
    version: Version,
    level: Level,
}

/// A finished symbol, without quiet zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    version: Version,
    level: Level,
    mask: Mask,
    rows: Vec<[u64; 3]>,
}

/// One of the eight mask patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(u8);

/// The message does not fit version 40 at the level asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message does not fit a QR symbol")
    }
}

impl std::error::Error for TooLong {}

impl Mask {
    pub(crate) const FIRST: Self = Self(0);

    /// All masks in the order of their references.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8).map(Self)
    }

    /// The mask pattern reference, 0–7.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl<'a> Plan<'a> {
    /// The smallest version, then the level.
    ///
    /// # Errors
    /// [`TooLong`] when no version holds the message.
    pub fn new(message: &'a [u8], ecc: Ecc) -> Result<Self, TooLong> {
        // More digits than this fit nothing; it also bounds the segmentation's work.
        if message.len() > 7089 {
            return Err(TooLong);
        }
        let least = match ecc {
            Ecc::Auto => Level::M,
            Ecc::Fixed(level) => level,
        };
        // Count fields widen after versions 9 and 26, which changes what the best split is.
        for (first, last) in [(1, 9), (10, 26), (27, 40)] {
            let segments = segment(message, Version::new(first).ok_or(TooLong)?);
            let fits = |version: &Version, level| {
                bit_length(&segments, *version) <= 8 * version.data_codewords(level)
            };
            let mut versions = (first..=last).filter_map(Version::new);
            if let Some(version) = versions.find(|version| fits(version, least)) {
                let free = |level: &&Level| ecc == Ecc::Auto && fits(&version, **level);
                let level = *Level::ALL.iter().rev().find(free).unwrap_or(&least);
                return Ok(Self {
                    message,
                    segments,
                    version,
                    level,
                });
            }
        }
        Err(TooLong)
    }

    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The runs that the message is split into.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Draws the symbol with the mask of the lowest penalty.
    #[must_use]
    pub fn draw(&self) -> Matrix {
        self.draw_sized(None)
    }

    /// Draws the symbol with a mask of the caller's.
    #[must_use]
    pub fn draw_with(&self, mask: Mask) -> Matrix {
        self.draw_sized(Some(mask))
    }

    fn draw_sized(&self, mask: Option<Mask>) -> Matrix {
        match self.version.number() {
            ..=11 => self.draw_in::<u64, 61>(mask),
            _ => self.draw_in::<Wide, 177>(mask),
        }
    }

    fn draw_in<B: Bits, const N: usize>(&self, mask: Option<Mask>) -> Matrix {
        let mut board = Board::<B, N>::with_function_patterns(self.version);
        board.place(&codewords(
            self.message,
            &self.segments,
            self.version,
            self.level,
        ));
        let mask = mask.unwrap_or_else(|| board.best_mask(self.level));
        let rows = board.masked(mask, self.level).map(Bits::words).collect();
        Matrix {
            version: self.version,
            level: self.level,
            mask,
            rows,
        }
    }
}

impl Matrix {
    /// Plans and draws in one step.
    ///
    /// # Errors
    /// [`TooLong`] when no version holds the message.
    pub fn encode(message: &[u8], ecc: Ecc) -> Result<Self, TooLong> {
        Ok(Plan::new(message, ecc)?.draw())
    }

    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    #[must_use]
    pub fn mask(&self) -> Mask {
        self.mask
    }

    /// Modules on each side.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.version.size()
    }

    /// Light outside the symbol.
    #[must_use]
    pub fn is_dark(&self, x: u32, y: u32) -> bool {
        let word = self
            .rows
            .get(y as usize)
            .and_then(|row| row.get((x / 64) as usize));
        word.is_some_and(|word| word >> (x % 64) & 1 == 1)
    }

    /// Each row as the columns where its dark runs start and end, in ascending order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = DarkRuns> {
        self.rows.iter().map(|&row| DarkRuns::new(row))
    }
}

/// The dark runs of one row as `(start, end)`.
pub(crate) struct DarkRuns {
    changes: [u64; 3],
}

impl DarkRuns {
    pub(crate) fn new([a, b, c]: [u64; 3]) -> Self {
        // A bit where a module differs from the one before it.
        Self {
            changes: [a ^ a << 1, b ^ (b << 1 | a >> 63), c ^ (c << 1 | b >> 63)],
        }
    }

    fn next_change(&mut self) -> Option<u32> {
        for (base, word) in (0..).step_by(64).zip(&mut self.changes) {
            if *word != 0 {
                let bit = word.trailing_zeros();
                *word &= *word - 1;
                return Some(base + bit);
            }
        }
        None
    }
}

impl Iterator for DarkRuns {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        Some((self.next_change()?, self.next_change()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::tests::literal;
    use proptest::prelude::*;

    fn penalty(matrix: &Matrix) -> u32 {
        let row = |y| (0..matrix.size()).map(|x| matrix.is_dark(x, y)).collect();
        literal(&(0..matrix.size()).map(row).collect::<Vec<_>>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_first_mask_of_the_lowest_penalty_is_drawn(message in prop::collection::vec(0_u8.., 0..400)) {
            let plan = Plan::new(&message, Ecc::Auto).unwrap();
            let best = Mask::all().min_by_key(|&mask| penalty(&plan.draw_with(mask))).unwrap();
            prop_assert_eq!(plan.draw(), plan.draw_with(best));
        }

        #[test]
        fn dark_runs_are_the_dark_modules(row: [u64; 3]) {
            // As in a symbol, the last columns are light.
            let row = [row[0], row[1], row[2] >> 15];
            let mut seen = [0_u64; 3];
            for (start, end) in DarkRuns::new(row) {
                prop_assert!(start < end);
                (start..end).for_each(|x| seen[x as usize / 64] |= 1 << (x % 64));
            }
            prop_assert_eq!(seen, row);
        }
    }
}
