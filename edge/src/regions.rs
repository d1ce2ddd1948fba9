//! Which region is asked: what this isolate knows of each, from the answers that came and from what they tell of
//! themselves, and where a request may go on to.
//!
//! Two things are kept apart. *Down* is a guess from lost answers, with hysteresis both ways, so that one lost packet
//! moves nobody. *Standby* and *superseded* are statements: one is enough, and the later one counts.
//!
//! Nothing here makes two executions impossible by itself: a region is asked a second time, or another one after it, only
//! where [`then`] says so. Not protected: a fresh isolate does not know yet who was superseded. Where the regions share
//! their database, the fence at the origin decides.

use scanvault_protocol::region::State as Statement;

use crate::config::MAX_REGIONS;

/// A region is down when its losses in a row weigh this much.
const DOWN_AT: u32 = 6;
/// What a lost answer weighs: three in a row are enough. A deadline that has passed weighs the same, since the origin's
/// own limits are shorter than ours: an origin that lives has said something by then.
const LOSS: u32 = 2;
/// What a read weighs that was given up early for another region's sake: the origin had not used up its time yet.
const EARLY_LOSS: u32 = 1;
/// A region that was down is up again after so many good answers in a row.
const UP_AT: u32 = 2;

/// How often a region is asked how it stands, in milliseconds: while it is well or another does its work, and while it is
/// down or nobody is up.
const CALM_MS: u64 = 10_000;
const WORRIED_MS: u64 = 2_000;
/// After news that change the choice, the regions are asked again as soon as this.
const PROMPT_MS: u64 = 250;
/// A region is in doubt when it has owed an answer for so long and given none meanwhile. It is longer than a packet takes
/// that was lost once.
pub const DOUBT_AFTER_MS: u64 = 1_000;
/// How often all regions are asked then.
const DOUBT_MS: u64 = 500;
/// Who watches says so again before this is over; else another one does it.
const WATCH_MS: u64 = 3_000;
/// The monitor asks a region no more often than this.
const MONITOR_MS: u64 = 3_000;

/// What came of asking a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// An answer to this very request, whatever it says.
    Answer,
    /// It says that it stands by and has done nothing.
    Standby,
    /// No answer: no connection, a lost one, or the deadline.
    Nothing,
    /// No answer to a read within the part of its deadline that it was given.
    NothingYet,
    /// Something that is no answer of ours.
    Garbage,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The client gets the answer.
    Pass,
    /// The next region is asked.
    Next,
    /// The client is told that the outcome is unknown.
    GiveUp,
}

/// The rule of fail-over. What may have been executed is never sent again, unless doing it twice does what doing it once
/// does; only `standby` says that nothing was done.
#[must_use]
pub fn then(is_repeatable: bool, came: Came) -> Then {
    match came {
        Came::Answer => Then::Pass,
        Came::Standby => Then::Next,
        Came::Nothing | Came::NothingYet | Came::Garbage if is_repeatable => Then::Next,
        Came::Nothing | Came::NothingYet | Came::Garbage => Then::GiveUp,
    }
}

/// How long a region may take of what is left: all of it, or half when a read has another region to go to that is up.
#[must_use]
pub fn share_ms(left_ms: u32, is_repeatable: bool, is_other_up: bool) -> u32 {
    if is_repeatable && is_other_up { left_ms / 2 } else { left_ms }
}

/// The regions that a request has been to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried([bool; MAX_REGIONS]);

impl Tried {
    /// And this one.
    #[must_use]
    pub fn and(mut self, at: usize) -> Self {
        if let Some(tried) = self.0.get_mut(at) {
            *tried = true;
        }
        self
    }

    fn has(self, at: usize) -> bool {
        self.0.get(at).copied().unwrap_or(true)
    }
}

/// How a region stands. In the order of choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It answers, or nothing else is known.
    Up,
    /// It says that it stands by. Asking it is harmless, and shows at once when it serves.
    Standby,
    /// Its last answers were lost. It is asked when there is no other: it may be back.
    Down,
    /// It says that it serves, and another one does by a later decision. It is never asked: what it does may be lost, or
    /// done in both places.
    Superseded,
}

