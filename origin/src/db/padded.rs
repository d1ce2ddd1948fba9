//! Statements over a group of rows. Their texts come in a few sizes only, so that each is prepared once for a
//! connection; what is missing to the next size is filled up by repeating the last row.

use std::sync::OnceLock;

/// How many rows a text can take.
const SIZES: [usize; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/// The most rows of one statement.
pub const MAX_ROWS: usize = 64;

/// A statement in all its sizes.
pub struct Padded {
    head: &'static str,
    tail: &'static str,
    /// Parameters before the rows.
    fixed: usize,
    shape: Shape,
    texts: [OnceLock<String>; SIZES.len()],
}

#[derive(Clone, Copy)]
enum Shape {
    /// `($1), ($2)` with so many columns each.
    Rows(usize),
    /// `($1, $2)`.
    List,
}

impl Padded {
    /// `head VALUES-rows tail`, such as an INSERT; rows of `columns` parameters.
    #[must_use]
    pub const fn rows(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, tail, fixed: 0, shape: Shape::Rows(columns), texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// `head (list) tail`, such as a SELECT with `IN`; `fixed` parameters stand before the list.
    #[must_use]
    pub const fn list(head: &'static str, fixed: usize, tail: &'static str) -> Self {
        Self { head, tail, fixed, shape: Shape::List, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// The text that takes `rows` (1 to [`MAX_ROWS`]), and how many it takes.
    #[must_use]
    pub fn text(&'static self, rows: usize) -> (&'static str, usize) {
        let fitting = SIZES.into_iter().zip(&self.texts).find(|(size, _)| *size >= rows);
        let largest = SIZES.into_iter().zip(&self.texts).last();
        match fitting.or(largest) {
            Some((size, text)) => (text.get_or_init(|| self.build(size)).as_str(), size),
            None => ("", 0),
        }
    }

    fn build(&self, size: usize) -> String {
        let parameters = |from: usize, count: usize| {
            let names: Vec<String> = (from..from + count).map(|number| format!("${number}")).collect();
            format!("({})", names.join(", "))
        };
        let first = self.fixed + 1;
        let body = match self.shape {
            Shape::List => parameters(first, size),
            Shape::Rows(columns) => {
                let rows: Vec<String> = (0..size).map(|row| parameters(first + row * columns, columns)).collect();
                rows.join(", ")
            }
        };
        format!("{} {body} {}", self.head, self.tail).trim_end().to_owned()
    }
}

/// The items, and the last one again until there are `size`.
pub fn pad<T>(items: &[T], size: usize) -> impl Iterator<Item = &T> {
    let filler = items.last().into_iter().cycle().take(size.saturating_sub(items.len()));
    items.iter().chain(filler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_next_size() {
        static INSERT: Padded = Padded::rows("INSERT INTO t (a, b) VALUES", 2, "ON CONFLICT DO NOTHING");
        static SELECT: Padded = Padded::list("SELECT a FROM t WHERE b = $1 AND a IN", 1, "");
        assert_eq!(INSERT.text(1), ("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING", 1));
        assert_eq!(INSERT.text(2), ("INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING", 2));
        assert_eq!(SELECT.text(3), ("SELECT a FROM t WHERE b = $1 AND a IN ($2, $3, $4)", 3));
        assert_eq!([5, 8, 9, 33, 64].map(|rows| SELECT.text(rows).1), [6, 8, 12, 48, 64]);
        assert_eq!(pad(&[1, 2, 3], 4).copied().collect::<Vec<_>>(), [1, 2, 3, 3]);
    }
}
