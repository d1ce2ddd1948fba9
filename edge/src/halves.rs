//! A map that forgets the oldest: bounded, and at constant cost whatever is put into it.

use core::hash::Hash;
use std::collections::HashMap;

/// Two halves. What is put goes into the younger; when that is full, it becomes the older, and what was in the older is
/// gone. So at least half of the bound is kept, and nothing is ever searched for a victim.
#[derive(Debug)]
pub struct Halves<K, V> {
    max_half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Halves<K, V> {
    /// Keeps `max` entries at most.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max_half: (max / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// What is kept under this key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The same, to change it in its place.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(value) => Some(value),
            None => self.old.get_mut(key),
        }
    }

    /// Keeps a value, in place of the one before it.
    pub fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.max_half && !self.young.contains_key(&key) {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list in the order of putting: what is there is right, the last half is there, the bound holds.
        #[test]
        fn the_youngest_half_is_always_there(steps in prop::collection::vec((0_u8..40, any::<u16>(), 0..5_u8), 0..300)) {
            let mut halves = Halves::new(16);
            let mut told: Vec<(u8, Option<u16>)> = Vec::new();
            for (key, value, step) in steps {
                told.retain(|(known, _)| *known != key);
                let value = (step != 0).then_some(value);
                match value {
                    Some(value) => halves.put(key, value),
                    None => halves.remove(&key),
                }
                told.push((key, value));
                prop_assert!(halves.len() <= 16);
                for (at, (key, value)) in told.iter().rev().enumerate() {
                    match halves.get(key) {
                        Some(kept) => prop_assert_eq!(Some(kept), value.as_ref()),
                        None => prop_assert!(at >= 8 || value.is_none()),
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_changed_in_its_place_stays_changed() {
        let mut halves = Halves::new(2);
        halves.put('a', 1);
        halves.put('b', 2);
        for key in ['a', 'b'] {
            *halves.get_mut(&key).unwrap() += 10;
        }
        assert_eq!((halves.get(&'a'), halves.get(&'b'), halves.get(&'c')), (Some(&11), Some(&12), None));
        halves.clear();
        assert!(halves.is_empty());
    }
}