impl Health {
    /// As logs and the monitor say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Standby => "standby",
            Self::Down => "down",
            Self::Superseded => "superseded",
        }
    }
}

/// What is known of a region.
#[derive(Debug, Default)]
struct Region {
    is_down: bool,
    /// The weight of the losses since the last good answer.
    lost: u32,
    /// Good answers since the last loss.
    good: u32,
    /// When the last answer came.
    answered_at_ms: Option<u64>,
    stands_by: bool,
    /// When it was asked what the line above says.
    role_asked_at_ms: u64,
    /// What it told of itself, and when it was asked.
    told: Option<(Statement, u64)>,
    /// When it was last asked how it stands, and how long until the next time.
    probed_at_ms: Option<u64>,
    probe_after_ms: u64,
}

/// What the monitor shows of a region.
#[derive(Debug, PartialEq, Eq)]
pub struct View<'s> {
    pub health: &'static str,
    pub told: Option<&'s Statement>,
    /// How old that is.
    pub told_ago_ms: Option<u64>,
    /// How long ago it answered anything.
    pub answered_ago_ms: Option<u64>,
}

/// What this isolate knows of the regions, by their place in the configuration.
#[derive(Debug, Default)]
pub struct Regions {
    each: [Region; MAX_REGIONS],
    /// Somebody watches what the regions owe, see `watch.rs`: the last one that began, by number.
    watch: u64,
    watched_until_ms: u64,
}

impl Regions {
    /// The region to ask, among the first `count`, that was not tried yet: the first that is up, else one that stands
    /// by, else one that is down.
    #[must_use]
    pub fn choose(&self, count: usize, tried: Tried) -> Option<usize> {
        let untried = (0..count.min(MAX_REGIONS)).filter(|at| !tried.has(*at));
        let usable = untried.filter(|at| self.health(*at) != Health::Superseded);
        usable.min_by_key(|at| (self.health(*at), *at))
    }

    /// Whether there is another region to go to that is up.
    #[must_use]
    pub fn is_other_up(&self, count: usize, tried: Tried) -> bool {
        self.choose(count, tried).is_some_and(|at| self.health(at) == Health::Up)
    }

    /// How a region stands.
    #[must_use]
    pub fn health(&self, at: usize) -> Health {
        let Some(region) = self.each.get(at) else { return Health::Superseded };
        let is_older = |(told, _): &(Statement, u64)| told.serves && told.epoch < self.epoch();
        if !region.stands_by && region.told.as_ref().is_some_and(is_older) {
            Health::Superseded
        } else if region.is_down {
            Health::Down
        } else if region.stands_by {
            Health::Standby
        } else {
            Health::Up
        }
    }

    /// The latest decision by which a region serves, also one that is down now. One that only knows of it and stands by
    /// does not count: it may be the other one that was chosen, and has not told yet.
    fn epoch(&self) -> u64 {
        let serving = self.each.iter().filter(|region| !region.stands_by).filter_map(|region| region.told.as_ref());
        serving.filter(|(told, _)| told.serves).map(|(told, _)| told.epoch).max().unwrap_or(0)
    }

    /// Takes what came of a request that was sent at `asked_at_ms`. Returns the regions whose health that changed.
    pub fn take(&mut self, at: usize, came: Came, asked_at_ms: u64, now_ms: u64) -> Vec<(usize, Health)> {
        self.change(at, now_ms, |region| match came {
            Came::Answer => region.answered(false, asked_at_ms, now_ms),
            Came::Standby => region.answered(true, asked_at_ms, now_ms),
            Came::Nothing | Came::Garbage => region.lost(LOSS, asked_at_ms),
            Came::NothingYet => region.lost(EARLY_LOSS, asked_at_ms),
        })
    }

