//! Enrolments: which RSA key an account may log in with, the login's own password, and how its logins went.

use scanvault_protocol::password::PasswordVerifier;
use scanvault_protocol::{AccountName, AuthMode};
use sqlx::{Any, Executor, Row};

use crate::db::{DbError, Tx};

/// Wrong passwords after right answers before an enrolment is blocked (PCI DSS 8.3.4 asks for at most ten).
pub const MAX_FAILURES: i64 = 10;
/// How long it is blocked then.
pub const BLOCK_MS: i64 = 30 * 60 * 1000;

/// A row of the enrolments table.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// DER SubjectPublicKeyInfo of an RSA-4096 key.
    pub public_key: Vec<u8>,
    /// What the login's password is checked against.
    pub verifier: PasswordVerifier,
    /// The operator who enrolled the key.
    pub enrolled_by: String,
    /// When, in Unix milliseconds.
    pub enrolled_at_ms: i64,
    /// The last login that gave a session.
    pub last_login_at_ms: Option<i64>,
    /// The last fully correct login while the account was in Basic mode.
    pub last_dry_run_at_ms: Option<i64>,
    /// Right answers with a wrong password since the last success, or since the last block.
    pub failures: i64,
    /// No login before; 0 when it was never blocked.
    pub blocked_until_ms: i64,
}

/// What became of an enrolment that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There is no such account.
    Unknown,
    /// The account is suspended: nothing was written.
    Suspended,
    /// Written. The account's credential version now; `replaced`: one more than before, because a key went.
    Done {
        /// The credential version now.
        credential_version: i64,
        /// Whether another key stood there.
        replaced: bool,
    },
}

const COLUMNS: &str = "SELECT public_key, password_verifier, enrolled_by, enrolled_at_ms, last_login_at_ms, \
     last_dry_run_at_ms, failures, blocked_until_ms FROM enrolments WHERE account = $1";

/// Reads the enrolment of an account, within a transaction or without.
///
/// # Errors
/// From the database.
pub async fn find(on: impl Executor<'_, Database = Any>, account: &AccountName) -> Result<Option<Enrolment>, DbError> {
    let Some(row) = sqlx::query(COLUMNS).bind(account.to_string()).fetch_optional(on).await? else { return Ok(None) };
    Ok(Some(Enrolment {
        public_key: row.try_get(0)?,
        verifier: verifier(row.try_get(1)?)?,
        enrolled_by: row.try_get(2)?,
        enrolled_at_ms: row.try_get(3)?,
        last_login_at_ms: row.try_get(4)?,
        last_dry_run_at_ms: row.try_get(5)?,
        failures: row.try_get(6)?,
        blocked_until_ms: row.try_get(7)?,
    }))
}

/// What a login is decided by: an account with its enrolment, or what stands in for one.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Whether there is an account of the name, its credentials count, and a key is enrolled for it. Without this nothing
    /// else here is anybody's.
    pub may_log_in: bool,
    /// How it proves who it is now.
    pub mode: AuthMode,
    /// The account's now; 0 where nobody is.
    pub credential_version: i64,
    /// DER SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// What the login's password is checked against.
    pub verifier: PasswordVerifier,
    /// No login before, in Unix milliseconds.
    pub blocked_until_ms: i64,
}

/// Reads what a login is decided by. The name may be any text, and a row comes back in any case: for whoever is not
/// enrolled with `stand_in` as the key and a verifier that nothing meets, so that reading it costs the same.
///
/// # Errors
/// From the database.
pub async fn standing(on: impl Executor<'_, Database = Any>, name: &str, stand_in: &[u8]) -> Result<Standing, DbError> {
    let statement = "SELECT COALESCE(a.status, 'none'), COALESCE(a.auth_mode, 'basic'), \
                     COALESCE(a.credential_version, 0), COALESCE(e.public_key, $2), \
                     COALESCE(e.password_verifier, $3), COALESCE(e.blocked_until_ms, 0), COALESCE(e.account, '') \
                     FROM (SELECT CAST($1 AS TEXT) AS name) wanted LEFT JOIN accounts a ON a.name = wanted.name \
                     LEFT JOIN enrolments e ON e.account = a.name";
    let impossible = PasswordVerifier::impossible().as_bytes().to_vec();
    let query = sqlx::query(statement).bind(name).bind(stand_in.to_vec()).bind(impossible);
    let row = query.fetch_one(on).await?;
    let (status, mode, enrolled): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(6)?);
    Ok(Standing {
        may_log_in: (status == "active") & !enrolled.is_empty(),
        mode: mode.parse().map_err(|_| DbError::Corrupt("authentication mode"))?,
        credential_version: row.try_get(2)?,
        public_key: row.try_get(3)?,
        verifier: verifier(row.try_get(4)?)?,
        blocked_until_ms: row.try_get(5)?,
    })
}

