//! One post being answered: what is asked of the server, and what its answer comes to.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::state::Kind;
use super::super::store::authentications::{self, ChallengeAt, Details, Record, State};
use super::{Case, Next, ThreeDs, ThreeDsError};
use crate::acquirers::threedsecure::areq::{self, Method};
use crate::acquirers::threedsecure::messages::{Ares, CardRange, Failure, Rreq, creq, method_data};
use crate::acquirers::threedsecure::{Browser, Merchant, Mode, Purchase, Step, policy};
use crate::acquirers::{Authentication, AuthenticationMessage, Decline};
use crate::clock::Clock;
use crate::db::{Db, DbError};

/// A challenge must start within 30 s and may take 10 min; a little for the way back.
const CHALLENGE_LEASE_MS: i64 = 30_000 + 10 * 60_000 + 60_000;
/// The server's id lives for 80 s: not used when the bank's answer might come after that.
const ID_LIVES_MS: i64 = 80_000 - 15_000;

/// All of one post: with one authorisation and one capture (16 s each) it fits into the edge's 55 s.
const POST_BUDGET: Duration = Duration::from_secs(20);
/// "Cached, instant."
const PREAUTH_LIMIT: Duration = Duration::from_secs(4);
/// The server gives up on the bank after 10 s.
const AUTH_LIMIT: Duration = Duration::from_secs(11);
const POSTAUTH_LIMIT: Duration = Duration::from_secs(4);
/// The result is with the server before the browser comes back, or hardly later.
const POSTAUTH_BUDGET: Duration = Duration::from_secs(8);
const FIRST_BACK_OFF: Duration = Duration::from_millis(250);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(2);

/// One post being answered.
pub(super) struct Run<'a> {
    pub(super) threeds: &'a ThreeDs,
    pub(super) db: &'a Db,
    pub(super) clock: &'a dyn Clock,
    pub(super) case: &'a Case<'a>,
    pub(super) began: Instant,
}

