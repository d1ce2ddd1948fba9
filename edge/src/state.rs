//! What an isolate remembers between requests: what the origins told, what was taken of the budgets, what is under way, and
//! what was drawn.
//!
//! One isolate interleaves many requests, so the state is borrowed for a step and never across an `await`. It is lost
//! with the isolate, and nothing depends on it but speed and how much of a flood gets through.

use core::cell::RefCell;

use scanvault_protocol::record::{Mark, TokenKeys, Update};

use crate::answer::Images;
use crate::authenticate::Caller;
use crate::budget::{Budgets, Charge, Client};
use crate::config::MAX_REGIONS;
use crate::monitor::Last;
use crate::pool::Pool;
use crate::records::Records;
use crate::regions::Regions;
use crate::tokens::Tokens;
use crate::underway::{Full, Place, UnderWay};

/// The state of an isolate.
#[derive(Debug, Default)]
pub struct State {
    pub images: Images,
    pub records: Records,
    pub tokens: Tokens,
    pub budgets: Budgets,
    pub regions: Regions,
    /// By the place of the region in the configuration.
    pub pools: [Pool; MAX_REGIONS],
    pub under_way: UnderWay,
    /// What the monitor last said.
    pub monitor: Last,
}

/// What an answer of the origin tells of credentials: the values of its two headers.
#[derive(Debug, Default)]
pub struct Told {
    pub record: Option<String>,
    pub keys: Option<String>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// One step with the state of this isolate.
pub fn with<T>(step: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(step)
}

/// A request that is under way at the origins for as long as this is there.
#[derive(Debug)]
pub struct UnderWayHere(Place);

/// Takes a place for it, see [`UnderWay::begin`].
///
/// # Errors
/// There is none: nothing may be sent.
pub fn begin(client: Option<Client>, deadline_ms: u32, now_ms: u64) -> Result<UnderWayHere, Full> {
    with(|state| state.under_way.begin(client, deadline_ms, now_ms)).map(UnderWayHere)
}

impl UnderWayHere {
    /// It is sent to a region now.
    pub fn asks(&self, region: usize, now_ms: u64) {
        with(|state| state.under_way.asks(self.0, region, now_ms));
    }
}

impl Drop for UnderWayHere {
    fn drop(&mut self) {
        with(|state| state.under_way.end(self.0));
    }
}

impl State {
    /// Takes what the origin told on the answer to a request that was sent at `asked_at_ms`. What cannot be read was not
    /// told.
    pub fn learn(&mut self, told: &Told, asked_at_ms: u64, now_ms: u64) {
        if let Some(update) = told.record.as_deref().and_then(|text| text.parse::<Update>().ok()) {
            self.records.learn(update, asked_at_ms, now_ms);
        }
        if let Some(keys) = told.keys.as_deref().and_then(|text| text.parse::<TokenKeys>().ok()) {
            self.tokens.learn(keys, asked_at_ms, now_ms);
        }
    }

    /// Draws the conclusion from what became of a request: `status` is the origin's answer, `None` when there was none.
    /// Returns whether its charge stays: the origin has refused the credential.
    pub fn settle(&mut self, caller: &Caller, charge: Option<&Charge>, status: Option<u16>) -> bool {
        // 513 is the 401 of refunds where that is asked for. Without an answer, or with one about the origin's own state,
        // nothing is known of the credential; only success says that it was right.
        let is_refused = matches!(status, Some(401 | 429 | 513));
        match caller {
            Caller::Session { hash, .. } if matches!(status, Some(401 | 513)) => self.tokens.doubt(hash),
            // Once in a while does: what is verified was right a moment ago.
            _ if matches!(status, Some(200..=299)) && caller.mark() != Mark::Verified => self.budgets.prove(caller),
            _ => {}
        }
        if let Some(charge) = charge.filter(|_| !is_refused) {
            self.budgets.give_back(charge);
        }
        is_refused && charge.is_some()
    }
}

#[cfg(test)]
mod tests;
