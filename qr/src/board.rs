//! The symbol under construction: function patterns, placement, masks.
#![expect(
    clippy::indexing_slicing,
    reason = "rows and columns are below the version's size"
)]

use crate::bits::Bits;
use crate::matrix::Mask;
use crate::penalty;
use crate::version::{Level, Version};

/// The symbol, unmasked, by rows and by columns.
pub(crate) struct Board<B, const N: usize> {
    version: Version,
    rows: [B; N],
    columns: [B; N],
    /// Which modules belong to function patterns; the same by rows and by columns.
    function: [B; N],
    /// What a mask may invert: everything else.
    maskable: [B; N],
}

impl<B: Bits, const N: usize> Board<B, N> {
    /// Finders, timing, alignment and version patterns (ISO/IEC 18004 §6.3, §7.10).
    pub(crate) fn with_function_patterns(version: Version) -> Self {
        let (size, n) = (version.size(), version.size() as usize);
        let mut rows = [B::ZERO; N];
        let mut function = [B::ZERO; N];
        // Timing: row 6 and column 6, dark at even places.
        let even = B::repeat12(0b0101_0101_0101) & B::span(0, size);
        for y in 0..n {
            rows[y] = if y % 2 == 0 { B::bit(6) } else { B::ZERO };
            function[y] = B::bit(6);
        }
        rows[6] = even;
        function[6] = B::span(0, size);
        // Finders with separators; the areas also hold the format information.
        let (ends, both) = (B::span(0, 9) | B::span(size - 8, 8), B::span(0, 9));
        for (i, line) in FINDER.into_iter().enumerate() {
            let line = B::from_low(line);
            rows[i] = rows[i] & !ends | line | line << (size - 7);
            function[i] = function[i] | ends;
            let below = n - 7 + i;
            rows[below] = rows[below] & !both | line;
            function[below] = function[below] | both;
        }
        for y in [7, 8] {
            rows[y] = rows[y] & !ends;
            function[y] = function[y] | ends;
        }
        rows[8] = rows[8] | B::bit(6);
        rows[6] = rows[6] | B::bit(8);
        rows[n - 8] = rows[n - 8] & !both;
        function[n - 8] = function[n - 8] | both;
        let mut board = Self {
            version,
            rows,
            columns: rows,
            function,
            maskable: function,
        };
        board.draw_alignment();
        board.draw_version();
        board.maskable = board.function.map(|line| !line & B::span(0, size));
        // Every function pattern so far is its own mirror image.
        board.columns = board.rows;
        board
    }

    fn draw_alignment(&mut self) {
        let last = self.version.size() - 7;
        let centres = self.version.alignment_centres();
        for (cy, cx) in centres
            .clone()
            .flat_map(|cy| centres.clone().map(move |cx| (cy, cx)))
        {
            if matches!((cy, cx), (6, 6)) || (cy, cx) == (6, last) || (cy, cx) == (last, 6) {
                continue; // a finder is there
            }
            let area = B::span(cx - 2, 5);
            for (i, line) in ALIGNMENT.into_iter().enumerate() {
                let y = cy as usize - 2 + i;
                self.rows[y] = self.rows[y] & !area | B::from_low(line) << (cx - 2);
                self.function[y] = self.function[y] | area;
            }
        }
    }

    /// Version information from version 7: six bits of number, twelve of Golay code (annex D).
    fn draw_version(&mut self) {
        let number = u32::from(self.version.number());
        if number < 7 {
            return;
        }
        let bits = u64::from(number << 12 | remainder(number << 12, 0x1F25));
        let far = self.version.size() - 11;
        for i in 0..6_u32 {
            let y = i as usize;
            self.rows[y] = self.rows[y] | B::from_low(bits >> (3 * i) & 7) << far;
            self.function[y] = self.function[y] | B::span(far, 3);
        }
        for i in 0..3_u32 {
            let y = (far + i) as usize;
            let line = (0..6).fold(0, |line, x| line | (bits >> (3 * x + i) & 1) << x);
            self.rows[y] = self.rows[y] | B::from_low(line);
            self.function[y] = self.function[y] | B::span(0, 6);
        }
    }

    /// Writes the codewords in the zig-zag of two columns (§7.7.3). Left-over modules stay light.
    pub(crate) fn place(&mut self, codewords: &[u8]) {
        let size = self.version.size();
        let mut bits = BitReader {
            bytes: codewords.iter(),
            bits: 0,
            len: 0,
        };
        let mut right = size - 1;
        let mut upwards = true;
        loop {
            let left = right - 1;
            let (mut right_column, mut left_column) = (B::ZERO, B::ZERO);
            for i in 0..size {
                let y = if upwards { size - 1 - i } else { i };
                // Bit 0: the left module is taken by a function pattern, bit 1: the right one.
                let pair = match (self.function[y as usize] >> left).low() & 3 {
                    0 => bits.take(2),
                    1 => bits.take(1) << 1,
                    2 => bits.take(1),
                    _ => continue,
                };
                self.rows[y as usize] = self.rows[y as usize] | B::from_low(pair) << left;
                right_column = right_column | B::from_low(pair >> 1) << y;
                left_column = left_column | B::from_low(pair & 1) << y;
            }
            self.columns[right as usize] = self.columns[right as usize] | right_column;
            self.columns[left as usize] = self.columns[left as usize] | left_column;
            upwards = !upwards;
            // Column 6 is the timing pattern: the pairs left of it are shifted by one.
            right = match right {
                1 => return,
                8 => 5,
                _ => right - 2,
            };
        }
    }

