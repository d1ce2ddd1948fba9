//! What became of deliveries and pings, counted for metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

type Labels = Vec<(&'static str, &'static str)>;

/// The counters; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Attempts to deliver, by outcome.
    pub deliveries: Family<Labels, Counter>,
    /// Attempts to ping, by outcome.
    pub pings: Family<Labels, Counter>,
}

impl Counts {
    /// Counts an attempt to deliver.
    pub fn delivery(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&vec![("outcome", outcome)]).inc();
    }

    /// Counts an attempt to ping.
    pub fn ping(&self, outcome: &'static str) {
        self.pings.get_or_create(&vec![("outcome", outcome)]).inc();
    }
}
