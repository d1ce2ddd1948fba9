//! One authentication on its way, and its deadlines.

use zeroize::Zeroizing;

use super::{
    guesses::{CANCELLED, DECOUPLED_SECONDS, TIMED_OUT},
    script::Script,
};

/// Documented deadlines, in seconds.
pub(super) const ID_SECONDS: i64 = 80;
const START_SECONDS: i64 = 30;
const INTERACTION_SECONDS: i64 = 600;
const KEPT_SECONDS: i64 = 300;
const KEPT_DECOUPLED_SECONDS: i64 = 1200;

/// It holds the card number: no `Debug`.
pub(super) struct Transaction {
    pub(super) number: Zeroizing<String>,
    pub(super) script: Script,
    pub(super) created: i64,
    pub(super) version: String,
    pub(super) amount: Option<u64>,
    pub(super) currency: String,
    pub(super) acs_id: String,
    pub(super) ds_id: String,
    pub(super) notification_url: String,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// The id has been given out.
    New,
    /// The ARes was the last word.
    Final {
        at: i64,
    },
    /// Since the ARes; `touched` once the browser has come to the bank's page.
    Challenging {
        since: i64,
        touched: Option<i64>,
    },
    Decoupled {
        since: i64,
    },
    Done {
        at: i64,
        kept: i64,
        result: Result,
    },
}

/// What the RReq says.
#[derive(Clone, Copy)]
pub(super) struct Result {
    pub(super) status: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) cancel: Option<&'static str>,
    pub(super) interactions: u8,
    /// 02 dynamic, 04 decoupled.
    pub(super) kind: &'static str,
}

impl Result {
    /// What the cardholder did on the page.
    pub(super) const fn answered(passed: bool) -> Self {
        let (status, reason) = if passed { ("Y", None) } else { ("N", Some("01")) };
        Self { status, reason, cancel: None, interactions: 1, kind: "02" }
    }

    pub(super) const fn cancelled() -> Self {
        Self { status: CANCELLED.0, reason: Some(CANCELLED.1), cancel: Some("01"), interactions: 1, kind: "02" }
    }

    const fn timed_out(cancel: &'static str, interactions: u8) -> Self {
        Self { status: TIMED_OUT.0, reason: Some(TIMED_OUT.1), cancel: Some(cancel), interactions, kind: "02" }
    }
}

impl Transaction {
    /// What has happened meanwhile without anybody's call. Returns the result when it is new.
    pub(super) fn settle(&mut self, now: i64) -> Option<Result> {
        let (at, result, kept) = match self.stage {
            Stage::Challenging { since, touched: None } => {
                (since + START_SECONDS, Result::timed_out("05", 0), KEPT_SECONDS)
            }
            Stage::Challenging { touched: Some(touched), .. } => {
                (touched + INTERACTION_SECONDS, Result::timed_out("04", 1), KEPT_SECONDS)
            }
            Stage::Decoupled { since } => {
                let result = Result { kind: "04", interactions: 0, ..Result::answered(true) };
                // `now > at` below: the answer is there when the seconds are over.
                (since + DECOUPLED_SECONDS - 1, result, KEPT_DECOUPLED_SECONDS)
            }
            Stage::New | Stage::Final { .. } | Stage::Done { .. } => return None,
        };
        if now <= at {
            return None;
        }
        self.stage = Stage::Done { at, kept, result };
        Some(result)
    }

    /// The cardholder has answered.
    pub(super) fn complete(&mut self, result: Result, now: i64) {
        self.stage = Stage::Done { at: now, kept: KEPT_SECONDS, result };
    }

    /// Whether the id is still known to anybody.
    pub(super) fn alive(&self, now: i64) -> bool {
        match self.stage {
            Stage::New => now <= self.created + ID_SECONDS,
            Stage::Final { at } => now <= at + KEPT_SECONDS,
            Stage::Challenging { .. } | Stage::Decoupled { .. } => true,
            Stage::Done { at, kept, .. } => now <= at + kept,
        }
    }
}
