//! Seals stored cards anew, under the data key and the fingerprint key in use.
//!
//! A card is changed only if it is still what was read (its row version says so): who stores it again meanwhile has
//! sealed it anew already.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Entropy, EnvelopeError, KeyKind, Pan, RecordContext, Unsealed};
use crate::db::{Db, DbError, Tx};

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
    let statement = "SELECT COUNT(*) FROM cards WHERE key_id <> $1 OR fingerprint_key <> $2";
    let (data, fingerprint) = active(unsealed);
    let row = sqlx::query(statement).bind(data).bind(fingerprint).fetch_one(db.read()).await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
}

/// How many cards name each data key, and each fingerprint key.
///
/// # Errors
/// From the database.
pub async fn in_use(db: &Db) -> Result<Vec<(KeyKind, u32, u64)>, DbError> {
    let mut found = Vec::new();
    for (kind, statement) in [
        (KeyKind::Data, "SELECT key_id, COUNT(*) FROM cards GROUP BY key_id"),
        (KeyKind::Fingerprint, "SELECT fingerprint_key, COUNT(*) FROM cards GROUP BY fingerprint_key"),
    ] {
        for row in sqlx::query(statement).fetch_all(db.read()).await? {
            let (id, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let id = u32::try_from(id).map_err(|_| DbError::Corrupt("key id"))?;
            found.push((kind, id, u64::try_from(count).unwrap_or(0)));
        }
    }
    Ok(found)
}

/// Whether an envelope itself names a data key, whatever the column beside it says: asked before a key is destroyed.
///
/// # Errors
/// From the database.
pub async fn is_named_in_an_envelope(db: &Db, id: u32) -> Result<bool, DbError> {
    // The key's number stands in bytes 2 to 5: see `envelope`.
    let statement = "SELECT token FROM cards WHERE substr(pan, 2, 4) = $1 OR substr(expiry, 2, 4) = $1 \
                     OR substr(holder, 2, 4) = $1 LIMIT 1";
    Ok(sqlx::query(statement).bind(id.to_be_bytes().to_vec()).fetch_optional(db.read()).await?.is_some())
}

/// Seals the next cards after the row `after`, at most `limit`.
///
/// # Errors
/// From the database, or when nothing can be sealed at all.
pub async fn cards(
    tx: &mut Tx,
    unsealed: &Unsealed,
    after: &str,
    limit: u32,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Batch, RecryptError> {
    let (data, fingerprint) = active(unsealed);
    let rows = sqlx::query(
        "SELECT token, account, pan, expiry, holder, row_version, fingerprint_key, fingerprint FROM cards \
         WHERE token > $1 AND (key_id <> $2 OR fingerprint_key <> $3) ORDER BY token LIMIT $4",
    )
    .bind(after)
    .bind(data)
    .bind(fingerprint)
    .bind(i64::from(limit))
    .fetch_all(&mut **tx)
    .await?;
    let mut batch = Batch::default();
    for row in &rows {
        let card = Card::read(row)?;
        batch.last = Some(card.token.clone());
        match card.sealed_anew(unsealed, entropy) {
            Ok(anew) => {
                card.store(tx, unsealed, anew).await?;
                batch.done += 1;
            }
            Err(cause) => {
                tracing::error!(table = "cards", row = card.token, %cause, "a record does not open");
                batch.failed += 1;
            }
        }
    }
    Ok(batch)
}

/// Why a batch stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecryptError {
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for RecryptError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

struct Card {
    token: String,
    account: String,
    pan: Vec<u8>,
    expiry: Vec<u8>,
    holder: Option<Vec<u8>>,
    row_version: i64,
    fingerprint_key: i64,
    fingerprint: Vec<u8>,
}

struct Anew {
    pan: Vec<u8>,
    expiry: Vec<u8>,
    holder: Option<Vec<u8>>,
    fingerprint: Vec<u8>,
}

impl Card {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        Ok(Self {
            token: row.try_get(0)?,
            account: row.try_get(1)?,
            pan: row.try_get(2)?,
            expiry: row.try_get(3)?,
            holder: row.try_get(4)?,
            row_version: row.try_get(5)?,
            fingerprint_key: row.try_get(6)?,
            fingerprint: row.try_get(7)?,
        })
    }

    /// Everything opens first; the number is wiped when this returns.
    fn sealed_anew(&self, unsealed: &Unsealed, entropy: &mut (dyn Entropy + Send)) -> Result<Anew, EnvelopeError> {
        let pan = unsealed.open_record(&self.place("pan", 0), &self.pan)?;
        let expiry = unsealed.open_record(&self.place("expiry", 0), &self.expiry)?;
        let holder = self.holder.as_ref().map(|sealed| unsealed.open_record(&self.place("holder", 0), sealed));
        let holder = holder.transpose()?;
        let mut seal = |column, plain: &[u8]| unsealed.seal_record(&self.place(column, 1), plain, entropy);
        Ok(Anew {
            pan: seal("pan", &pan)?,
            expiry: seal("expiry", &expiry)?,
            holder: holder.map(|holder| seal("holder", &holder)).transpose()?,
            fingerprint: self.fingerprint_of(unsealed, &pan),
        })
    }

    fn fingerprint_of(&self, unsealed: &Unsealed, pan: &[u8]) -> Vec<u8> {
        if self.fingerprint_key == active(unsealed).1 {
            return self.fingerprint.clone();
        }
        let pan = std::str::from_utf8(pan).ok().and_then(|text| Pan::parse(text).ok());
        // What opens was a number when it was sealed.
        pan.map_or_else(Vec::new, |pan| unsealed.fingerprint(&self.account, &pan).to_vec())
    }

    async fn store(&self, tx: &mut Tx, unsealed: &Unsealed, anew: Anew) -> Result<(), DbError> {
        let mut fingerprint = anew.fingerprint;
        // Stored twice in the very moment of a rotation, by two processes: both tokens stay good, and this one is not
        // found again by its number.
        let statement = "SELECT token FROM cards WHERE account = $1 AND fingerprint = $2 AND token <> $3";
        let twin = sqlx::query(statement).bind(self.account.as_str()).bind(fingerprint.clone());
        if fingerprint.is_empty() || twin.bind(self.token.as_str()).fetch_optional(&mut **tx).await?.is_some() {
            fingerprint = unsealed.audit_value("card token", self.token.as_bytes()).to_vec();
        }
        let (data, fingerprint_key) = active(unsealed);
        sqlx::query(
            "UPDATE cards SET pan = $3, expiry = $4, holder = $5, fingerprint = $6, fingerprint_key = $7, key_id = $8, \
             row_version = row_version + 1 WHERE token = $1 AND row_version = $2",
        )
        .bind(self.token.as_str())
        .bind(self.row_version)
        .bind(anew.pan)
        .bind(anew.expiry)
        .bind(anew.holder)
        .bind(fingerprint)
        .bind(fingerprint_key)
        .bind(data)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    fn place<'a>(&'a self, column: &'a str, later: u64) -> RecordContext<'a> {
        let row_version = u64::try_from(self.row_version).unwrap_or(0) + later;
        RecordContext { account: &self.account, table: "cards", row: &self.token, column, row_version }
    }
}

fn active(unsealed: &Unsealed) -> (i64, i64) {
    let fingerprint = unsealed.active_key_id(KeyKind::Fingerprint).unwrap_or_default();
    (i64::from(unsealed.current_data_key_id()), i64::from(fingerprint))
}
