//! The origin's own check of a forwarded credential. What the edge thinks of it does not matter here.
//!
//! A valid token wins over a Basic beside it; a token that is not valid, beside a Basic, is passed over and Basic is
//! judged. An edge that asked, or whose client was refused, is told what the origin knows, on the same answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use scanvault_protocol::authorization::{self, Authorization, Basic, BearerToken};
use scanvault_protocol::record::{TokenKeys, Update};
use scanvault_protocol::route::{Audience, RouteSpec};
use scanvault_protocol::{AccountName, AuthMode, Problem, headers};

use super::account::Account;
use super::last_use::LastUse;
use super::throttle::Throttle;
use super::tokens::{TokenError, Tokens};
use super::{credentials, passwords, store};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::web::ApiError;
use crate::web::request::Signed;

const DAY_MS: i64 = 86_400_000;

/// Proves who calls. One for the process.
pub struct Identity {
    /// Where accounts are.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Session tokens.
    pub tokens: Arc<Tokens>,
    /// Counts failures.
    pub throttle: Throttle,
    /// When passwords were last used.
    pub last_use: LastUse,
    /// When passwords are due to be replaced.
    pub reminder: passwords::Reminder,
    /// The last day, counted from 1970, on which the log was told of passwords that are due.
    pub reminded_on_day: AtomicI64,
    /// Refunds and reversals: 513 in place of 401, as the reference has it.
    pub is_513_asked_for: bool,
}

/// Who calls, proven.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub account: Account,
    /// The session, when a token proved it.
    pub session_id: Option<String>,
}

/// How a request was judged, and what its edge is told.
pub struct Admission {
    /// Who calls, or the 401, 403, 429 or 503 of the table.
    pub outcome: Result<Caller, ApiError>,
    /// For the metrics.
    pub verdict: &'static str,
    /// For the edge.
    pub told: Told,
}

/// Headers of an answer to an edge; never passed on to a client.
#[derive(Default)]
pub struct Told {
    record: Option<Update>,
    token_keys: Option<TokenKeys>,
}

/// What was offered, as far as it was looked at.
#[derive(Default)]
struct Seen {
    /// Whom the Basic credential that was judged names.
    name: Option<AccountName>,
    record: Option<Update>,
    bearer: Option<IsRight>,
}

type IsRight = bool;

impl Identity {
    /// Proves who calls, and that they may: 401, then 403. For rows with an audience.
    pub async fn admit(&self, signed: &Signed, spec: &RouteSpec) -> Admission {
        let mut seen = Seen::default();
        let judged = self.judge(signed, &mut seen).await;
        let told = self.told(signed, &mut seen);
        let outcome = match judged {
            Ok(caller) => check_role(caller, spec.audience),
            Err(error) => {
                let error = self.counted(error, signed, seen.name.as_ref());
                Err(error.in_dialect(spec, self.is_513_asked_for))
            }
        };
        Admission { verdict: verdict(&outcome), outcome, told }
    }

    /// Writes down when passwords were used.
    ///
    /// # Errors
    /// From the database; it is tried again the next time.
    pub async fn write_last_uses(&self, everything: bool) -> Result<(), DbError> {
        self.last_use.write(&self.db, self.clock.now_db(), everything).await
    }

    /// Tells the log once a day how many passwords are due to be replaced. Nothing is forced.
    ///
    /// # Errors
    /// From the database; then the log is told the next day.
    pub async fn remind(&self) -> Result<(), DbError> {
        let now_ms = self.clock.now_db();
        let today = now_ms / DAY_MS;
        if self.reminded_on_day.swap(today, Ordering::Relaxed) == today {
            return Ok(());
        }
        let due = passwords::count_due(&self.db, self.reminder, now_ms).await?;
        if due > 0 {
            tracing::warn!(due, "API passwords are due to be replaced: `account list` says which");
        }
        Ok(())
    }

    async fn judge(&self, signed: &Signed, seen: &mut Seen) -> Result<Caller, ApiError> {
        let header = signed.authorization.as_ref().map(|value| value.as_str());
        let Authorization { basic, bearer } = authorization::parse(header)?;
        let mut refusal = ApiError::new(Problem::BadCredentials);
        if let Some(token) = bearer {
            let judged = self.bearer(&token).await;
            seen.bearer = Some(judged.is_ok());
            match judged {
                Err(error) if error.problem() != Problem::Internal => refusal = error,
                other => return other,
            }
        }
        match basic {
            Some(basic) => self.basic(&basic, signed.mark.wants_record(), seen).await,
            None => Err(refusal),
        }
    }

