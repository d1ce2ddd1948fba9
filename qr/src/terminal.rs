//! The symbol for a terminal: two rows of modules per line.

use crate::matrix::Matrix;

/// ISO/IEC 18004 §6.3.8.
const QUIET_ZONE: u32 = 4;

impl Matrix {
    /// Half blocks with the quiet zone, black on white whatever the terminal's own colours are.
    ///
    /// The colours are entries 16 and 231 of the 256-colour cube, which themes do not change.
    #[must_use]
    pub fn to_terminal(&self) -> String {
        let size = self.size() + 2 * QUIET_ZONE;
        let dark = |x: u32, y: u32| {
            let inside = x.checked_sub(QUIET_ZONE).zip(y.checked_sub(QUIET_ZONE));
            inside.is_some_and(|(x, y)| self.is_dark(x, y))
        };
        let mut out = String::new();
        for y in (0..size).step_by(2) {
            out.push_str("\x1b[38;5;16;48;5;231m");
            out.extend((0..size).map(|x| match (dark(x, y), dark(x, y + 1)) {
                (false, false) => ' ',
                (true, false) => '▀',
                (false, true) => '▄',
                (true, true) => '█',
            }));
            out.push_str("\x1b[0m\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use crate::{Ecc, Matrix};

    #[test]
    fn every_module_is_there_within_a_quiet_zone() {
        let matrix = Matrix::encode(b"0123456789", Ecc::Auto).unwrap();
        let text = matrix.to_terminal();
        let lines: Vec<Vec<char>> = text
            .lines()
            .map(|line| {
                let line = line.strip_prefix("\x1b[38;5;16;48;5;231m").unwrap();
                line.strip_suffix("\x1b[0m").unwrap().chars().collect()
            })
            .collect();
        assert_eq!(lines.len(), 15);
        for y in 0..30 {
            assert_eq!(lines[y / 2].len(), 29);
            for (x, &cell) in lines[y / 2].iter().enumerate() {
                let seen = cell == '█' || cell == ['▀', '▄'][y % 2];
                let inside = (4..25).contains(&x) && (4..25).contains(&y);
                assert_eq!(seen, inside && matrix.is_dark(x as u32 - 4, y as u32 - 4));
            }
        }
    }
}
