//! What is under way at the origins: bounded in all and for each client, and how long each region owes an answer.
//!
//! A request that waits holds its body, a connection and objects of the runtime, about 100 KB; an origin that hangs keeps
//! it until its deadline. So there is a bound, and over it nothing is sent.
//!
//! Whoever takes a place gives it back. That is not relied on: the runtime may drop what waits for a client that has gone,
//! without a word. So each place also says when its request is over in any case, and counts no longer then.
//!
//! Not bounded here: bodies that are still arriving, answers whose body the runtime pumps by itself, what other isolates
//! have under way, and what the module had before it was started anew. What an isolate asks regions for itself takes no
//! place, so that it finds them however full it is.

use crate::budget::Client;
use crate::config::MAX_REGIONS;

/// In all. An origin that is well answers within milliseconds, so that a thousand at once are far more than it does; and
/// they fit into the 128 MB that an isolate has on the platform.
pub const MOST: usize = 1_024;
/// Of one client. Nobody is looked for below it: no client can have more than there are.
pub const SHARE: usize = MOST / 4;
/// After its deadline a request is over; its own timer and what follows may come late.
const SLACK_MS: u64 = 5_000;

/// No place is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// For anybody.
    All,
    /// For this client.
    Share,
}

impl Full {
    /// The rule's name, for the log.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::All => "limit-under-way",
            Self::Share => "limit-under-way-client",
        }
    }
}

/// A place that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: usize,
    serial: u64,
}

#[derive(Debug)]
struct Slot {
    /// Which request has it; none has 0.
    serial: u64,
    client: Option<Client>,
    began_ms: u64,
    /// Over in any case.
    over_ms: u64,
    /// Which region it waits for, and since when.
    waits_for: Option<(usize, u64)>,
}

/// What is under way.
#[derive(Debug, Default)]
pub struct UnderWay {
    slots: Vec<Slot>,
    free: Vec<usize>,
    last_serial: u64,
}

impl UnderWay {
    /// Takes a place for a request that has so long from now on.
    ///
    /// # Errors
    /// When there is none; then nothing may be sent.
    pub fn begin(&mut self, client: Option<Client>, deadline_ms: u32, now_ms: u64) -> Result<Place, Full> {
        if self.len() >= SHARE && self.free_what_is_over(client.as_ref(), now_ms) >= SHARE {
            return Err(Full::Share);
        }
        if self.len() >= MOST {
            return Err(Full::All);
        }
        self.last_serial += 1;
        let over_ms = now_ms.saturating_add(u64::from(deadline_ms)).saturating_add(SLACK_MS);
        let slot = Slot { serial: self.last_serial, client, began_ms: now_ms, over_ms, waits_for: None };
        let at = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(at) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        Ok(Place { at, serial: self.last_serial })
    }

    /// Gives a place back. One that counted no longer may be another's by now, and stays that one's.
    pub fn end(&mut self, place: Place) {
        if let Some(slot) = self.slots.get_mut(place.at).filter(|slot| slot.serial == place.serial) {
            slot.clear();
            self.free.push(place.at);
        }
    }

    /// The request of this place is sent to a region now.
    pub fn asks(&mut self, place: Place, region: usize, now_ms: u64) {
        if let Some(slot) = self.slots.get_mut(place.at).filter(|slot| slot.serial == place.serial) {
            slot.waits_for = Some((region, now_ms));
        }
    }

    /// Since when each region owes its oldest answer.
    #[must_use]
    pub fn waiting_since(&self, now_ms: u64) -> [Option<u64>; MAX_REGIONS] {
        let mut since = [None; MAX_REGIONS];
        for (region, since_ms) in self.slots.iter().filter(|slot| slot.counts(now_ms)).filter_map(|slot| slot.waits_for)
        {
            if let Some(oldest) = since.get_mut(region) {
                *oldest = Some(oldest.map_or(since_ms, |known: u64| known.min(since_ms)));
            }
        }
        since
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks through all of them, and answers how many this client has. Who cannot be told from others has none.
    fn free_what_is_over(&mut self, client: Option<&Client>, now_ms: u64) -> usize {
        let mut own = 0;
        for (at, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.serial != 0) {
            if !slot.counts(now_ms) {
                slot.clear();
                self.free.push(at);
            } else if client.is_some() && slot.client.as_ref() == client {
                own += 1;
            }
        }
        own
    }
}

impl Slot {
    /// A clock that was set back would keep it for as long as that: it does not count then.
    fn counts(&self, now_ms: u64) -> bool {
        self.serial != 0 && (self.began_ms..self.over_ms).contains(&now_ms)
    }

    fn clear(&mut self) {
        (self.serial, self.client, self.waits_for) = (0, None, None);
    }
}

#[cfg(test)]
mod tests;
