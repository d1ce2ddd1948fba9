//! Which acquirers this origin can reach.

use std::sync::Arc;

use super::{Acquirer, Transport};

/// An acquirer and the way to it.
pub struct Party {
    /// What is said.
    pub acquirer: Box<dyn Acquirer>,
    /// How it gets there.
    pub transport: Transport,
}

/// All of them, in the order in which they are tried where a merchant has no routes of its own.
#[derive(Clone, Default)]
pub struct Acquirers(Vec<Arc<Party>>);

impl Acquirers {
    /// Of these.
    #[must_use]
    pub fn new(parties: Vec<Party>) -> Self {
        Self(parties.into_iter().map(Arc::new).collect())
    }

    /// By name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Party>> {
        self.0.iter().find(|party| party.acquirer.name() == name).cloned()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Party>> {
        self.0.iter()
    }
}
