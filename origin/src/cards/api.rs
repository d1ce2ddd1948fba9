//! `/pluto/internal/vault/…`: cards for other systems of the same operator. A card travels as JWE only, both ways.
//!
//! Who calls is the account that the request's link key is bound to. It must be an active INTERNAL account at that
//! moment: for a store, a read and a delete that is looked up in the transaction that has the effect.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use scanvault_protocol::route::Route;
use scanvault_protocol::{AccountName, Problem, Role};
use serde::{Deserialize, Serialize};

use super::groups::ReadJob;
use super::{Cards, CardsError};
use crate::audit::Entry;
use crate::identity;
use crate::vault::jwe::EphemeralKey;
use crate::vault::jwe_internal::{SealError, Sealer, Typ};
use crate::vault::sessions::{SESSION_TTL_MS, parse_session_key};
use crate::vault::{JweError, SystemEntropy, Unsealed, VaultCard};
use crate::web::{ApiError, Call};

/// Ten years: whoever wants more leaves it out.
const MAX_TTL_SECS: u64 = 10 * 366 * 86_400;
const MAX_PURPOSE_CHARS: usize = 100;

/// Answers a call of an internal row.
///
/// # Errors
/// Each handler's.
pub async fn answer(cards: &Cards, call: &Call) -> Result<Response, ApiError> {
    // A row of the internal side is only ever found for a key with an account.
    let account = call.signed.account.as_ref().ok_or(Problem::NotFound)?;
    match call.spec.route {
        Route::VaultKey => key(cards, account).await,
        Route::VaultSession => open_session(cards, account, call).await,
        Route::CardStore => store(cards, account, call).await,
        Route::CardRead => read(cards, account, call).await,
        Route::CardShow => show(cards, account, call).await,
        Route::CardDelete => {
            cards.delete(&account.to_string(), &call.parameter).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(Problem::NotFound.into()),
    }
}

/// `GET …/key`: the public key that sessions and cards are sealed to.
async fn key(cards: &Cards, account: &AccountName) -> Result<Response, ApiError> {
    authorise(cards, account).await?;
    Ok(Json(unsealed(cards)?.page_key_jwk()).into_response())
}

/// `POST …/sessions` with `{"jwe"}`.
async fn open_session(cards: &Cards, account: &AccountName, call: &Call) -> Result<Response, ApiError> {
    let body: SessionBody = call.json()?;
    authorise(cards, account).await?;
    let (unsealed, account) = (unsealed(cards)?, account.to_string());
    let plaintext =
        unsealed.open_internal_jwe(&body.jwe, Typ::Session, &account, |_| None).map_err(|error| match error {
            // A session is opened with the page key only.
            JweError::UnknownSession => bad_jwe("jwe", JweError::Header),
            error => bad_jwe("jwe", error),
        })?;
    let key = parse_session_key(&plaintext)
        .ok_or_else(|| bad("jwe: the sealed text is not {\"key\":\"<base64url of 32 bytes>\"}"))?;
    let now_ms = cards.shared.clock.now_ms();
    let opened = cards.shared.vault.sessions().open(&account, &key, now_ms, &mut SystemEntropy::new());
    let session = opened.map_err(|error| ApiError::internal(&error))?;
    // A session of which the audit says nothing is never named to anybody: it is of no use.
    let entry = Entry::new("session.opened", account).with("session", session.as_str());
    cards.shared.audit.note(entry).await?;
    Ok(Json(SessionAnswer { session, expires_at: now_ms + SESSION_TTL_MS }).into_response())
}

/// `POST …/cards` with `{"card","ttlSecs"}`.
async fn store(cards: &Cards, account: &AccountName, call: &Call) -> Result<Response, ApiError> {
    let body: StoreBody<'_> = call.json()?;
    if body.ttl_secs.is_some_and(|secs| !(1..=MAX_TTL_SECS).contains(&secs)) {
        return Err(bad("ttlSecs is 1 to 316224000, or is left out"));
    }
    let (unsealed, account, now_ms) = (unsealed(cards)?, account.to_string(), cards.shared.clock.now_ms());
    let session = |id: &str| cards.shared.vault.sessions().find(&account, id, now_ms);
    let plaintext =
        unsealed.open_internal_jwe(&body.card, Typ::Card, &account, session).map_err(|error| bad_jwe("card", error))?;
    let card = VaultCard::parse(&plaintext).map_err(|error| bad(format!("card: {error}")))?;
    let (bin, last_four) = (card.pan.bin().to_owned(), card.pan.last_four().to_owned());
    let expires_at = body.ttl_secs.map(|secs| now_ms + secs * 1000);
    let keep_until_ms = expires_at.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
    let stored = cards.store(account, card, keep_until_ms).await?;
    let outcome = stored.outcome.as_str();
    Ok(Json(StoreAnswer { token: stored.token, outcome, bin, last_four, expires_at }).into_response())
}

/// `POST …/cards/{token}/read` with `{"purpose","session"}` or `{"purpose","jwk"}`.
async fn read(cards: &Cards, account: &AccountName, call: &Call) -> Result<Response, ApiError> {
    let body: ReadBody = call.json()?;
    check_purpose(&body.purpose)?;
    unsealed(cards)?;
    let (account, now_ms, mut entropy) = (account.to_string(), cards.shared.clock.now_ms(), SystemEntropy::new());
    // Before anything is opened it must be known to whom it will be sealed.
    let sealer = match (body.session, body.jwk) {
        (Some(id), None) => {
            Sealer::Session(cards.shared.vault.sessions().find(&account, &id, now_ms).ok_or(Problem::SessionUnknown)?)
        }
        (None, Some(jwk)) => Sealer::agree(&jwk, &mut entropy).map_err(|error| match error {
            SealError::Jwe(_) => bad("jwk is no public P-256 key"),
            SealError::Entropy(error) => ApiError::internal(&error),
        })?,
        _ => return Err(bad("either session or jwk says to whom the card is sealed")),
    };
    let token = call.parameter.clone();
    let job = ReadJob { account, token, purpose: body.purpose, is_internal: true };
    let card = cards.reads.submit(job).await.map_err(CardsError::from)??;
    let sealed = sealer.seal(&card.to_json(&call.parameter), &mut entropy);
    let sealed = sealed.map_err(|error| ApiError::internal(&error))?;
    let answer = ReadAnswer { card: sealed, bin: card.pan.bin(), last_four: card.pan.last_four() };
    Ok(Json(answer).into_response())
}

/// `GET …/cards/{token}`: needs no key, so it works while sealed.
async fn show(cards: &Cards, account: &AccountName, call: &Call) -> Result<Response, ApiError> {
    authorise(cards, account).await?;
    let found = cards.summary(&account.to_string(), &call.parameter).await?;
    Ok(Json(ShowAnswer {
        bin: found.bin,
        last_four: found.last_four,
        expires_at: found.expires_at_ms,
        created_at: found.created_at_ms,
    })
    .into_response())
}

/// For what has no transaction of its own: just before.
async fn authorise(cards: &Cards, name: &AccountName) -> Result<(), ApiError> {
    let account = identity::store::find(&cards.shared.db, name).await?;
    let may = account.is_some_and(|account| account.is_active && account.role == Role::Internal);
    if may { Ok(()) } else { Err(Problem::Forbidden.into()) }
}

fn unsealed(cards: &Cards) -> Result<Arc<Unsealed>, ApiError> {
    cards.shared.vault.unsealed_for_cards().map_err(|_| Problem::Sealed.into())
}

/// What the audit will say of a read. A number that could be a card's has no place in it.
fn check_purpose(text: &str) -> Result<(), ApiError> {
    let is_plain = (1..=MAX_PURPOSE_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let mut digits = 0;
    let has_number = text.chars().any(|c| {
        digits = match c {
            ' ' | '-' => digits,
            c if c.is_numeric() => digits + 1,
            _ => 0,
        };
        digits >= 12
    });
    match (is_plain, has_number) {
        (true, false) => Ok(()),
        (false, _) => Err(bad("purpose is 1 to 100 printable characters")),
        (true, true) => Err(bad("purpose holds 12 digits in a row: a card number has no place in it")),
    }
}

fn bad(text: impl Into<String>) -> ApiError {
    ApiError::because(Problem::BadRequest, text)
}

fn bad_jwe(field: &str, error: JweError) -> ApiError {
    match error {
        JweError::UnknownSession => Problem::SessionUnknown.into(),
        error => bad(format!("{field}: {error}")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionBody {
    jwe: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StoreBody<'a> {
    #[serde(borrow)]
    card: Cow<'a, str>,
    ttl_secs: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadBody {
    purpose: String,
    session: Option<String>,
    jwk: Option<EphemeralKey>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionAnswer {
    session: String,
    expires_at: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreAnswer {
    token: String,
    outcome: &'static str,
    bin: String,
    last_four: String,
    expires_at: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadAnswer<'a> {
    card: String,
    bin: &'a str,
    last_four: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShowAnswer {
    bin: String,
    last_four: String,
    expires_at: Option<i64>,
    created_at: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_short_plain_and_holds_no_card_number() {
        for good in ["x", "refund of order 12345678901", "2026-11-22 charge sv-8", &"é".repeat(100)] {
            assert!(check_purpose(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "4111111111111111", "x 4111 1111-1111 1111", "123456789012", &"é".repeat(101)] {
            assert!(check_purpose(bad).is_err(), "{bad}");
        }
    }
}
