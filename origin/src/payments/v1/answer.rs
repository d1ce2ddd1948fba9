//! One effect and one answer for each named call, and an answer in time.

use std::future::Future;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use scanvault_protocol::route::Route;
use scanvault_protocol::{Problem, told};
use tokio::time::{Duration, Instant};

use super::super::idempotency::{Found, Key, LOOK_EVERY, with_status};
use super::super::ledger::Stage;
use super::super::store::idempotency::Answer;
use super::super::store::{Transaction, acts, transactions};
use super::{V1, texts};
use crate::db::DbError;
use crate::web::ApiError;
use crate::web::reply::put_reason;

/// How long a client is kept waiting: the edge gives up after 8 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(7);

/// What a call came to.
pub(super) enum Done {
    /// Its answer. With a key it was kept in the transaction that had the effect.
    Answer(Answer),
    /// An act was begun and may have ended: the answer is read off the transaction.
    Begun {
        /// The transaction.
        id: i64,
        /// The act.
        act: u32,
    },
}

impl V1<'_> {
    /// Does a call once and answers it in time. `work` runs to its end whatever becomes of the answer; with a key, it
    /// writes that key with its intent.
    pub(super) async fn once(
        self,
        route: Route,
        key: Option<Key>,
        work: impl Future<Output = Result<Done, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let until = Instant::now() + ANSWER_WITHIN;
        match key {
            Some(key) => self.once_named(route, &key, until, work).await,
            None => self.once_unnamed(route, until, work).await,
        }
    }

    async fn once_unnamed(
        self,
        route: Route,
        until: Instant,
        work: impl Future<Output = Result<Done, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let Ok(done) = tokio::time::timeout_at(until, self.payments.to_its_end(work)).await else {
            return Err(texts::unknown());
        };
        match done.map_err(|error| ApiError::internal(&error))?? {
            Done::Answer(answer) => Ok(reply(answer)),
            Done::Begun { id, act } => self.outcome(route, (id, act)).await?.map(reply).ok_or_else(texts::unknown),
        }
    }

    async fn once_named(
        self,
        route: Route,
        key: &Key,
        until: Instant,
        work: impl Future<Output = Result<Done, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let mut work = Some(work);
        loop {
            match key.find(&self.payments.db).await? {
                Found::Answered(answer) => return Ok(with_status(reply(answer), "OK")),
                Found::Another => return Ok(conflict()),
                Found::Open(begun) => {
                    if let Some(answer) = self.settled(route, key, begun).await? {
                        return Ok(with_status(reply(answer), "OK"));
                    }
                    if Instant::now() >= until {
                        return Err(texts::pending());
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Found::Nothing => {
                    // The key is there once the work has begun; a work that ended without it has begun nothing.
                    let Some(work) = work.take() else { return Err(texts::pending()) };
                    if let Some(response) = self.begin(key, until, work).await? {
                        return Ok(response);
                    }
                }
            }
        }
    }

    /// Runs the work. `None`: what became of it stands with the key.
    async fn begin(
        self,
        key: &Key,
        until: Instant,
        work: impl Future<Output = Result<Done, ApiError>> + Send + 'static,
    ) -> Result<Option<Response>, ApiError> {
        let Ok(done) = tokio::time::timeout_at(until, self.payments.to_its_end(work)).await else { return Ok(None) };
        let Err(error) = done.map_err(|error| ApiError::internal(&error))? else { return Ok(None) };
        let now_ms = self.payments.clock.now_db();
        match texts::lasting(&error) {
            Some(answer) if key.refused(&self.payments.db, &answer, now_ms).await? => {
                Ok(Some(with_status(error.into_response(), "OK")))
            }
            Some(_) => Ok(None),
            // The same call may have run beside this one: then its key is there, and its answer is the answer.
            None if !matches!(key.find(&self.payments.db).await?, Found::Nothing) => Ok(None),
            None => Err(error),
        }
    }

    /// The answer of an open key, once its act has an outcome; it is kept.
    async fn settled(self, route: Route, key: &Key, begun: Option<(i64, u32)>) -> Result<Option<Answer>, ApiError> {
        let Some(begun) = begun else { return Ok(None) };
        let answer = self.outcome(route, begun).await?;
        if let Some(answer) = &answer {
            key.complete(&self.payments.db, answer).await?;
        }
        Ok(answer)
    }

    /// The answer that an act's outcome comes to; `None`: it has none yet.
    async fn outcome(self, route: Route, (id, act): (i64, u32)) -> Result<Option<Answer>, ApiError> {
        let db = &self.payments.db;
        let corrupt = || ApiError::internal(&DbError::Corrupt("transaction"));
        let transaction = transactions::find(db, id).await?.ok_or_else(corrupt)?;
        if route == Route::V1Charge {
            return Ok(of_charge(&transaction));
        }
        let acts = acts::list(db, id).await?;
        let act = acts.iter().find(|known| known.number == act).ok_or_else(corrupt)?;
        Ok(match act.state.as_str() {
            "done" => Some(ok("{}".to_owned())),
            "refused" => Some(texts::refused(act.decline)),
            _ => None,
        })
    }
}

/// A charge is answered once the money is taken, or will not be.
fn of_charge(transaction: &Transaction) -> Option<Answer> {
    match transaction.ledger.stage {
        Stage::Authorised if transaction.is_taken() => Some(charged(transaction)),
        Stage::Authorised | Stage::Waiting | Stage::Authorising => None,
        Stage::Lost => Some(texts::lost()),
        Stage::Declined | Stage::Cancelled | Stage::Expired | Stage::Voided => {
            Some(texts::refused(transaction.decline))
        }
    }
}

fn charged(transaction: &Transaction) -> Answer {
    let authorized = transaction.money(transaction.ledger.authorised_minor).to_total();
    ok(serde_json::json!({"type": "charge", "id": transaction.id, "totals": {"authorized": authorized}}).to_string())
}

pub(super) fn ok(body: String) -> Answer {
    Answer { status: 200, body }
}

fn reply(answer: Answer) -> Response {
    let media_type = if answer.status == 200 { "application/json" } else { told::LINE_CONTENT_TYPE };
    let reason = if answer.status == 200 { None } else { told::reason(&answer.body).map(str::to_owned) };
    let mut response = Response::new(answer.body.into());
    if let Some(reason) = reason {
        put_reason(&mut response, &reason);
    }
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn conflict() -> Response {
    let error = ApiError::because(Problem::Conflict, "this idempotency-key was used with another request");
    with_status(error.into_response(), "ERROR")
}
