//! Seals stored cards anew, under the data key and the fingerprint key in use.
//!
//! A card is changed only if it is still what was read (its row version says so): who stores it again meanwhile has
//! sealed it anew already.

use super::rows::{self, Row};
use super::{Card, CardStoreError, Member, open, prints, seal};
use crate::db::{Db, DbError, Tx};
use crate::vault::{Entropy, KeyKind, Unsealed};

pub use super::rows::{in_use, is_named_in_an_envelope};

/// What became of a batch of records.
#[derive(Debug, Default)]
pub struct Batch {
    /// Sealed anew, or found to be changed or gone meanwhile.
    pub done: u64,
    /// Left as they are: they do not open.
    pub failed: u64,
    /// The last row that was looked at; `None` when no row was left.
    pub last: Option<String>,
}

/// How many cards wait.
///
/// # Errors
/// From the database.
pub async fn due(db: &Db, unsealed: &Unsealed) -> Result<u64, DbError> {
    rows::count_due(db, active(unsealed)).await
}

/// Seals the next cards after the row `after`, at most `limit`.
///
/// # Errors
/// From the database.
pub async fn cards(
    tx: &mut Tx,
    unsealed: &Unsealed,
    after: &str,
    limit: u32,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Batch, DbError> {
    let mut batch = Batch::default();
    for row in rows::due(tx, after, active(unsealed), limit).await? {
        match seal_anew(tx, unsealed, &row, entropy).await {
            Ok(()) => batch.done += 1,
            Err(CardStoreError::Db(error)) => return Err(error),
            Err(cause) => {
                tracing::error!(table = "cards", row = row.token, %cause, "a record does not open");
                batch.failed += 1;
            }
        }
        batch.last = Some(row.token);
    }
    Ok(batch)
}

/// As if what is stored of the card had come now.
async fn seal_anew(
    tx: &mut Tx,
    unsealed: &Unsealed,
    row: &Row,
    entropy: &mut (dyn Entropy + Send),
) -> Result<(), CardStoreError> {
    let kept = open(unsealed, row)?;
    let card = Card {
        account: &row.account,
        pan: &kept.pan,
        expiry: &kept.expiry,
        holder: kept.name.as_ref(),
        keep_until_ms: row.expires_at_ms,
    };
    let member = Member { at: 0, card, prints: &prints(unsealed, &card) };
    let mut new = seal(unsealed, &member, row.token.clone(), row.row_version.saturating_add(1), entropy)?;
    // Stored twice in the very moment of a rotation, by two processes: both tokens stay good, and this one is not found
    // again by its number.
    if rows::is_taken(tx, &new.print, &row.token).await? {
        new.print = unsealed.audit_value("card token", row.token.as_bytes());
    }
    rows::replace(tx, &new, row.row_version).await?;
    Ok(())
}

/// The numbers of the data key and of the fingerprint key in use.
fn active(unsealed: &Unsealed) -> (i64, i64) {
    let fingerprint = unsealed.active_key_id(KeyKind::Fingerprint).unwrap_or_default();
    (i64::from(unsealed.current_data_key_id()), i64::from(fingerprint))
}
