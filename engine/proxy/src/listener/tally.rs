//! Counts handshakes by outcome, for the metrics of whoever owns the listener.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::tls::HandshakeError;

/// Handshakes so far. The words are those of the causes, so there are few of them.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

/// The word for a handshake that was done.
const ACCEPTED: &str = "accepted";

impl Tally {
    pub(super) fn accepted(&self) {
        self.count(ACCEPTED);
    }

    pub(super) fn refused(&self, error: &HandshakeError) {
        self.count(error.cause());
    }

    /// One of too many; nothing was wrong with it.
    pub(super) fn turned_away(&self, word: &'static str) {
        self.count(word);
    }

    /// Every outcome that occurred, with its count; `accepted` or the cause of refusal.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().clone()
    }

    fn count(&self, outcome: &'static str) {
        *self.counts.lock().entry(outcome).or_default() += 1;
    }
}
