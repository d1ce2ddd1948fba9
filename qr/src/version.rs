//! What ISO/IEC 18004 fixes for each version and error correction level.

/// Error correction level: the share of codewords that may be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// About 7 %.
    L,
    /// About 15 %.
    M,
    /// About 25 %.
    Q,
    /// About 30 %.
    H,
}

/// Which level a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecc {
    /// The highest level that still fits the smallest version that M needs.
    ///
    /// A larger symbol scans worse than a weaker one, so a higher level is taken only when free.
    Auto,
    /// Exactly this level.
    Fixed(Level),
}

/// Symbol size: version `v` has `17 + 4v` modules on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u8);

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Self; 4] = [Self::L, Self::M, Self::Q, Self::H];

    /// The two bits in the format information (ISO/IEC 18004 table 12).
    pub(crate) fn format_bits(self) -> u32 {
        match self {
            Self::L => 0b01,
            Self::M => 0b00,
            Self::Q => 0b11,
            Self::H => 0b10,
        }
    }
}

impl Version {
    /// The largest symbol, 177 × 177 modules.
    pub const MAX: Self = Self(40);

    /// `None` outside 1–40.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (1..=40).contains(&number).then_some(Self(number))
    }

    /// All versions, smallest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=40).map(Self)
    }

    /// 1–40.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Modules on each side.
    #[must_use]
    pub fn size(self) -> u32 {
        17 + 4 * u32::from(self.0)
    }

    /// Codewords that carry the message at this level.
    pub(crate) fn data_codewords(self, level: Level) -> usize {
        let (per_block, blocks) = self.blocks(level);
        self.total_codewords() - per_block * blocks
    }

    /// Data and error correction codewords together.
    ///
    /// The modules that no function pattern takes, in bytes; up to seven are left over.
    pub(crate) fn total_codewords(self) -> usize {
        let v = usize::from(self.0);
        let mut modules = (16 * v + 128) * v + 64;
        if v >= 2 {
            let centres = v / 7 + 2;
            modules -= (25 * centres - 10) * centres - 55;
        }
        if v >= 7 {
            modules -= 36;
        }
        modules / 8
    }

    /// Error correction codewords per block, and the number of blocks (table 9).
    pub(crate) fn blocks(self, level: Level) -> (usize, usize) {
        let pick = |table: &[[u8; 40]; 4]| {
            let row = table.get(level as usize);
            let entry = row.and_then(|row| row.get(usize::from(self.0) - 1));
            usize::from(entry.copied().unwrap_or(0))
        };
        (pick(&ECC_PER_BLOCK), pick(&BLOCKS))
    }

    /// Centres of the alignment patterns along one axis (annex E): the first is 6, the last
    /// `size - 7`, the others at one even step counted from the last.
    pub(crate) fn alignment_centres(self) -> impl Iterator<Item = u32> + Clone {
        let v = u32::from(self.0);
        let count = if v == 1 { 0 } else { v / 7 + 2 };
        let last = self.size() - 7;
        // The even step that is at least an equal division; version 32 is the table's exception.
        let step = match v {
            1 => 0,
            32 => 26,
            _ => (last - 6).div_ceil(2 * (count - 1)) * 2,
        };
        (0..count).map(move |i| {
            if i == 0 {
                6
            } else {
                last - (count - 1 - i) * step
            }
        })
    }
}

#[rustfmt::skip]
const ECC_PER_BLOCK: [[u8; 40]; 4] = [
    [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28,
     28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
    [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
     26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28],
    [13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30,
     28, 30, 30, 30, 30, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
    [17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28,
     30, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
];

#[rustfmt::skip]
const BLOCKS: [[u8; 40]; 4] = [
    [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8,
     8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25],
    [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16,
     17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49],
    [1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20,
     23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45, 48, 51, 53, 56, 59, 62, 65, 68],
    [1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25,
     25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 74, 77, 81],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_match_the_standard() {
        // Table 7: data codewords of the corners and of a few in between.
        let capacity = |v, level| Version::new(v).unwrap().data_codewords(level);
        assert_eq!(capacity(1, Level::L), 19);
        assert_eq!(capacity(1, Level::H), 9);
        assert_eq!(capacity(2, Level::M), 28);
        assert_eq!(capacity(7, Level::Q), 88);
        assert_eq!(capacity(25, Level::M), 1000);
        assert_eq!(capacity(40, Level::L), 2956);
        assert_eq!(capacity(40, Level::H), 1276);
    }

    #[test]
    fn alignment_centres_match_annex_e() {
        let centres = |v| {
            Version::new(v)
                .unwrap()
                .alignment_centres()
                .collect::<Vec<_>>()
        };
        assert_eq!(centres(1), []);
        assert_eq!(centres(2), [6, 18]);
        assert_eq!(centres(7), [6, 22, 38]);
        assert_eq!(centres(22), [6, 26, 50, 74, 98]);
        assert_eq!(centres(32), [6, 34, 60, 86, 112, 138]);
        assert_eq!(centres(36), [6, 24, 50, 76, 102, 128, 154]);
        assert_eq!(centres(39), [6, 26, 54, 82, 110, 138, 166]);
        assert_eq!(centres(40), [6, 30, 58, 86, 114, 142, 170]);
    }

    #[test]
    fn versions_outside_the_standard_do_not_exist() {
        assert_eq!(Version::new(0), None);
        assert_eq!(Version::new(41), None);
        assert_eq!(Version::all().last(), Some(Version::MAX));
    }
}