    async fn bearer(&self, token: &BearerToken) -> Result<Caller, ApiError> {
        let session = self.tokens.verify(token, self.clock.now_secs()).map_err(|error| match error {
            TokenError::Sealed => Problem::Sealed,
            TokenError::Invalid | TokenError::NotSigned => Problem::InvalidOrExpiredJwt,
        })?;
        let found = credentials::with_session(&self.db, &session.account, &session.id).await?;
        let account = credentials::standing(found, &session, self.clock.now_db())?;
        Ok(Caller { account, session_id: Some(session.id) })
    }

    async fn basic(&self, offered: &Basic, is_record_asked_for: bool, seen: &mut Seen) -> Result<Caller, ApiError> {
        let now_ms = self.clock.now_db();
        seen.name = Some(offered.account.clone());
        let found = credentials::with_passwords(&self.db, &offered.account, now_ms).await?;
        let number = credentials::matching(found.as_ref(), offered);
        let counts = |account: &Account| account.is_active && account.mode == AuthMode::Basic;
        let is_right = number.is_some() && found.as_ref().is_some_and(|found| counts(&found.account));
        // Most requests are right, and of an edge that knows it: nothing is put together for those.
        if is_record_asked_for || !is_right {
            seen.record = Some(credentials::update(&offered.account, found.as_ref()));
        }
        let account = found.map(|found| found.account).filter(|_| is_right);
        let (account, number) = account.zip(number).ok_or(Problem::BadCredentials)?;
        self.last_use.used(&account.name, number, now_ms);
        Ok(Caller { account, session_id: None })
    }

    /// On a right credential what the edge asked for, on a refused one whatever there is: it may have been the edge's
    /// record that was old.
    fn told(&self, signed: &Signed, seen: &mut Seen) -> Told {
        if !signed.is_from_edge() {
            return Told::default();
        }
        let is_asked = signed.mark.wants_record();
        let wants_keys = seen.bearer.is_some_and(|is_right| is_asked || !is_right);
        Told { record: seen.record.take(), token_keys: wants_keys.then(|| self.tokens.published()).flatten() }
    }

    /// A failure counts against the address and the name that it came with. What is right but for the account's mode is
    /// no failure, and neither is our own.
    fn counted(&self, error: ApiError, signed: &Signed, name: Option<&AccountName>) -> ApiError {
        let problem = error.problem();
        if problem.status() != 401 || problem == Problem::JwtDisabled {
            return error;
        }
        match self.throttle.failed(&signed.client_address, name, self.clock.now_ms()) {
            Some(secs) => ApiError::retry_after(secs),
            None => error,
        }
    }
}

impl Told {
    /// Adds the headers to an answer.
    pub fn put_on(&self, answer: &mut HeaderMap) {
        let mut put = |name, text: String| {
            // A name or an issuer that cannot stand in a header cannot be configured; then nothing is told.
            if let Ok(value) = HeaderValue::from_str(text.trim_end()) {
                answer.insert(HeaderName::from_static(name), value);
            }
        };
        if let Some(record) = &self.record {
            put(headers::CREDENTIAL_RECORD, record.to_header());
        }
        if let Some(keys) = &self.token_keys {
            put(headers::TOKEN_KEYS, keys.to_header());
        }
    }
}

/// The role is the one of our own records, not the one that a token was made with.
fn check_role(caller: Caller, audience: Audience) -> Result<Caller, ApiError> {
    match audience {
        Audience::Role(role) if caller.account.role != role => Err(Problem::Forbidden.into()),
        _ => Ok(caller),
    }
}

fn verdict(outcome: &Result<Caller, ApiError>) -> &'static str {
    match outcome {
        Ok(Caller { session_id: None, .. }) => "basic",
        Ok(Caller { session_id: Some(_), .. }) => "bearer",
        Err(error) => error.problem().code(),
    }
}

/// The merchant that a call is for: the caller, or the merchant that a PSP names and may act for.
///
/// # Errors
/// 400 when a PSP names none; 404 when the merchant is not theirs, as when it does not exist.
pub async fn acting_for(db: &Db, caller: Account, merchant_id: Option<u64>) -> Result<Account, ApiError> {
    match (&caller.name, merchant_id) {
        (AccountName::Psp(_), None) => {
            Err(ApiError::because(Problem::BadRequest, "merchantId says which merchant a PSP acts for"))
        }
        (AccountName::Psp(_), Some(id)) => {
            let merchant = store::find(db, &AccountName::Merchant(id)).await?;
            merchant
                .filter(|merchant| merchant.is_active && merchant.psp.as_ref() == Some(&caller.name))
                .ok_or_else(|| Problem::NotFound.into())
        }
        (AccountName::Merchant(own), Some(id)) if *own == id => Ok(caller),
        (_, Some(_)) => Err(Problem::NotFound.into()),
        (_, None) => Ok(caller),
    }
}
