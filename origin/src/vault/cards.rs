//! Cards at rest: number, expiry and name as vault records, found again by a keyed hash of the number.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::Row;

use super::{CardExpiry, CardholderName, Entropy, EntropyError, EnvelopeError, KeyKind, Pan, RecordContext, Unsealed};
use crate::db::{DbError, Tx};

const TABLE: &str = "cards";

/// Why a card is not stored.
#[derive(Debug, thiserror::Error)]
pub enum CardStoreError {
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A field could not be sealed.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// No token could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl From<sqlx::Error> for CardStoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What is kept of a card.
pub struct Card<'a> {
    /// Whose customer's it is.
    pub account: &'a str,
    /// The number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: &'a CardExpiry,
    /// The name on it, where given.
    pub holder: Option<&'a CardholderName>,
}

/// Stores a card in the caller's transaction and answers the token that stands for it. The same number of the same
/// account keeps its token; expiry and name are written anew.
///
/// # Errors
/// See [`CardStoreError`].
pub async fn tokenize(
    tx: &mut Tx,
    unsealed: &Unsealed,
    card: &Card<'_>,
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<String, CardStoreError> {
    let fingerprint = unsealed.fingerprint(card.account, card.pan).to_vec();
    loop {
        if let Some(token) = renew(tx, unsealed, card, &fingerprint, entropy).await? {
            return Ok(token);
        }
        // The same new card may be on its way in another transaction: PostgreSQL waits for that one here, inserts
        // nothing, and the next round finds it.
        if let Some(token) = insert(tx, unsealed, card, &fingerprint, now_ms, entropy).await? {
            return Ok(token);
        }
    }
}

/// Writes a known card anew; `None` when the account does not have it.
async fn renew(
    tx: &mut Tx,
    unsealed: &Unsealed,
    card: &Card<'_>,
    fingerprint: &[u8],
    entropy: &mut (dyn Entropy + Send),
) -> Result<Option<String>, CardStoreError> {
    // Locks the row on PostgreSQL; SQLite has one writer anyway.
    let known = sqlx::query(
        "UPDATE cards SET row_version = row_version + 1 WHERE account = $1 AND fingerprint = $2 \
         RETURNING token, row_version",
    )
    .bind(card.account)
    .bind(fingerprint.to_vec())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = known else { return Ok(None) };
    let (token, version): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    let sealed = seal(unsealed, card, &token, version, entropy)?;
    sqlx::query("UPDATE cards SET pan = $2, expiry = $3, holder = $4, key_id = $5 WHERE token = $1")
        .bind(token.as_str())
        .bind(sealed.pan)
        .bind(sealed.expiry)
        .bind(sealed.holder)
        .bind(i64::from(unsealed.current_data_key_id()))
        .execute(&mut **tx)
        .await?;
    Ok(Some(token))
}

/// Adds a new card; `None` when somebody else has just added it.
async fn insert(
    tx: &mut Tx,
    unsealed: &Unsealed,
    card: &Card<'_>,
    fingerprint: &[u8],
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Option<String>, CardStoreError> {
    let token = new_token(entropy)?;
    let sealed = seal(unsealed, card, &token, 1, entropy)?;
    let done = sqlx::query(
        "INSERT INTO cards (token, account, pan, expiry, holder, bin, last_four, fingerprint, fingerprint_key, \
         key_id, row_version, created_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11) ON CONFLICT (account, fingerprint) DO NOTHING",
    )
    .bind(token.as_str())
    .bind(card.account)
    .bind(sealed.pan)
    .bind(sealed.expiry)
    .bind(sealed.holder)
    .bind(card.pan.bin())
    .bind(card.pan.last_four())
    .bind(fingerprint.to_vec())
    .bind(i64::from(unsealed.active_key_id(KeyKind::Fingerprint).unwrap_or_default()))
    .bind(i64::from(unsealed.current_data_key_id()))
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok((done.rows_affected() == 1).then_some(token))
}

struct SealedColumns {
    pan: Vec<u8>,
    expiry: Vec<u8>,
    holder: Option<Vec<u8>>,
}

fn seal(
    unsealed: &Unsealed,
    card: &Card<'_>,
    token: &str,
    version: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<SealedColumns, EnvelopeError> {
    let row_version = u64::try_from(version).unwrap_or(0);
    let mut column = |column, plaintext: &[u8]| {
        let context = RecordContext { account: card.account, table: TABLE, row: token, column, row_version };
        unsealed.seal_record(&context, plaintext, entropy)
    };
    Ok(SealedColumns {
        pan: column("pan", card.pan.expose().as_bytes())?,
        expiry: column("expiry", card.expiry.to_mmyy().as_bytes())?,
        holder: card.holder.map(|name| column("holder", name.expose().as_bytes())).transpose()?,
    })
}

fn new_token(entropy: &mut dyn Entropy) -> Result<String, EntropyError> {
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    Ok(format!("card_{}", URL_SAFE_NO_PAD.encode(random)))
}
