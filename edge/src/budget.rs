//! How much of what is not verified goes to the origin: by client address, and in all. Nobody guesses 256 bits; the
//! budgets keep a flood of refusals from costing what the rightful need.
//!
//! A request takes when it leaves and gets back what it took when the origin accepts it, so only refusals and what is
//! under way count. Not held: a sum over isolates, each counts for itself (where the platform has a limiter, it is told
//! of refusals and its word blocks an address). The origin counts again.

use scanvault_protocol::limit::{Limit, Limiter, address_key};
use scanvault_protocol::record::Mark;
use scanvault_protocol::route::{Route, RouteSpec};
use sha2::{Digest, Sha256};

use crate::authenticate::Caller;
use crate::halves::Halves;

pub mod requests;
pub use requests::{Client, Requests, Wait, is_told};

/// Of one address. The burst is also what a client may have under way while this isolate has not been told of it: a
/// busy merchant's servers behind one address, right after a start. Two a second is what is left to somebody who is
/// wrong all the time.
pub const ADDRESS: Limit = Limit { every_ms: 500, burst: 100 };
/// Of all names that were never right here, and again of all tokens that cannot be judged. 50 a second cost the origin
/// about one percent of a core.
pub const STRANGERS: Limit = Limit { every_ms: 20, burst: 500 };
/// Of one name that was right here before. Each refusal brings its record, so under a flood on that name its owner,
/// just after a rotation, waits for one such turn at most, and is verified from then on.
pub const PROVEN_NAME: Limit = Limit { every_ms: 100, burst: 100 };
/// Challenges, and again logins, of one address. A token lives 30 minutes: five at once do for a client with several
/// accounts, ten a minute for one that starts again and again. Each costs the origin an RSA operation.
pub const LOGIN: Limit = Limit { every_ms: 6_000, burst: 5 };
/// How long an address is blocked for which the platform's limiter said no, in milliseconds. Then it is asked again.
pub const BLOCK_MS: u64 = 10_000;

/// About 40 bytes each, twice that in a map: 1.3 MB at most.
const MAX_ADDRESSES: usize = 16_384;
const MAX_NAMES: usize = 4_096;

/// 128 bits of SHA-256 of an account's name.
type NameKey = [u8; 16];

/// What has been taken.
#[derive(Debug)]
pub struct Budgets {
    /// Of all that is asked, right or wrong.
    pub requests: Requests,
    addresses: Limiter<u128>,
    strangers: Limiter<Stranger>,
    names: Limiter<NameKey>,
    proven: Halves<NameKey, ()>,
    logins: Limiter<(u128, Route)>,
    /// Until when, in milliseconds.
    blocked: Halves<u128, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stranger {
    Name,
    Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pot {
    Stranger(Stranger),
    Name(NameKey),
}

/// What one request has taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Charge {
    /// See [`address_key`].
    pub address: Option<u128>,
    pot: Pot,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            requests: Requests::default(),
            addresses: Limiter::new(ADDRESS, MAX_ADDRESSES),
            strangers: Limiter::new(STRANGERS, 2),
            names: Limiter::new(PROVEN_NAME, MAX_NAMES),
            proven: Halves::new(MAX_NAMES),
            logins: Limiter::new(LOGIN, MAX_ADDRESSES),
            blocked: Halves::new(MAX_ADDRESSES),
        }
    }
}

impl Budgets {
    /// Takes for a request that is not verified; nothing for any other. An address that nobody knows has no limit of its
    /// own: it would be one for all.
    ///
    /// # Errors
    /// How long to wait, in milliseconds. Then nothing was taken.
    pub fn admit(&mut self, client: Option<&str>, caller: &Caller, now_ms: u64) -> Result<Option<Charge>, u64> {
        if caller.mark() != Mark::Unverified {
            return Ok(None);
        }
        let pot = self.pot(caller);
        // A name that was right here before answers for itself alone: others behind its address do not hold it up.
        let address = client.map(str::trim).and_then(address_key).filter(|_| matches!(pot, Pot::Stranger(_)));
        let charge = Charge { address, pot };
        let wait_ms = address.map_or(0, |address| self.address_wait_ms(address, now_ms)).max(match charge.pot {
            Pot::Stranger(kind) => self.strangers.wait_ms(&kind, now_ms),
            Pot::Name(name) => self.names.wait_ms(&name, now_ms),
        });
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        if let Some(address) = address {
            self.addresses.spend(address, now_ms);
        }
        match charge.pot {
            Pot::Stranger(kind) => self.strangers.spend(kind, now_ms),
            Pot::Name(name) => self.names.spend(name, now_ms),
        }
        Ok(Some(charge))
    }

    /// Gives back what a request took that the origin did not refuse.
    pub fn give_back(&mut self, charge: &Charge) {
        if let Some(address) = &charge.address {
            self.addresses.give_back(address);
        }
        match &charge.pot {
            Pot::Stranger(kind) => self.strangers.give_back(kind),
            Pot::Name(name) => self.names.give_back(name),
        }
    }

    /// Takes note that the origin found this caller right.
    pub fn prove(&mut self, caller: &Caller) {
        if let Some(name) = name_key(caller) {
            self.proven.put(name, ());
        }
    }

    /// Counts a login or a challenge of an address; other rows are free.
    ///
    /// # Errors
    /// How long to wait, in milliseconds.
    pub fn login(&mut self, client: Option<&str>, spec: &RouteSpec, now_ms: u64) -> Result<(), u64> {
        match (spec.route, client.map(str::trim).and_then(address_key)) {
            (Route::LoginChallenge | Route::Login, Some(address)) => self.logins.take((address, spec.route), now_ms),
            _ => Ok(()),
        }
    }

    /// The platform's limiter has had enough of an address.
    pub fn block(&mut self, address: u128, now_ms: u64) {
        self.blocked.put(address, now_ms.saturating_add(BLOCK_MS));
    }

    fn address_wait_ms(&self, address: u128, now_ms: u64) -> u64 {
        let until_ms = self.blocked.get(&address).copied().unwrap_or(0);
        self.addresses.wait_ms(&address, now_ms).max(until_ms.saturating_sub(now_ms))
    }

    fn pot(&self, caller: &Caller) -> Pot {
        match name_key(caller) {
            Some(name) if self.proven.get(&name).is_some() => Pot::Name(name),
            Some(_) => Pot::Stranger(Stranger::Name),
            None => Pot::Stranger(Stranger::Token),
        }
    }
}

fn name_key(caller: &Caller) -> Option<NameKey> {
    let Caller::Named { account, .. } = caller else { return None };
    let digest = Sha256::digest(account.to_string());
    digest.first_chunk().copied()
}

#[cfg(test)]
mod tests;
