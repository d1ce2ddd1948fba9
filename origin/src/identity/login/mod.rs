//! Logins with an RSA key: challenges both ways, a session, a token.
//!
//! ```text
//! client                                              gateway
//!   GET login-challenges   identity, E(gateway, Nc) ─▶  kept: hash of E(client, Ns), hash of the answer, identity, version
//!        expires, E(client, Ns), SHA-256(Nc)        ◀─
//!   POST login   identity, password, SHA-256(E(client, Ns)), SHA-256(Ns) ─▶  used up, compared, session, token
//! ```
//!
//! E is RSA/ECB/OAEPWithSHA-1AndMGF1Padding of the reference. Whoever is not enrolled, is suspended or does not exist, gets
//! an answer of the same form, size and cost; so does a challenge that opens to nothing ([`crate::vault::login`]). What a
//! login is refused for is not told, but for one thing, to whoever has proved everything: that the account is in Basic mode.
//!
//! Not protected: a client that talks to somebody in the middle who relays. The challenges are bound to no connection; TLS
//! is what stands against that.

mod challenges;
mod limits;
mod request;
mod rsa;

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use scanvault_protocol::password::{ApiPassword, PasswordVerifier};
use scanvault_protocol::token::is_session_id;
use scanvault_protocol::{AccountName, AuthMode, Problem};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::challenges::{Challenges, Kept, Sent};
use self::limits::Limits;
use self::request::{ChallengeQuery, Identity, LoginBody, Refused};
use self::rsa::{NOBODYS_KEY, Wanted, Workers};
use super::account::Account;
use super::enrolments::{self, Standing};
use super::sessions::{self, Session};
use super::store;
use super::tokens::{TokenError, Tokens};
use crate::audit::{Audit, Entry};
use crate::calendar::Utc;
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::vault::{SystemEntropy, Unsealed, Vault};
use crate::web::{ApiError, Call};

/// How long a challenge counts, in seconds: the reference's two values.
pub const PRODUCTION_CHALLENGE_SECS: u64 = 60;
/// For a sandbox, where people type.
pub const SANDBOX_CHALLENGE_SECS: u64 = 600;

/// The password that whoever sends none that could be one is compared with: the cost is the same.
const NO_PASSWORD: [u8; 32] = [0; 32];

/// Challenges, logins and their ends. One for the process.
pub struct Logins {
    db: Db,
    vault: Arc<Vault>,
    audit: Arc<Audit>,
    clock: Arc<dyn Clock>,
    tokens: Arc<Tokens>,
    lifetime_ms: i64,
    challenges: Challenges,
    workers: Workers,
    challenge_limits: Limits,
    login_limits: Limits,
}

/// What a login needs of the process.
pub struct Parts {
    /// Where accounts and sessions are.
    pub db: Db,
    /// Where the login key is.
    pub vault: Arc<Vault>,
    /// What is written down.
    pub audit: Arc<Audit>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who makes tokens.
    pub tokens: Arc<Tokens>,
    /// How long a challenge counts.
    pub challenge_secs: u64,
    /// Off: for tests and the demo.
    pub rate_limits: bool,
}

/// As the reference has it, field for field.
#[derive(Serialize)]
struct ChallengeAnswer {
    expires: String,
    #[serde(rename = "base64EncodedChallenge")]
    challenge: String,
    #[serde(rename = "base64EncodedClientChallengeResponse")]
    proof: String,
}

/// As the reference has it, field for field.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginAnswer<'a> {
    header_name: &'static str,
    header_value: &'a str,
    session_id: &'a str,
    expires: String,
}

/// A login whose challenge was answered rightly, by somebody who may log in but for the password.
struct Proved {
    account: AccountName,
    credential_version: i64,
    has_password: bool,
}

