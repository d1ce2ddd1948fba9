//! Calls that clients name with an `Idempotency-Key`: the same name and the same request have one effect and one answer.
//!
//! ```text
//! intent and open key ─commit─▶ third party ─▶ outcome ─commit─▶ answer kept ─▶ `Idempotency-Status: OK`
//! ```
//!
//! An open key names the act that was begun with it. So whoever finds it open, this process or the next one after a
//! crash, reads the answer off the act as soon as that has an outcome; nothing depends on who asked. A refusal before
//! any intent is kept too, once it is certain.
//!
//! Neither the client's key nor its request is kept: of the key there is a hash, and of the request an HMAC under the
//! key itself, which all published clients draw at random (18 or 32 bytes). That needs no key of the vault, so it works
//! while that is sealed, in every region, and over every rotation. What it does not hide: whoever reads the database and
//! guesses a key that a client did not draw at random can confirm a guess of its request.

use std::time::Duration;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use scanvault_protocol::{Problem, headers};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::store::Transaction;
use super::store::idempotency::{self, Answer, Known, Name};
use crate::db::{Db, DbError, Tx};
use crate::web::{ApiError, Call};

/// How long an answer is kept. Clients repeat within minutes; the reference names no time.
pub const KEPT_MS: i64 = 7 * 86_400_000;
/// How often an open key is looked at by who waits for it.
pub const LOOK_EVERY: Duration = Duration::from_millis(60);

const NAME_DOMAIN: &[u8] = b"scanvault/idempotency-name/v1\0";
const REQUEST_DOMAIN: &[u8] = b"scanvault/idempotency-request/v1\0";
/// Longer than any published client's key.
const MAX_KEY_BYTES: usize = 255;

/// A named call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    account: String,
    method: String,
    path: String,
    name: String,
    request_mac: [u8; 32],
}

/// What is known of a named call.
#[derive(Debug)]
pub enum Found {
    /// Nothing: it may be done.
    Nothing,
    /// Another request had this name.
    Another,
    /// It was begun, and has no answer yet: the transaction and the act.
    Open(Option<(i64, u32)>),
    /// Its answer.
    Answered(Answer),
}

impl Key {
    /// The name of a call, if its client gave it one. `object` is what the path names, and `request` what was read of the
    /// body: two calls whose objects and requests are equal are the same however they were spelled.
    ///
    /// # Errors
    /// 400 for a key that is empty, too long, or not visible ASCII.
    pub fn of(
        call: &Call,
        account: &str,
        object: Option<i64>,
        request: &impl Serialize,
    ) -> Result<Option<Self>, ApiError> {
        let Some(given) = Self::given(call)? else { return Ok(None) };
        let request = serde_json::to_vec(request).map_err(|error| ApiError::internal(&error))?;
        let name = Sha256::new().chain_update(NAME_DOMAIN).chain_update(given).finalize();
        Ok(Some(Self {
            account: account.to_owned(),
            method: call.signed.method.clone(),
            path: object.map_or_else(|| call.signed.path.clone(), |object| call.spec.path_of(object)),
            name: URL_SAFE_NO_PAD.encode(name),
            request_mac: request_mac(given.as_bytes(), &request),
        }))
    }

    /// The key as the client gave it.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn given(call: &Call) -> Result<Option<&str>, ApiError> {
        let Some(given) = call.signed.idempotency_key.as_deref() else { return Ok(None) };
        let is_key = (1..=MAX_KEY_BYTES).contains(&given.len()) && given.bytes().all(|b| b.is_ascii_graphic());
        if is_key { Ok(Some(given)) } else { Err(ApiError::because(Problem::BadRequest, "invalid idempotency-key")) }
    }

    /// What is known of it.
    ///
    /// # Errors
    /// From the database.
    pub async fn find(&self, db: &Db) -> Result<Found, DbError> {
        let Some(Known { request_mac, begun, answer }) = idempotency::find(db, &self.stored()).await? else {
            return Ok(Found::Nothing);
        };
        if !bool::from(request_mac.as_slice().ct_eq(&self.request_mac)) {
            return Ok(Found::Another);
        }
        Ok(answer.map_or(Found::Open(begun), Found::Answered))
    }

    /// Writes it open, with the intent of the next act of a transaction.
    ///
    /// # Errors
    /// [`DbError::is_duplicate`] when the same call runs beside this one.
    pub async fn open(&self, tx: &mut Tx, transaction: &Transaction, now_ms: i64) -> Result<(), DbError> {
        let begun = (transaction.id, transaction.ledger.last_act.saturating_add(1));
        idempotency::add(tx, &self.stored(), Some(begun), None, now_ms).await
    }

    /// Writes it with its answer, in the transaction that has the effect.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn answered(&self, tx: &mut Tx, answer: &Answer, now_ms: i64) -> Result<(), DbError> {
        idempotency::add(tx, &self.stored(), None, Some(answer), now_ms).await
    }

    /// Keeps the refusal of a call that has begun nothing; `false` when it has begun, or was answered, meanwhile.
    ///
    /// # Errors
    /// From the database.
    pub async fn refused(&self, db: &Db, answer: &Answer, now_ms: i64) -> Result<bool, DbError> {
        let mut tx = db.begin().await?;
        match self.answered(&mut tx, answer, now_ms).await {
            Ok(()) => {
                tx.commit().await?;
                Ok(true)
            }
            Err(error) if error.is_duplicate() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps the answer of a call that was open.
    ///
    /// # Errors
    /// From the database.
    pub async fn complete(&self, db: &Db, answer: &Answer) -> Result<(), DbError> {
        idempotency::complete(db, &self.stored(), answer).await
    }

    fn stored(&self) -> Name<'_> {
        let Self { account, method, path, name, request_mac } = self;
        Name { account, method, path, name, request_mac }
    }
}

/// Says what the answer is to the key of its call: `OK`, it lasts; `ERROR`, the key serves for nothing. An answer
/// without either is none for ever: the same call may be sent again under the same key.
#[must_use]
pub fn with_status(mut response: Response, status: &'static str) -> Response {
    response
        .headers_mut()
        .insert(HeaderName::from_static(headers::IDEMPOTENCY_STATUS), HeaderValue::from_static(status));
    response
}

/// Forgets what is older than it is kept.
///
/// # Errors
/// From the database.
pub async fn sweep(db: &Db, now_ms: i64) -> Result<u64, DbError> {
    idempotency::sweep(db, now_ms.saturating_sub(KEPT_MS)).await
}

/// The parts around it are in the row's primary key.
fn request_mac(key: &[u8], request: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "RFC 2104 takes a key of any length")]
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.chain_update(REQUEST_DOMAIN).chain_update(request).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_of_the_request_under_the_key() {
        let mac = request_mac(b"key", b"{}");
        assert_ne!(mac, request_mac(b"kez", b"{}"));
        assert_ne!(mac, request_mac(b"key", b"{ }"));
        assert_eq!(mac, request_mac(b"key", b"{}"));
    }
}