/// Enrols a key. In the place of another it ends what was issued under that one: sessions, and logins under way.
///
/// # Errors
/// From the database.
pub async fn put(
    tx: &mut Tx,
    account: &AccountName,
    public_key: &[u8],
    verifier: &PasswordVerifier,
    by: &str,
    now_ms: i64,
) -> Result<Put, DbError> {
    let name = account.to_string();
    // First the account's row, unchanged: two enrolments at once go one after the other, and the second sees the first.
    let lock = "UPDATE accounts SET credential_version = credential_version WHERE name = $1 \
                RETURNING status, credential_version";
    let Some(row) = sqlx::query(lock).bind(name.as_str()).fetch_optional(&mut **tx).await? else {
        return Ok(Put::Unknown);
    };
    let (status, version): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    if status != "active" {
        return Ok(Put::Suspended);
    }
    let replaced = find(&mut **tx, account).await?.is_some();
    if replaced {
        let bump = "UPDATE accounts SET credential_version = credential_version + 1 WHERE name = $1";
        sqlx::query(bump).bind(name.as_str()).execute(&mut **tx).await?;
    }
    // What is known of the old key's logins says nothing of the new one's.
    let statement = "INSERT INTO enrolments (account, public_key, password_verifier, enrolled_by, enrolled_at_ms, \
                     failures, blocked_until_ms) VALUES ($1, $2, $3, $4, $5, 0, 0) \
                     ON CONFLICT (account) DO UPDATE SET public_key = $2, password_verifier = $3, enrolled_by = $4, \
                     enrolled_at_ms = $5, failures = 0, blocked_until_ms = 0, last_login_at_ms = NULL, \
                     last_dry_run_at_ms = NULL";
    let query = sqlx::query(statement).bind(name).bind(public_key.to_vec()).bind(verifier.as_bytes().to_vec());
    query.bind(by).bind(now_ms).execute(&mut **tx).await?;
    Ok(Put::Done { credential_version: version + i64::from(replaced), replaced })
}

/// A login gave a session: failures are forgotten.
///
/// # Errors
/// From the database.
pub async fn succeeded(tx: &mut Tx, account: &AccountName, now_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE enrolments SET last_login_at_ms = $2, failures = 0 WHERE account = $1";
    sqlx::query(statement).bind(account.to_string()).bind(now_ms).execute(&mut **tx).await?;
    Ok(())
}

/// A login would have given a session, were the account in Bearer mode.
///
/// # Errors
/// From the database.
pub async fn proved(tx: &mut Tx, account: &AccountName, now_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE enrolments SET last_dry_run_at_ms = $2, failures = 0 WHERE account = $1";
    sqlx::query(statement).bind(account.to_string()).bind(now_ms).execute(&mut **tx).await?;
    Ok(())
}

/// Counts a wrong password after a right answer to the challenge; answers whether the enrolment is blocked now. The
/// counting begins anew with the block.
///
/// # Errors
/// From the database.
pub async fn failed(tx: &mut Tx, account: &AccountName, now_ms: i64) -> Result<bool, DbError> {
    let statement = "UPDATE enrolments SET failures = CASE WHEN failures + 1 >= $2 THEN 0 ELSE failures + 1 END, \
                     blocked_until_ms = CASE WHEN failures + 1 >= $2 THEN $3 ELSE blocked_until_ms END \
                     WHERE account = $1 RETURNING failures";
    let query = sqlx::query(statement).bind(account.to_string()).bind(MAX_FAILURES);
    let row = query.bind(now_ms.saturating_add(BLOCK_MS)).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| row.try_get::<i64, _>(0)).transpose()? == Some(0))
}

fn verifier(bytes: Vec<u8>) -> Result<PasswordVerifier, DbError> {
    Ok(PasswordVerifier::from_bytes(bytes.try_into().map_err(|_| DbError::Corrupt("verifier"))?))
}
