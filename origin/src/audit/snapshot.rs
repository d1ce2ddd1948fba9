//! All chains as of one moment, while they grow: what is read page by page is cut where the chains stood at its start.
//!
//! A link that names another was written after it, so that whatever a link of the snapshot names is in the snapshot.

use std::collections::BTreeMap;

use super::verify::{ChainRow, Item};

/// Where every chain stood.
#[derive(Debug)]
pub struct Snapshot {
    heads: BTreeMap<String, i64>,
    /// Up to which link the present chain goes.
    end: i64,
    /// A chain that may have begun later: known when its first link comes, or does not.
    pending: Option<ChainRow>,
}

impl Snapshot {
    /// From [`source::snapshot`](super::source::snapshot); `None` when that is not what it is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let head = |line: &str| {
            let (chain, number) = line.split_once(' ')?;
            Some((chain.to_owned(), number.parse().ok()?))
        };
        let heads = text.lines().map(head).collect::<Option<_>>()?;
        Some(Self { heads, end: 0, pending: None })
    }

    /// Passes on what belongs to the snapshot; `None` at the end. What is wrong with the chains stays: links without a
    /// registered chain, and a chain without links.
    pub fn pass(&mut self, item: Option<Item>) -> Vec<Item> {
        let before = self.pending.take().map(Item::Chain);
        match item {
            Some(Item::Chain(row)) => {
                self.end = self.heads.get(&row.id).copied().unwrap_or(i64::MAX);
                let is_new = row.process.is_some() && !self.heads.contains_key(&row.id);
                if is_new {
                    self.pending = Some(row);
                    return before.into_iter().collect();
                }
                before.into_iter().chain([Item::Chain(row)]).collect()
            }
            Some(Item::Link(link)) => {
                if before.is_some() {
                    self.end = i64::MIN;
                }
                if link.number <= self.end { vec![Item::Link(link)] } else { Vec::new() }
            }
            None => before.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::verify::LinkRow;

    fn chain(id: &str, is_registered: bool) -> Item {
        let process = is_registered.then(String::new);
        Item::Chain(ChainRow { id: id.to_owned(), process, started_at_ms: 0 })
    }

    fn link(number: i64) -> Item {
        let (entries, hash) = (String::new(), Vec::new());
        Item::Link(LinkRow { number, at_ms: 0, entries, hash, key_id: None, signature: None })
    }

    #[test]
    fn what_came_later_is_left_out_and_what_is_wrong_stays() {
        let mut snapshot = Snapshot::parse("a 2\nc 1\n").unwrap();
        let items = [
            chain("a", true),
            link(1),
            link(2),
            link(3),
            chain("b", true), // begun since
            link(1),
            link(2),
            chain("c", true),
            link(1),
            chain("d", false), // its row was taken away
            link(1),
            chain("e", true), // its links were
            chain("f", true),
        ];
        let mut passed: Vec<Item> = items.iter().cloned().flat_map(|item| snapshot.pass(Some(item))).collect();
        passed.extend(snapshot.pass(None));
        let expected: Vec<Item> = [0, 1, 2, 7, 8, 9, 10, 11, 12].iter().map(|at: &usize| items[*at].clone()).collect();
        assert_eq!(passed, expected);
        assert!(Snapshot::parse("a\n").is_none() && Snapshot::parse("a b\n").is_none());
    }
}