    /// Takes what a region told of itself. Returns the regions whose health that changed: one's word may supersede another.
    pub fn learn(&mut self, at: usize, told: Statement, asked_at_ms: u64, now_ms: u64) -> Vec<(usize, Health)> {
        self.change(at, now_ms, |region| {
            region.answered(!told.serves, asked_at_ms, now_ms);
            if region.told.as_ref().is_none_or(|(_, known_at_ms)| *known_at_ms <= asked_at_ms) {
                region.told = Some((told, asked_at_ms));
            }
        })
    }

    /// A change, or a decision that was not known, is a reason to look at all of them soon.
    fn change(&mut self, at: usize, now_ms: u64, step: impl FnOnce(&mut Region)) -> Vec<(usize, Health)> {
        let before = (self.healths(), self.latest());
        if let Some(region) = self.each.get_mut(at) {
            step(region);
        }
        let after = (self.healths(), self.latest());
        if before == after {
            return Vec::new();
        }
        for region in &mut self.each {
            let since_ms = region.probed_at_ms.map_or(0, |probed_at_ms| now_ms.saturating_sub(probed_at_ms));
            region.probe_after_ms = region.probe_after_ms.min(since_ms.saturating_add(PROMPT_MS));
        }
        let pairs = before.0.iter().zip(after.0).enumerate();
        pairs.filter(|(_, (before, after))| *before != after).map(|(at, (_, after))| (at, after)).collect()
    }

    fn healths(&self) -> [Health; MAX_REGIONS] {
        core::array::from_fn(|at| self.health(at))
    }

    /// The latest decision that any region knows of.
    fn latest(&self) -> u64 {
        self.each.iter().filter_map(|region| region.told.as_ref()).map(|(told, _)| told.epoch).max().unwrap_or(0)
    }

    /// The regions to ask now how they stand; they count as asked. `roll` gives random numbers, so that the isolates of a
    /// place do not ask all at once.
    pub fn due(&mut self, count: usize, now_ms: u64, mut roll: impl FnMut() -> u32) -> Vec<usize> {
        let is_due = |region: &Region| region.is_unasked_for(region.probe_after_ms, now_ms);
        self.claim(count, now_ms, is_due, |calm_ms| jittered_ms(calm_ms, roll()))
    }

