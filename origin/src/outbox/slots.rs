//! How many deliveries are under way at once, and how many of them to one account: a receiver that is slow holds a
//! part of what is free, and never all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// An account may have so many under way, however few are free.
const LEAST: usize = 4;
/// Beyond that, one more while it has less than this part of what is free.
const PART: usize = 4;

/// The slots of one kind of work.
#[derive(Debug)]
pub struct Slots {
    size: usize,
    taken: Mutex<HashMap<String, usize>>,
    bell: Arc<Notify>,
}

/// A slot, given back when it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    account: String,
}

impl Slots {
    /// So many; `bell` is rung when one is given back.
    #[must_use]
    pub fn new(size: usize, bell: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { size, taken: Mutex::default(), bell })
    }

    /// Whether none is free.
    #[must_use]
    pub fn are_full(&self) -> bool {
        self.lock().values().sum::<usize>() >= self.size
    }

    /// The accounts that may have no more now: at most a [`LEAST`]th of all slots.
    #[must_use]
    pub fn busy(&self) -> Vec<String> {
        let taken = self.lock();
        let free = self.size.saturating_sub(taken.values().sum());
        let limit = LEAST.max(free / PART);
        taken.iter().filter(|(_, count)| **count >= limit).map(|(account, _)| account.clone()).collect()
    }

    /// The accounts that have any.
    #[must_use]
    pub fn taken(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Takes one for an account.
    #[must_use]
    pub fn take(self: &Arc<Self>, account: &str) -> Slot {
        *self.lock().entry(account.to_owned()).or_default() += 1;
        Slot { slots: Arc::clone(self), account: account.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if let Some(count) = taken.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.account);
            }
        }
        drop(taken);
        self.slots.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slow_account_leaves_room_for_others() {
        let slots = Slots::new(256, Arc::new(Notify::new()));
        let mut held = Vec::new();
        while slots.busy().is_empty() {
            held.push(slots.take("slow"));
        }
        assert_eq!((held.len(), slots.busy()), (51, vec!["slow".to_owned()]));
        held.truncate(2);
        assert!(slots.busy().is_empty());
        held.clear();
        assert!(slots.taken().is_empty());
    }

    proptest! {
        #[test]
        fn never_more_than_there_are_and_the_list_of_the_busy_stays_short(order in prop::collection::vec(0..200_u32, 0..2000)) {
            let slots = Slots::new(256, Arc::new(Notify::new()));
            let mut held = Vec::new();
            for account in order {
                let name = account.to_string();
                if slots.are_full() || slots.busy().contains(&name) {
                    held.drain(..held.len().min(1));
                    continue;
                }
                held.push(slots.take(&name));
                prop_assert!(held.len() <= 256 && slots.busy().len() <= 64);
            }
        }
    }
}