    pub(crate) fn best_mask(&self, level: Level) -> Mask {
        let size = self.version.size();
        let mut best = (u32::MAX, Mask::FIRST);
        for mask in Mask::all() {
            let score = if size < penalty::COLUMN_AT - 4 {
                let (rows, columns) = (self.masked(mask, level), self.masked_columns(mask, level));
                let lines = penalty::rows_with_columns(rows, columns, size);
                lines.score + lines.balance(size)
            } else {
                let lines = penalty::rows(self.masked(mask, level), size);
                let by_rows = lines.score + lines.balance(size);
                if by_rows >= best.0 {
                    continue; // the columns can only add to it
                }
                by_rows + penalty::columns(self.masked_columns(mask, level), size)
            };
            if score < best.0 {
                best = (score, mask);
            }
        }
        best.1
    }

    pub(crate) fn masked(&self, mask: Mask, level: Level) -> impl Iterator<Item = B> {
        let format = self.format(mask, level);
        self.mask_lines(&self.rows, &MASK_ROWS[usize::from(mask.number())], format)
    }

    fn masked_columns(&self, mask: Mask, level: Level) -> impl Iterator<Item = B> {
        let (along, across) = self.format(mask, level);
        self.mask_lines(
            &self.columns,
            &MASK_COLUMNS[usize::from(mask.number())],
            (across, along),
        )
    }

    fn mask_lines(
        &self,
        lines: &[B; N],
        pattern: &'static [u16; 12],
        (along, across): (B, B),
    ) -> impl Iterator<Item = B> {
        let patterns = pattern.map(B::repeat12);
        let size = self.version.size() as usize;
        let lines = lines.iter().zip(&self.maskable).take(size);
        lines.enumerate().map(move |(i, (&line, &maskable))| {
            let masked = line ^ (patterns[i % 12] & maskable);
            let format = if i == 8 {
                along
            } else {
                B::from_low((across >> i as u32).low() & 1) << 8
            };
            masked | format
        })
    }

    /// The format information (§7.9) as row 8 and as column 8, the lone dark module included.
    fn format(&self, mask: Mask, level: Level) -> (B, B) {
        let size = self.version.size();
        let data = level.format_bits() << 3 | u32::from(mask.number());
        let bits = u64::from((data << 10 | remainder(data << 10, 0x537)) ^ 0x5412);
        let reversed = bits.reverse_bits() >> 49;
        // Six modules beside the finder, skip the timing pattern, then up to the corner.
        let corner = |bits: u64| bits & 0x3F | (bits & 0x40) << 1;
        let row = B::from_low(corner(reversed) | (bits >> 7 & 1) << 8)
            | B::from_low(reversed >> 7) << (size - 8);
        let column = B::from_low(corner(bits) | (bits >> 7 & 1) << 8)
            | B::from_low(bits >> 8 << 1 | 1) << (size - 8);
        (row, column)
    }
}

struct BitReader<'a> {
    bytes: std::slice::Iter<'a, u8>,
    bits: u64,
    len: u32,
}

impl BitReader<'_> {
    /// The next one or two bits; zeros after the end.
    fn take(&mut self, len: u32) -> u64 {
        if self.len < len {
            for _ in 0..4 {
                self.bits = self.bits << 8 | u64::from(self.bytes.next().copied().unwrap_or(0));
            }
            self.len += 32;
        }
        self.len -= len;
        self.bits >> self.len & ((1 << len) - 1)
    }
}

/// Remainder of a polynomial division over GF(2).
fn remainder(mut value: u32, generator: u32) -> u32 {
    while value.leading_zeros() <= generator.leading_zeros() {
        value ^= generator << (generator.leading_zeros() - value.leading_zeros());
    }
    value
}

const FINDER: [u64; 7] = [
    0b111_1111, 0b100_0001, 0b101_1101, 0b101_1101, 0b101_1101, 0b100_0001, 0b111_1111,
];
const ALIGNMENT: [u64; 5] = [0b11111, 0b10001, 0b10101, 0b10001, 0b11111];

/// Twelve rows (columns) of each mask, twelve modules wide: every pattern repeats by then.
const MASK_ROWS: [[u16; 12]; 8] = mask_lines(false);
const MASK_COLUMNS: [[u16; 12]; 8] = mask_lines(true);

const fn mask_lines(transposed: bool) -> [[u16; 12]; 8] {
    let mut masks = [[0; 12]; 8];
    let mut place = 0;
    while place < 8 * 144 {
        let (mask, line, bit) = (place / 144, place / 12 % 12, place % 12);
        let (x, y) = if transposed { (line, bit) } else { (bit, line) };
        if inverts(mask, x, y) {
            masks[mask][line] |= 1 << bit;
        }
        place += 1;
    }
    masks
}

/// Table 10 of the standard.
const fn inverts(mask: usize, x: usize, y: usize) -> bool {
    let value = match mask {
        0 => (x + y) % 2,
        1 => y % 2,
        2 => x % 3,
        3 => (x + y) % 3,
        4 => (y / 2 + x / 3) % 2,
        5 => x * y % 2 + x * y % 3,
        6 => (x * y % 2 + x * y % 3) % 2,
        _ => ((x + y) % 2 + x * y % 3) % 2,
    };
    value == 0
}