    /// The regions to ask since one of them is in doubt, which owes its oldest answer since `owing_since_ms`: all, so that
    /// the one is found that serves by now. Whatever a region answers takes the doubt away for as long again: then it is
    /// that one request which is slow.
    pub fn due_in_doubt(
        &mut self,
        count: usize,
        owing_since_ms: &[Option<u64>; MAX_REGIONS],
        now_ms: u64,
        mut roll: impl FnMut() -> u32,
    ) -> Vec<usize> {
        let is_in_doubt = |(at, (region, since_ms)): (usize, (&Region, &Option<u64>))| {
            let silent_since_ms =
                since_ms.map(|since_ms| region.answered_at_ms.map_or(since_ms, |at_ms| at_ms.max(since_ms)));
            let is_asked = matches!(self.health(at), Health::Up | Health::Standby);
            is_asked && silent_since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= DOUBT_AFTER_MS)
        };
        if count < 2 || !self.each.iter().zip(owing_since_ms).enumerate().take(count).any(is_in_doubt) {
            return Vec::new();
        }
        let doubt_ms = jittered_ms(DOUBT_MS, roll());
        let is_due = |region: &Region| region.is_unasked_for(doubt_ms, now_ms);
        self.claim(count, now_ms, is_due, |calm_ms| jittered_ms(calm_ms, roll()))
    }

    /// A number when nobody watches: then the caller does. One that the runtime dropped without a word is not waited for.
    pub fn takes_watch(&mut self, now_ms: u64) -> Option<u64> {
        // A clock that was set back has nobody watch.
        let is_watched = (1..=2 * WATCH_MS).contains(&self.watched_until_ms.saturating_sub(now_ms));
        if is_watched {
            return None;
        }
        self.watch += 1;
        self.watches_on(self.watch, now_ms).then_some(self.watch)
    }

    /// Who watches goes on, unless another one has taken over meanwhile.
    pub fn watches_on(&mut self, watch: u64, now_ms: u64) -> bool {
        let is_its_own = watch == self.watch;
        if is_its_own {
            self.watched_until_ms = now_ms.saturating_add(WATCH_MS);
        }
        is_its_own
    }

    /// Who watches ends.
    pub fn ends_watch(&mut self, watch: u64) {
        if watch == self.watch {
            self.watched_until_ms = 0;
        }
    }

    /// Those to ask for the monitor, which wants to know it now.
    pub fn due_for_monitor(&mut self, count: usize, now_ms: u64) -> Vec<usize> {
        self.claim(count, now_ms, |region| region.is_unasked_for(MONITOR_MS, now_ms), |calm_ms| calm_ms)
    }

    fn claim(
        &mut self,
        count: usize,
        now_ms: u64,
        is_due: impl Fn(&Region) -> bool,
        mut after_ms: impl FnMut(u64) -> u64,
    ) -> Vec<usize> {
        let mut due = Vec::new();
        let is_any_up = self.is_other_up(count, Tried::default());
        for at in 0..count.min(MAX_REGIONS) {
            let is_well = is_any_up && self.health(at) != Health::Down;
            let interval_ms = if is_well { CALM_MS } else { WORRIED_MS };
            if let Some(region) = self.each.get_mut(at).filter(|region| is_due(region)) {
                (region.probed_at_ms, region.probe_after_ms) = (Some(now_ms), after_ms(interval_ms));
                due.push(at);
            }
        }
        due
    }

    /// What the monitor shows.
    #[must_use]
    pub fn view(&self, at: usize, now_ms: u64) -> Option<View<'_>> {
        let region = self.each.get(at)?;
        let health = match self.health(at) {
            Health::Up if region.lost > 0 => "doubtful",
            Health::Up if region.answered_at_ms.is_none() => "unknown",
            health => health.name(),
        };
        let ago_ms = |at_ms: u64| now_ms.saturating_sub(at_ms);
        Some(View {
            health,
            told: region.told.as_ref().map(|(told, _)| told),
            told_ago_ms: region.told.as_ref().map(|(_, at_ms)| ago_ms(*at_ms)),
            answered_ago_ms: region.answered_at_ms.map(ago_ms),
        })
    }
}

impl Region {
    /// An answer came. What it says of who serves counts when nothing that was asked later said otherwise; of two that
    /// were asked at the same time, the one that stands by.
    fn answered(&mut self, stands_by: bool, asked_at_ms: u64, now_ms: u64) {
        let is_news = asked_at_ms > self.role_asked_at_ms || (asked_at_ms == self.role_asked_at_ms && stands_by);
        if is_news {
            (self.stands_by, self.role_asked_at_ms) = (stands_by, asked_at_ms);
        }
        self.answered_at_ms = Some(self.answered_at_ms.map_or(now_ms, |before_ms| before_ms.max(now_ms)));
        self.lost = 0;
        self.good = self.good.saturating_add(1);
        self.is_down &= self.good < UP_AT;
    }

    /// No answer came. What was sent before the last answer came says nothing newer than that.
    fn lost(&mut self, weight: u32, asked_at_ms: u64) {
        if self.answered_at_ms.is_some_and(|answered_at_ms| asked_at_ms < answered_at_ms) {
            return;
        }
        self.good = 0;
        self.lost = self.lost.saturating_add(weight);
        self.is_down |= self.lost >= DOWN_AT;
    }

    /// Whether it was not asked for so long. A clock that was set back asks.
    fn is_unasked_for(&self, ms: u64, now_ms: u64) -> bool {
        self.probed_at_ms.is_none_or(|probed_at_ms| now_ms.checked_sub(probed_at_ms).is_none_or(|ago_ms| ago_ms >= ms))
    }
}

/// Between three and five quarters of it.
fn jittered_ms(ms: u64, roll: u32) -> u64 {
    let half = (ms / 2).max(1);
    ms - ms / 4 + u64::from(roll) % half
}

#[cfg(test)]
mod tests;
