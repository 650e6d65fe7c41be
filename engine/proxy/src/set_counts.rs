//! How the requests for each feature set ended, since it was first served by this process: what goes to whoever
//! looks after many sidecars. Metrics say the same in finer words, but begin anew when the sets served change.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::tally::Tally;

/// The counts of one feature set.
#[derive(Debug, Default)]
pub(crate) struct SetCounts {
    answered: AtomicU64,
    refused: AtomicU64,
    would_refuse: AtomicU64,
    unidentified: AtomicU64,
}

impl SetCounts {
    /// Count one ended request. What the feature server failed to answer was neither answered nor refused.
    pub(crate) fn note(&self, tally: Tally, identified: bool) {
        let count = |counter: &AtomicU64, counts: bool| {
            if counts {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        };
        let passed = tally == Tally::Allow || tally.would_refuse();
        let failed = matches!(tally, Tally::UpstreamFailed | Tally::UpstreamRefused);
        count(&self.answered, passed);
        count(&self.refused, !passed && !failed);
        count(&self.would_refuse, tally.would_refuse());
        count(&self.unidentified, !identified);
    }

    /// The counts as JSON.
    pub(crate) fn report(&self, name: &str) -> Value {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "name": name,
            "answered": of(&self.answered),
            "refused": of(&self.refused),
            "would_refuse": of(&self.would_refuse),
            "unidentified": of(&self.unidentified),
        })
    }
}
