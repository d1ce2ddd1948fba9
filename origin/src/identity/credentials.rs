//! What a credential is judged by: an account with its live passwords, or with a session. One statement each, the same
//! for names that exist and for names that do not.

use scanvault_protocol::AccountName;
use scanvault_protocol::authorization::Basic;
use scanvault_protocol::password::PasswordVerifier;
use scanvault_protocol::record::{MAX_VERIFIERS, Record, Update};
use scanvault_protocol::token::Session;
use scanvault_protocol::{AuthMode, Problem};
use sqlx::{Any, Executor, Row};

use super::account::Account;
use super::passwords::{self, LivePassword};
use super::store::{self, ACCOUNT_COLUMNS, account_columns};
use crate::db::{Db, DbError};

/// An account with the passwords that count now, the newest first.
pub struct WithPasswords {
    /// The account.
    pub account: Account,
    /// Two at most are looked at.
    pub live: Vec<LivePassword>,
}

/// An account with the session that a token names.
pub struct WithSession {
    /// The account.
    pub account: Account,
    /// `None`: it has no such session, or no longer.
    pub session: Option<SessionState>,
}

/// What the database knows of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionState {
    /// The account's version when it began.
    pub credential_version: i64,
    /// In Unix milliseconds.
    pub expires_at_ms: i64,
    /// Whether its owner ended it.
    pub is_ended: bool,
}

/// Reads an account and its live passwords.
///
/// # Errors
/// From the database.
pub async fn with_passwords(db: &Db, name: &AccountName, now_ms: i64) -> Result<Option<WithPasswords>, DbError> {
    with_passwords_on(db.read(), name, now_ms).await
}

/// The same within a transaction, or over other connections.
///
/// # Errors
/// From the database.
pub async fn with_passwords_on(
    on: impl Executor<'_, Database = Any>,
    name: &AccountName,
    now_ms: i64,
) -> Result<Option<WithPasswords>, DbError> {
    let statement = concat!(
        "SELECT ",
        account_columns!(),
        ", p.number, p.verifier FROM accounts a LEFT JOIN api_passwords p ON p.account = a.name \
         AND p.ended_at_ms IS NULL AND (p.ends_at_ms IS NULL OR p.ends_at_ms > $2) WHERE a.name = $1 ORDER BY p.number DESC"
    );
    let rows = sqlx::query(statement).bind(name.to_string()).bind(now_ms).fetch_all(on).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut live = Vec::new();
    for row in rows.iter().take(MAX_VERIFIERS) {
        let number: Option<i64> = row.try_get(ACCOUNT_COLUMNS)?;
        let bytes: Option<Vec<u8>> = row.try_get(ACCOUNT_COLUMNS + 1)?;
        if let (Some(number), Some(bytes)) = (number, bytes) {
            live.push(LivePassword { number, verifier: passwords::verifier(bytes)? });
        }
    }
    Ok(Some(WithPasswords { account: store::account(first)?, live }))
}

/// Reads an account and one of its sessions.
///
/// # Errors
/// From the database.
pub async fn with_session(db: &Db, name: &AccountName, session_id: &str) -> Result<Option<WithSession>, DbError> {
    let statement = concat!(
        "SELECT ",
        account_columns!(),
        ", s.credential_version, s.expires_at_ms, s.ended_at_ms FROM accounts a \
         LEFT JOIN sessions s ON s.id = $2 AND s.account = a.name WHERE a.name = $1"
    );
    let row = sqlx::query(statement).bind(name.to_string()).bind(session_id).fetch_optional(db.read()).await?;
    let Some(row) = row else { return Ok(None) };
    let version: Option<i64> = row.try_get(ACCOUNT_COLUMNS)?;
    let expires_at_ms: Option<i64> = row.try_get(ACCOUNT_COLUMNS + 1)?;
    let is_ended = row.try_get::<Option<i64>, _>(ACCOUNT_COLUMNS + 2)?.is_some();
    let session = version.zip(expires_at_ms);
    let session =
        session.map(|(credential_version, expires_at_ms)| SessionState { credential_version, expires_at_ms, is_ended });
    Ok(Some(WithSession { account: store::account(&row)?, session }))
}

/// The number of the password that this one is, or nothing. As many comparisons whatever the account has, or when there
/// is none.
#[must_use]
pub fn matching(found: Option<&WithPasswords>, offered: &Basic) -> Option<i64> {
    let live = found.map_or(&[][..], |found| &found.live);
    let impossible = PasswordVerifier::impossible();
    let mut number = None;
    for at in 0..MAX_VERIFIERS {
        let known = live.get(at);
        if known.map_or(&impossible, |known| &known.verifier).accepts(&offered.password) {
            number = known.map(|known| known.number);
        }
    }
    number
}

/// What an edge is told of the account that a Basic credential names.
#[must_use]
pub fn update(name: &AccountName, found: Option<&WithPasswords>) -> Update {
    let Some(WithPasswords { account, live }) = found else { return Update::Forget(name.clone()) };
    let counts = account.is_active && account.mode == AuthMode::Basic;
    Update::Keep(Record {
        account: account.name.clone(),
        mode: account.mode,
        role: account.role,
        version: account.credential_version.unsigned_abs(),
        verifiers: live.iter().filter(|_| counts).map(|live| live.verifier.clone()).collect(),
    })
}

/// Whether a rightly signed token still counts: not after a logout, a suspension, a switch, or any other change of the
/// account's credentials.
///
/// # Errors
/// [`Problem::JwtDisabled`] for an account in Basic mode, else [`Problem::InvalidOrExpiredJwt`].
pub fn standing(found: Option<WithSession>, token: &Session, now_ms: i64) -> Result<Account, Problem> {
    let WithSession { account, session } = found.ok_or(Problem::InvalidOrExpiredJwt)?;
    if !account.is_active {
        return Err(Problem::InvalidOrExpiredJwt);
    }
    if account.mode == AuthMode::Basic {
        return Err(Problem::JwtDisabled);
    }
    let stands = session.is_some_and(|session| {
        !session.is_ended
            && now_ms < session.expires_at_ms
            && session.credential_version == account.credential_version
            && i64::try_from(token.credential_version) == Ok(account.credential_version)
    });
    if stands { Ok(account) } else { Err(Problem::InvalidOrExpiredJwt) }
}