impl Run<'_> {
    pub(super) async fn start(&self) -> Result<Next, ThreeDsError> {
        let range = match self.preauth().await {
            Ok(range) => range,
            Err(next) => return Ok(next),
        };
        let record = match self.record(range, State::Method, self.case.browser.clone()) {
            Ok(record) => record,
            Err(next) => return Ok(next),
        };
        let shown = record.details.method_url.as_deref().is_some_and(|url| self.threeds.may_show(url));
        let record = if shown { record } else { Record { state: State::Asking, ..record } };
        if !authentications::add(self.db, &record, self.case.transaction.version).await? {
            return Err(ThreeDsError::Busy);
        }
        if shown { Ok(self.same_again(&record)) } else { self.ask(record).await }
    }

    pub(super) async fn after_method(&self, record: Record) -> Result<Next, ThreeDsError> {
        let asking = Record { state: State::Asking, updated_at_ms: self.now_after(&record), ..record.clone() };
        self.write(&record, &asking).await?;
        // The page may have called back between reading and claiming.
        let is_method_done =
            authentications::find(self.db, record.transaction_id).await?.is_some_and(|now| now.is_method_done);
        self.ask(Record { is_method_done, ..asking }).await
    }

    /// Whoever asked died over it: what they asked for is not to be had any more.
    pub(super) async fn take_over(&self, record: Record) -> Result<Next, ThreeDsError> {
        let asking = Record { updated_at_ms: self.now_after(&record), ..record.clone() };
        self.write(&record, &asking).await?;
        match self.renew(&asking).await? {
            Ok(renewed) => self.ask(renewed).await,
            Err(next) => Ok(next),
        }
    }

    /// Asks the bank; the record is claimed by us.
    async fn ask(&self, mut record: Record) -> Result<Next, ThreeDsError> {
        for tries in 1..=2 {
            if self.clock.now_db() - record.began_at_ms > ID_LIVES_MS {
                record = match self.renew(&record).await? {
                    Ok(renewed) => renewed,
                    Err(next) => return Ok(next),
                };
            }
            let failure = match self.auth(&record).await {
                Ok(Ok(ares)) => return self.on_ares(&record, ares).await,
                Ok(Err(failure)) => failure,
                Err(next) => return Ok(next),
            };
            tracing::warn!(transaction = record.transaction_id, cause = %failure, "3-D Secure: /auth");
            let step = match &failure {
                Failure::Erro { code, .. } => policy::on_auth_error(self.mode(), code, tries),
                // Nobody knows what became of it, but it moved no money: once more, when there is time for it.
                Failure::NoAnswer(_) | Failure::NotSent if tries == 1 && self.left(POST_BUDGET) >= AUTH_LIMIT => {
                    Step::Again
                }
                _ => without_answer(&failure),
            };
            if step != Step::Again {
                return Ok(next_of(step));
            }
            record = match self.renew(&record).await? {
                Ok(renewed) => renewed,
                Err(next) => return Ok(next),
            };
        }
        Ok(next_of(Step::Decline(Decline::Technical)))
    }

    async fn on_ares(&self, record: &Record, ares: Ares) -> Result<Next, ThreeDsError> {
        let step = policy::on_ares(self.mode(), &ares.status, ares.reason.as_deref());
        self.log("ARes", &ares.status, ares.reason.as_deref(), step);
        let challenge = match (step, ares.challenge) {
            (Step::Proceed, _) => return Ok(authorise(AuthenticationMessage::Ares, ares.json)),
            (Step::Challenge, Some(challenge)) if self.threeds.may_show(&challenge.url) => challenge,
            (Step::Challenge, _) => return Ok(next_of(Step::Decline(Decline::Technical))),
            (step, _) => return Ok(next_of(step)),
        };
        let challenge = ChallengeAt { acs_id: challenge.acs_id, url: challenge.url };
        let after = Record {
            state: State::Challenge,
            details: Details { challenge: Some(challenge), ..record.details.clone() },
            updated_at_ms: self.now_after(record),
            ..record.clone()
        };
        let mut tx = self.db.begin().await?;
        if !authentications::write_in(&mut tx, record, &after).await? {
            return Err(ThreeDsError::Busy);
        }
        let until_ms = self.clock.now_db() + CHALLENGE_LEASE_MS;
        authentications::wait_until(&mut tx, record.transaction_id, until_ms).await?;
        tx.commit().await.map_err(DbError::from)?;
        Ok(self.same_again(&after))
    }

    /// Asks for the result until it is there, or time is up. Who comes before their challenge is over is declined: the
    /// bank has asked, and nobody has answered.
    pub(super) async fn after_challenge(&self, record: &Record) -> Result<Next, ThreeDsError> {
        let acs_id = record.details.challenge.as_ref().map_or("", |challenge| challenge.acs_id.as_str());
        let (server, credentials) = (&self.threeds.server, &self.case.setup.credentials);
        let mut back_off = FIRST_BACK_OFF;
        loop {
            let limit = POSTAUTH_LIMIT.min(self.left(POSTAUTH_BUDGET));
            let failure = match server.postauth(credentials, &record.server_id, acs_id, limit).await {
                Ok(rreq) => return Ok(self.on_rreq(rreq)),
                Err(failure) => failure,
            };
            tracing::info!(transaction = record.transaction_id, cause = %failure, "3-D Secure: /postauth");
            let (step, at_the_end) = match &failure {
                Failure::Erro { code, .. } => (policy::on_postauth_error(code), Step::Decline(Decline::ThreeDSecure)),
                Failure::Key => (without_answer(&failure), without_answer(&failure)),
                Failure::NotSent | Failure::NoAnswer(_) => (Step::Again, without_answer(&failure)),
            };
            if step != Step::Again {
                return Ok(next_of(step));
            }
            if self.left(POSTAUTH_BUDGET) <= back_off {
                return Ok(next_of(at_the_end));
            }
            sleep(back_off).await;
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
        }
    }

    fn on_rreq(&self, rreq: Rreq) -> Next {
        let step = policy::on_rreq(&rreq.status, rreq.reason.as_deref(), rreq.cancel.as_deref());
        self.log("RReq", &rreq.status, rreq.reason.as_deref(), step);
        match step {
            Step::Proceed => authorise(AuthenticationMessage::Rreq, rreq.json),
            step => next_of(step),
        }
    }

    /// The answer that this record has been given with before.
    pub(super) fn same_again(&self, record: &Record) -> Next {
        let (id, server_id) = (record.transaction_id, &record.server_id);
        match (record.state, &record.details.challenge, &record.details.method_url) {
            (State::Challenge, Some(challenge), _) => Next::Challenge {
                url: challenge.url.clone(),
                creq: creq(server_id, &challenge.acs_id, record.version, &record.details.browser.window_size),
            },
            (State::Method, _, Some(url)) => {
                Next::Method { url: url.clone(), data: method_data(server_id, &self.threeds.callback("method", id)) }
            }
            _ => next_of(Step::Decline(Decline::Technical)),
        }
    }

    /// Nothing to be undone, so it is tried twice whatever went wrong.
    async fn preauth(&self) -> Result<CardRange, Next> {
        let (server, credentials) = (&self.threeds.server, &self.case.setup.credentials);
        let mut step = Step::Decline(Decline::Technical);
        for tries in 1..=2 {
            let limit = PREAUTH_LIMIT.min(self.left(POST_BUDGET));
            let failure = match server.preauth(credentials, self.case.pan, limit).await {
                Ok(range) => return Ok(range),
                Err(failure) => failure,
            };
            tracing::info!(transaction = self.case.transaction.id, cause = %failure, "3-D Secure: /preauth");
            step = match &failure {
                Failure::Erro { code, .. } => policy::on_preauth_error(self.mode(), code, tries),
                Failure::NotSent | Failure::NoAnswer(_) if tries == 1 => Step::Again,
                _ => without_answer(&failure),
            };
            if step != Step::Again {
                break;
            }
        }
        Err(next_of(step))
    }

    /// A new id for a record of ours: nothing that was done with the old one counts, the method page neither.
    async fn renew(&self, record: &Record) -> Result<Result<Record, Next>, ThreeDsError> {
        let range = match self.preauth().await {
            Ok(range) => range,
            Err(next) => return Ok(Err(next)),
        };
        let renewed = match self.record(range, State::Asking, record.details.browser.clone()) {
            Ok(renewed) => Record { updated_at_ms: self.now_after(record), ..renewed },
            Err(next) => return Ok(Err(next)),
        };
        self.write(record, &renewed).await?;
        Ok(Ok(renewed))
    }

    async fn auth(&self, record: &Record) -> Result<Result<Ares, Failure>, Next> {
        let Case { transaction, setup, pan, expiry, holder, keeps_card, payer_address, .. } = *self.case;
        let credentials = &setup.credentials;
        let first_digit = pan.expose().chars().next();
        let Some(acquirer_bin) = credentials.acquirer_bin(&record.details.scheme, first_digit) else {
            return Err(next_of(Step::Decline(Decline::UnsupportedScheme)));
        };
        let notification_url = self.threeds.callback("challenge", transaction.id);
        let merchant = Merchant { credentials, acquirer_bin, notification_url: &notification_url };
        let purchase = Purchase {
            pan,
            expiry,
            holder,
            amount: transaction.amount(),
            is_verification: transaction.kind == Kind::Verify,
            wants_challenge: self.is_step_up() || keeps_card,
            at_ms: self.clock.now_ms(),
            payer_address,
        };
        let method = match (&record.details.method_url, record.is_method_done) {
            (None, _) => Method::None,
            (Some(_), true) => Method::Done,
            (Some(_), false) => Method::NotDone,
        };
        let (id, version) = (&record.server_id, record.version);
        let areq = areq::encode(id, version, method, &merchant, &purchase, &record.details.browser)
            .map_err(|error| next_of(Step::Decline(error.decline())))?;
        let limit = AUTH_LIMIT.min(self.left(POST_BUDGET));
        Ok(self.threeds.server.auth(credentials, areq, id, version, limit).await)
    }

    fn record(&self, range: CardRange, state: State, browser: Browser) -> Result<Record, Next> {
        let Some(version) = range.version else {
            tracing::warn!(transaction = self.case.transaction.id, "3-D Secure: no version in common with the bank");
            return Err(next_of(policy::unavailable(self.mode())));
        };
        let now_ms = self.clock.now_db();
        Ok(Record {
            transaction_id: self.case.transaction.id,
            server_id: range.id,
            version,
            state,
            is_method_done: false,
            details: Details { scheme: range.scheme, method_url: range.method_url, browser, challenge: None },
            began_at_ms: now_ms,
            updated_at_ms: now_ms,
        })
    }

    async fn write(&self, before: &Record, after: &Record) -> Result<(), ThreeDsError> {
        if authentications::write(self.db, before, after).await? { Ok(()) } else { Err(ThreeDsError::Busy) }
    }

    /// A write is told from the one before it by its time, so that time moves on.
    fn now_after(&self, record: &Record) -> i64 {
        self.clock.now_db().max(record.updated_at_ms + 1)
    }

    /// An issuer has asked for it: there is an act already, which was refused.
    fn is_step_up(&self) -> bool {
        self.case.transaction.ledger.last_act > 0
    }

    fn mode(&self) -> Mode {
        if self.is_step_up() { Mode::Required } else { self.case.setup.mode }
    }

    fn left(&self, budget: Duration) -> Duration {
        budget.saturating_sub(self.began.elapsed())
    }

    fn log(&self, message: &str, status: &str, reason: Option<&str>, step: Step) {
        let transaction = self.case.transaction.id;
        tracing::info!(transaction, message, status, reason, ?step, "3-D Secure");
    }
}

/// Nobody knows what the bank wanted: not paid, whatever the merchant's rule.
fn without_answer(failure: &Failure) -> Step {
    Step::Decline(match failure {
        Failure::Key => Decline::Credentials,
        Failure::NotSent => Decline::Unreachable,
        Failure::NoAnswer(_) | Failure::Erro { .. } => Decline::Technical,
    })
}

fn next_of(step: Step) -> Next {
    match step {
        Step::ProceedWithout => Next::Authorise(None),
        Step::Decline(reason) => Next::Decline(reason.into()),
        // With a message or an address only: without one there is nothing to go on with.
        Step::Proceed | Step::Challenge | Step::Again => Next::Decline(Decline::Technical.into()),
    }
}

fn authorise(message: AuthenticationMessage, json: String) -> Next {
    Next::Authorise(Some(Authentication { message, json }))
}
