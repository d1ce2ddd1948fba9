//! The four penalty rules that choose the mask (ISO/IEC 18004 §7.8.3), on whole rows at once.

use crate::bits::Bits;

/// Rules 1 and 3, and for rows also what rules 2 and 4 count. Lines are rows or columns.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) score: u32,
    dark: u32,
}

/// Scores all rows: runs, 2 × 2 blocks, finder-like patterns; counts dark modules.
pub(crate) fn rows<B: Bits>(lines: impl Iterator<Item = B>, size: u32) -> Lines {
    score(lines, B::span(0, size - 1), B::span(0, size))
}

/// Scores rows and columns at once where a word holds one of each: see [`COLUMN_AT`].
pub(crate) fn rows_with_columns<B: Bits>(
    rows: impl Iterator<Item = B>,
    columns: impl Iterator<Item = B>,
    size: u32,
) -> Lines {
    let lines = rows
        .zip(columns)
        .map(|(row, column)| row | column << COLUMN_AT);
    let pairs = B::span(0, size - 1) | B::span(COLUMN_AT, size - 1);
    score(lines, pairs, B::span(0, size))
}

/// Versions 1–3 have at most 29 modules: 5 light ones separate a row from the column above it in
/// the word, which is more than any pattern looks beyond its own end.
pub(crate) const COLUMN_AT: u32 = 34;

/// `pairs` are the places that have a next module in the same line; `row` is where rules 2 and 4,
/// which need no second direction, count.
fn score<B: Bits>(lines: impl Iterator<Item = B>, pairs: B, row: B) -> Lines {
    let mut total = Lines::default();
    let (mut above, mut equal_above) = (B::ZERO, B::ZERO);
    for line in lines {
        let equal = !(line ^ line >> 1) & pairs;
        // Rule 2: a pair that equals itself, the pair above it, and each other.
        let blocks = equal & equal_above & !(line ^ above) & row;
        total.score += runs(equal) + 3 * blocks.count_ones() + finder_like(line);
        total.dark += (line & row).count_ones();
        (above, equal_above) = (line, equal);
    }
    total
}

/// Scores all columns: runs and finder-like patterns.
pub(crate) fn columns<B: Bits>(lines: impl Iterator<Item = B>, size: u32) -> u32 {
    let pairs = B::span(0, size - 1);
    lines
        .map(|line| runs(!(line ^ line >> 1) & pairs) + finder_like(line))
        .sum()
}

impl Lines {
    /// Rule 4: ten for each full five per cent away from one half.
    pub(crate) fn balance(&self, size: u32) -> u32 {
        let all = size * size;
        10 * ((2 * self.dark).abs_diff(all) * 10 / all)
    }
}

/// Rule 1: a run of five scores 3, each further module 1.
///
/// `equal` has a bit where a module equals the next. Four such bits in a row start a window of
/// five; a run of length n has n − 4 windows and one first window: n − 4 + 2.
fn runs<B: Bits>(equal: B) -> u32 {
    let two = equal & equal >> 1;
    let windows = two & two >> 2;
    let first = windows & !(windows << 1);
    windows.count_ones() + 2 * first.count_ones()
}

/// Rule 3: dark-light-dark 1:1:3:1:1 with four light modules before or after scores 40.
fn finder_like<B: Bits>(line: B) -> u32 {
    let dark = line & line >> 2;
    let core = dark & (dark >> 4) & (line >> 3) & !(line >> 1 | line >> 5);
    // Outside the symbol is light: shifts fill with zeros.
    let (after, before) = (line | line >> 1, line | line << 1);
    let light_after = !((after | after >> 2) >> 7);
    let light_before = !((before | before << 2) << 1);
    let light_around = light_after | light_before;
    40 * (core & light_around).count_ones()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bits::Wide;
    use proptest::prelude::*;

    /// The rules read literally, module by module.
    pub(crate) fn literal(grid: &[Vec<bool>]) -> u32 {
        let size = grid.len();
        let transposed: Vec<Vec<bool>> = (0..size)
            .map(|x| grid.iter().map(|row| row[x]).collect())
            .collect();
        let mut score = 0;
        for line in grid.iter().chain(&transposed) {
            for run in line.chunk_by(|a, b| a == b).filter(|run| run.len() >= 5) {
                score += 3 + run.len() as u32 - 5;
            }
            let core = [true, false, true, true, true, false, true];
            for start in 0..=size - 7 {
                let light = |range: std::ops::Range<isize>| {
                    let inside = range.filter_map(|i| usize::try_from(i).ok());
                    inside.filter_map(|i| line.get(i)).all(|dark| !dark)
                };
                let at = start as isize;
                if line[start..start + 7] == core && (light(at - 4..at) || light(at + 7..at + 11)) {
                    score += 40;
                }
            }
        }
        for (y, x) in (1..size).flat_map(|y| (1..size).map(move |x| (y, x))) {
            let block = [
                grid[y][x],
                grid[y - 1][x],
                grid[y][x - 1],
                grid[y - 1][x - 1],
            ];
            score += if block == [block[0]; 4] { 3 } else { 0 };
        }
        let dark = grid.iter().flatten().filter(|dark| **dark).count() as f64;
        let percent = dark * 100.0 / (size * size) as f64;
        score + 10 * ((percent - 50.0).abs() / 5.0 + 1e-9) as u32
    }

    fn pack<B: Bits>(lines: &[Vec<bool>]) -> Vec<B> {
        let bit = |(x, &dark): (usize, &bool)| if dark { B::bit(x as u32) } else { B::ZERO };
        lines
            .iter()
            .map(|l| l.iter().enumerate().map(bit).fold(B::ZERO, |a, b| a | b))
            .collect()
    }

    fn by_words<B: Bits>(grid: &[Vec<bool>]) -> u32 {
        let size = grid.len() as u32;
        let transposed: Vec<Vec<bool>> = (0..grid.len())
            .map(|x| grid.iter().map(|row| row[x]).collect())
            .collect();
        let lines = rows(pack::<B>(grid).into_iter(), size);
        let score = lines.score + columns(pack::<B>(&transposed).into_iter(), size);
        if size <= 29 {
            let columns = pack::<B>(&transposed).into_iter();
            let both = rows_with_columns(pack::<B>(grid).into_iter(), columns, size);
            assert_eq!((both.score, both.dark), (score, lines.dark));
        }
        score + lines.balance(size)
    }

    proptest! {
        #[test]
        fn words_score_as_the_rules_read(
            size in prop::sample::select(vec![21_usize, 25, 29, 61]),
            cells in prop::collection::vec(prop::bool::weighted(0.6), 61 * 61),
            copies in prop::collection::vec((0_usize..61, 0_usize..61), 0..40),
        ) {
            let mut grid: Vec<Vec<bool>> =
                (0..size).map(|y| cells[y * size..(y + 1) * size].to_vec()).collect();
            // Plant finder-like cores so that rule 3 has something to find.
            for (y, x) in copies {
                let (y, x) = (y % size, x % (size - 6));
                grid[y][x..x + 7].copy_from_slice(&[true, false, true, true, true, false, true]);
                for dark in grid[y].iter_mut().skip(x + 7).take(4) {
                    *dark = false;
                }
            }
            prop_assert_eq!(by_words::<u64>(&grid), literal(&grid));
            prop_assert_eq!(by_words::<Wide>(&grid), literal(&grid));
        }
    }
}
