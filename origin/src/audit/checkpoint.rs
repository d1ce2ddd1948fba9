//! Chains that sign each other: a checkpoint lists where the other chains stand, and the log says where this one does.
//!
//! A head that stands in another chain, or outside of the database, is what shows that a tail was cut, or a whole chain
//! taken away: within one chain nothing can.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::chain::Audit;
use super::entry::Entry;
use super::link::{ChainId, Head};
use super::store;
use crate::db::DbError;
use crate::hex;

/// The action of a checkpoint.
pub(super) const CHECKPOINT: &str = "audit.checkpoint";
/// How a link begins that holds nothing but checkpoints.
const BEGINNING: &str = "[{\"action\":\"audit.checkpoint\"";
const EVERY_MS: u64 = 60_000;
/// Heads in one link, at most: some 150 bytes each.
const HEADS_PER_LINK: usize = 1000;

/// What this process has countersigned and logged.
#[derive(Default)]
pub(super) struct Checkpoints {
    known: BTreeMap<ChainId, Head>,
    last_ms: Option<u64>,
    /// As of the last look: the first signed link after unsigned ones is when the vault was opened.
    was_signed: bool,
    logged: u64,
}

impl Audit {
    /// For the sweep: writes a checkpoint when the vault was opened since the last call, and else at most once a minute
    /// if another chain has moved. While the vault is sealed there is none: it would not be signed. What moved
    /// by checkpoints alone does not count, or two idle processes would answer each other for ever. Says in the log
    /// where this chain stands. `now_ms`: Unix time. Answers whether a checkpoint was written.
    ///
    /// # Errors
    /// From the database.
    pub async fn checkpoint_if_due(&self, now_ms: u64) -> Result<bool, DbError> {
        let mut checkpoints = self.checkpoints.lock().await;
        let own = self.place().await;
        let was_opened = own.is_signed && !checkpoints.was_signed;
        let is_time = checkpoints.last_ms.is_none_or(|last| now_ms.saturating_sub(last) >= EVERY_MS);
        if !was_opened && !is_time {
            return Ok(false);
        }
        let moved = if own.is_signed { self.moved(&checkpoints.known).await? } else { Vec::new() };
        let is_written = was_opened || !moved.is_empty();
        if is_written {
            self.write(&moved, &mut checkpoints.known).await?;
        }
        // Only now: what failed is tried again by the next sweep.
        checkpoints.last_ms = Some(now_ms);
        checkpoints.was_signed = own.is_signed;
        if own.is_signed {
            self.checked_ms.store(now_ms, Ordering::Relaxed);
        }
        let head = self.head().await;
        if head.number > checkpoints.logged {
            checkpoints.logged = head.number;
            self.log_head().await;
        }
        Ok(is_written)
    }

    /// Says in the log where this chain stands: also what to do last before the process ends. A head that is kept where
    /// the database's owner cannot reach it shows when the chain's end was cut.
    pub async fn log_head(&self) {
        let head = self.head().await;
        if head.number > 0 {
            tracing::info!(chain = %self.id, number = head.number, hash = hex::encode(&head.hash), "audit head");
        }
    }

    /// The other chains that stand elsewhere than known.
    async fn moved(&self, known: &BTreeMap<ChainId, Head>) -> Result<Vec<(ChainId, Head)>, DbError> {
        let mut moved = Vec::new();
        for (chain, head) in store::heads(&self.unfenced).await? {
            let before = known.get(&chain).copied();
            if chain == self.id || before == Some(head) {
                continue;
            }
            let after = before.unwrap_or(Head::START).number;
            // One that went back, or changed in its place, is listed too: verify finds the two statements.
            if head.number <= after || store::has_other_link(&self.unfenced, chain, after, BEGINNING).await? {
                moved.push((chain, head));
            }
        }
        Ok(moved)
    }

    async fn write(&self, moved: &[(ChainId, Head)], known: &mut BTreeMap<ChainId, Head>) -> Result<(), DbError> {
        let mut rest = moved;
        loop {
            let (part, later) = rest.split_at(rest.len().min(HEADS_PER_LINK));
            let heads: Vec<_> = part
                .iter()
                .map(|(chain, head)| {
                    json!({"chain": chain.to_string(), "number": head.number, "hash": hex::encode(&head.hash)})
                })
                .collect();
            self.note(Entry::new(CHECKPOINT, "origin").with("heads", heads)).await?;
            known.extend(part.iter().copied());
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