impl Logins {
    /// For this process.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { db, vault, audit, clock, tokens, challenge_secs, rate_limits } = parts;
        Self {
            challenges: Challenges::new(&db),
            workers: Workers::new(),
            challenge_limits: Limits::new(rate_limits),
            login_limits: Limits::new(rate_limits),
            lifetime_ms: i64::try_from(challenge_secs.saturating_mul(1000)).unwrap_or(i64::MAX),
            db,
            vault,
            audit,
            clock,
            tokens,
        }
    }

    /// `GET /authentication/login-challenges`
    ///
    /// # Errors
    /// 400 for what can be no identity or no ciphertext, 429, 503 while sealed or when there is too much to do.
    pub async fn challenge(&self, call: &Call) -> Result<Response, ApiError> {
        let query = ChallengeQuery::parse(call.signed.query.as_deref().unwrap_or_default())?;
        let Identity { text: identity, .. } = query.identity;
        let address = &call.signed.client_address;
        self.challenge_limits.take(address, &identity, self.clock.now_ms()).map_err(ApiError::retry_after)?;
        let unsealed = self.unsealed()?;
        // Before the database is asked: a flood stops here, not in the queue for a connection.
        let turn = self.workers.turn()?;
        let standing = enrolments::standing(self.db.aside(), &identity, NOBODYS_KEY).await?;
        let credential_version = if standing.may_log_in { standing.credential_version } else { 0 };
        let wanted = Wanted {
            unsealed,
            identity: identity.clone(),
            is_enrolled: standing.may_log_in,
            key: standing.public_key,
            client_challenge: query.challenge,
        };
        let prepared = self.workers.prepare(wanted, turn).await?;
        let text = STANDARD.encode(*prepared.challenge);
        let now_ms = self.clock.now_db();
        let expires_at_ms = now_ms.saturating_add(self.lifetime_ms);
        let sent = Sent {
            challenge_hash: Sha256::digest(*prepared.challenge).into(),
            text_hash: Sha256::digest(&text).into(),
            kept: Kept { identity, credential_version, answer_hash: prepared.answer_hash, expires_at_ms },
        };
        if !self.challenges.keep(sent, now_ms).await? {
            return Err(Problem::Overloaded.into());
        }
        let proof = STANDARD.encode(prepared.proof);
        Ok(Json(ChallengeAnswer { expires: text_of(expires_at_ms), challenge: text, proof }).into_response())
    }

    /// `POST /authentication/login`
    ///
    /// # Errors
    /// 401 `Bad Credentials` whatever is wrong; 401 `JwtDisabled` when nothing is and the account is in Basic mode; 400, 429
    /// and 503 as for a challenge.
    pub async fn login(&self, call: &Call) -> Result<Response, ApiError> {
        let body: LoginBody = call.json()?;
        let identity = Identity::parse(&body.identity)?;
        let challenge_hash = request::hash(&body.challenge_hash).ok_or(Refused::Hash)?;
        let response = Zeroizing::new(request::hash(&body.challenge_response).ok_or(Refused::Response)?);
        let address = &call.signed.client_address;
        self.login_limits.take(address, &identity.text, self.clock.now_ms()).map_err(ApiError::retry_after)?;
        // Before anything is used up: a login that the seal interrupts may be tried again.
        drop(self.unsealed()?);
        let kept = self.challenges.take(&challenge_hash).await?;
        let standing = enrolments::standing(self.db.aside(), &identity.text, NOBODYS_KEY).await?;
        let proved = self.judge(identity, kept, &standing, &response, &body.password);
        let proved = proved.ok_or(Problem::BadCredentials)?;
        if !proved.has_password {
            self.count_failure(&proved).await?;
            return Err(Problem::BadCredentials.into());
        }
        self.open_session(&proved).await
    }

    /// `DELETE /authentication/sessions/{sessionId}`: the token is dead when this has answered.
    ///
    /// # Errors
    /// 404 for a session that is another's, or over, or none.
    pub async fn logout(&self, account: &Account, call: &Call) -> Result<Response, ApiError> {
        let (id, name) = (call.parameter.as_str(), account.name.to_string());
        // Looked at first: whoever asks for nothing keeps nobody from the writing that is done one after the other.
        let found = if is_session_id(id) { sessions::find(self.db.read(), id).await? } else { None };
        if found.is_none_or(|session| session.account != account.name || session.ended_at_ms.is_some()) {
            return Err(Problem::NotFound.into());
        }
        let mut tx = self.audit.begin().await?;
        if !sessions::end(tx.tx(), id, &account.name, self.clock.now_db()).await? {
            return Err(Problem::NotFound.into());
        }
        tx.push(Entry::new("session.ended", name).with("session", id));
        tx.commit().await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// Forgets what has expired; called now and then.
    ///
    /// # Errors
    /// From the database.
    pub async fn sweep(&self) -> Result<(), DbError> {
        let now_ms = self.clock.now_db();
        self.challenges.sweep(now_ms).await?;
        sessions::sweep(&self.db, now_ms).await?;
        Ok(())
    }

    /// Holds everything against what is known, all of it in any case; what is missing is replaced by what nothing meets.
    /// `None`: the challenge was not answered by whom it was sent to, or they may not log in.
    fn judge(
        &self,
        identity: Identity,
        kept: Option<Kept>,
        standing: &Standing,
        response: &[u8; 32],
        password: &str,
    ) -> Option<Proved> {
        let now_ms = self.clock.now_db();
        let (is_kept, kept) = (kept.is_some(), kept.unwrap_or_else(nothing_kept));
        let is_answered = bool::from(Sha256::digest(response).as_slice().ct_eq(&kept.answer_hash));
        let has_password = match ApiPassword::parse(password) {
            Ok(password) => standing.verifier.accepts(&password),
            Err(_) => PasswordVerifier::impossible().accepts(&ApiPassword::from_entropy(&NO_PASSWORD)),
        };
        let may = standing.may_log_in
            && standing.credential_version == kept.credential_version
            && now_ms >= standing.blocked_until_ms;
        let is_right = is_kept & is_answered & (kept.identity == identity.text) & (now_ms < kept.expires_at_ms) & may;
        let account = identity.name.filter(|_| is_right)?;
        Some(Proved { account, credential_version: kept.credential_version, has_password })
    }

    /// A wrong password from somebody who holds the private key. Strangers come no further than the challenge, so that they
    /// block nobody.
    async fn count_failure(&self, proved: &Proved) -> Result<(), ApiError> {
        let name = proved.account.to_string();
        let mut tx = self.audit.begin().await?;
        let is_blocked = enrolments::failed(tx.tx(), &proved.account, self.clock.now_db()).await?;
        tx.push(Entry::new("login.refused", name.as_str()).with("reason", "password").with("blocked", is_blocked));
        tx.commit().await?;
        tracing::warn!(account = name, is_blocked, "login with the right key and a wrong password");
        Ok(())
    }

    /// Everything was right. What the account is now is read again in the transaction that makes the session, with its row
    /// locked: a change of its credentials is before that and seen, or after it and ends the session by its version.
    async fn open_session(&self, proved: &Proved) -> Result<Response, ApiError> {
        let (account, now_ms) = (&proved.account, self.clock.now_db());
        let mut tx = self.audit.begin().await?;
        store::lock(tx.tx(), account).await?;
        let standing = enrolments::standing(&mut **tx.tx(), &account.to_string(), NOBODYS_KEY).await?;
        let is_same = standing.credential_version == proved.credential_version;
        if !(standing.may_log_in && is_same && now_ms >= standing.blocked_until_ms) {
            return Err(Problem::BadCredentials.into());
        }
        if standing.mode == AuthMode::Basic {
            enrolments::proved(tx.tx(), account, now_ms).await?;
            tx.push(Entry::new("login.proved", account.to_string()));
            tx.commit().await?;
            return Err(Problem::JwtDisabled.into());
        }
        let found = store::find_on(&mut **tx.tx(), account).await?.ok_or(Problem::BadCredentials)?;
        let id = sessions::new_id(&mut SystemEntropy::new()).map_err(|error| ApiError::internal(&error))?;
        let issued = self.tokens.issue(&found, &id, self.clock.now_secs()).map_err(token_problem)?;
        let session = Session {
            id,
            account: found.name,
            credential_version: found.credential_version,
            created_at_ms: now_ms,
            expires_at_ms: i64::try_from(issued.expires_at_secs.saturating_mul(1000)).unwrap_or(i64::MAX),
            ended_at_ms: None,
        };
        sessions::add(tx.tx(), &session).await?;
        enrolments::succeeded(tx.tx(), account, now_ms).await?;
        tx.push(Entry::new("session.opened", account.to_string()).with("session", session.id.as_str()));
        tx.commit().await?;
        let header_value = Zeroizing::new(format!("Bearer {}", issued.token.as_str()));
        let answer = LoginAnswer {
            header_name: "Authorization",
            header_value: &header_value,
            session_id: &session.id,
            expires: text_of(session.expires_at_ms),
        };
        Ok(Json(answer).into_response())
    }

    fn unsealed(&self) -> Result<Arc<Unsealed>, ApiError> {
        self.vault.unsealed().map_err(|_| Problem::Sealed.into())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::because(Problem::BadRequest, refused.to_string())
    }
}

/// In the place of a challenge that is not there: nobody knows what hashes to zeros, and no account has version 0.
fn nothing_kept() -> Kept {
    Kept { identity: String::new(), credential_version: 0, answer_hash: [0; 32], expires_at_ms: 0 }
}

fn token_problem(error: TokenError) -> ApiError {
    match error {
        TokenError::Sealed => Problem::Sealed.into(),
        TokenError::Invalid | TokenError::NotSigned => ApiError::internal(&error),
    }
}

/// `2026-05-14T16:07:13.020Z`
fn text_of(at_ms: i64) -> String {
    Utc::from_unix_ms(u64::try_from(at_ms).unwrap_or(0)).to_string()
}
