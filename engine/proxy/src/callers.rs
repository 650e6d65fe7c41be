//! Who called lately, with and without identity, and what enforcing would have refused them: what an owner reads
//! before moving from observe to enforce. Bounded, because on the plain port anybody can be a new caller.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ahash::AHashMap;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock;
use crate::record::shortened;
use crate::tally::Tally;

/// More callers than a person reads; at about 300 bytes each it stays below half a megabyte.
const CAPACITY: usize = 1024;
/// Callers silent for a day are no longer "lately".
const IDLE_SECONDS: u64 = 86_400;
/// How many missing features a caller's row names.
const NAMED: usize = 20;

/// Whom a row is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A verified SPIFFE ID.
    Identity(Arc<str>),
    /// The address that a caller without identity came from; None for a UNIX socket.
    Source(Option<IpAddr>),
}

/// One caller's row. A connection keeps its caller at hand, so that counting takes no lock.
#[derive(Debug)]
pub(crate) struct Caller {
    key: Key,
    first_seen: u64,
    last_seen: AtomicU64,
    counts: [AtomicU64; Tally::COUNT],
    trouble: Mutex<Option<Trouble>>,
    listed: AtomicBool,
    /// Requests whose bodies have not come yet.
    awaited: AtomicUsize,
    connections: AtomicUsize,
}

/// A connection of a caller.
#[derive(Debug)]
pub(crate) struct Connected<'c>(&'c Caller);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request whose body has not come yet.
#[derive(Debug)]
pub(crate) struct Awaited<'c>(&'c Caller);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.awaited.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The newest request that was refused or would have been.
#[derive(Debug)]
struct Trouble {
    tally: Tally,
    reason: &'static str,
    feature_set: Arc<str>,
    missing: Vec<String>,
    time: u64,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    table: Mutex<AHashMap<Key, Arc<Caller>>>,
}

impl Callers {
    /// The row of this caller.
    pub(crate) fn enter(&self, key: Key) -> Arc<Caller> {
        let mut table = self.table.lock();
        if let Some(caller) = table.get(&key) {
            return Arc::clone(caller);
        }
        let caller = Arc::new(Caller::new(key, clock::now().as_secs()));
        insert(&mut table, &caller);
        caller
    }

    /// Count one ended request. Refusals also leave their reason.
    pub(crate) fn count<'a>(
        &self,
        caller: &Arc<Caller>,
        tally: Tally,
        reason: &'static str,
        feature_set: &Arc<str>,
        missing: impl Iterator<Item = &'a str>,
    ) {
        let now = clock::now().as_secs();
        caller.last_seen.store(now, Ordering::Relaxed);
        caller.counts[tally as usize].fetch_add(1, Ordering::Relaxed);
        if tally != Tally::Allow {
            caller.remember(tally, reason, feature_set, missing, now);
        }
        if !caller.listed.load(Ordering::Relaxed) {
            insert(&mut self.table.lock(), caller);
        }
    }

    /// Everybody as JSON: callers with identity, and callers without.
    pub(crate) fn report(&self) -> (Vec<Value>, Vec<Value>) {
        let now = clock::now().as_secs();
        let mut table = self.table.lock();
        table.retain(|_, caller| {
            now.saturating_sub(caller.last_seen.load(Ordering::Relaxed)) < IDLE_SECONDS || caller.unlist()
        });
        let mut rows: Vec<_> = table.values().cloned().collect();
        drop(table);
        rows.sort_by_key(|caller| std::cmp::Reverse(caller.last_seen.load(Ordering::Relaxed)));
        let (named, unnamed): (Vec<_>, Vec<_>) = rows
            .iter()
            .filter(|caller| caller.total() > 0)
            .partition(|caller| matches!(caller.key, Key::Identity(_)));
        (
            named.iter().map(|c| c.report()).collect(),
            unnamed.iter().map(|c| c.report()).collect(),
        )
    }
}

fn insert(table: &mut AHashMap<Key, Arc<Caller>>, caller: &Arc<Caller>) {
    if table.len() >= CAPACITY {
        evict(table);
    }
    caller.listed.store(true, Ordering::Relaxed);
    table.insert(caller.key.clone(), Arc::clone(caller));
}

/// Drop the caller that was silent longest. A connection may still hold it; its next request lists it again.
fn evict(table: &mut AHashMap<Key, Arc<Caller>>) {
    let oldest = table
        .values()
        .min_by_key(|caller| caller.last_seen.load(Ordering::Relaxed));
    if let Some(key) = oldest.map(|caller| caller.key.clone())
        && let Some(caller) = table.remove(&key)
    {
        caller.unlist();
    }
}

impl Caller {
    fn new(key: Key, now: u64) -> Caller {
        Caller {
            key,
            first_seen: now,
            last_seen: AtomicU64::new(now),
            counts: Default::default(),
            trouble: Mutex::default(),
            listed: AtomicBool::new(false),
            awaited: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        }
    }

    /// Count one more connection, unless it has that many already.
    pub(crate) fn connect(&self, most: usize) -> Option<Connected<'_>> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let connected = Connected(self);
        (before < most).then_some(connected)
    }

    /// Wait for one more body of this caller, unless it keeps us waiting for that many already.
    pub(crate) fn await_body(&self, most: usize) -> Option<Awaited<'_>> {
        let before = self.awaited.fetch_add(1, Ordering::Relaxed);
        let awaited = Awaited(self);
        (before < most).then_some(awaited)
    }

    /// Mark as no longer in the table; always false, for `retain`.
    fn unlist(&self) -> bool {
        self.listed.store(false, Ordering::Relaxed);
        false
    }

    fn total(&self) -> u64 {
        self.counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    fn remember<'a>(
        &self,
        tally: Tally,
        reason: &'static str,
        feature_set: &Arc<str>,
        missing: impl Iterator<Item = &'a str>,
        now: u64,
    ) {
        let mut trouble = self.trouble.lock();
        // The same trouble again within a second is not written down anew: in observe mode that is every request.
        if trouble
            .as_ref()
            .is_some_and(|old| old.reason == reason && old.time == now)
        {
            return;
        }
        *trouble = Some(Trouble {
            tally,
            reason,
            feature_set: Arc::clone(feature_set),
            missing: missing
                .take(NAMED)
                .map(|name| shortened(name).into_owned())
                .collect(),
            time: now,
        });
    }

    fn report(&self) -> Value {
        let counts: serde_json::Map<String, Value> = Tally::ALL
            .iter()
            .map(|tally| {
                (
                    tally.as_str().to_owned(),
                    self.counts[*tally as usize].load(Ordering::Relaxed),
                )
            })
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name, json!(count)))
            .collect();
        let mut row = json!({
            "first_seen": self.first_seen,
            "last_seen": self.last_seen.load(Ordering::Relaxed),
            "requests": self.total(),
            "decisions": counts,
            "would_refuse": self.would_refuse(),
        });
        match &self.key {
            Key::Identity(id) => row["identity"] = json!(&**id),
            Key::Source(source) => row["source"] = json!(source),
        }
        if let Some(trouble) = &*self.trouble.lock() {
            row["newest_trouble"] = trouble.report();
        }
        row
    }

    fn would_refuse(&self) -> u64 {
        let tallies = Tally::ALL.iter().filter(|tally| tally.would_refuse());
        tallies
            .map(|tally| self.counts[*tally as usize].load(Ordering::Relaxed))
            .sum()
    }
}

impl Trouble {
    fn report(&self) -> Value {
        json!({
            "decision": self.tally.as_str(),
            "reason": self.reason,
            "feature_set": &*self.feature_set,
            "missing": self.missing,
            "time": self.time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Key {
        Key::Source(Some(IpAddr::from((number as u128).to_be_bytes())))
    }

    fn count(callers: &Callers, caller: &Arc<Caller>, tally: Tally) {
        callers.count(caller, tally, "not-granted", &"ml/s".into(), ["v:x"].into_iter());
    }

    #[test]
    fn callers_are_told_apart_by_identity_and_by_source() {
        let callers = Callers::default();
        let named = callers.enter(Key::Identity("spiffe://a/b".into()));
        count(&callers, &named, Tally::Allow);
        count(&callers, &named, Tally::WouldDeny);
        count(&callers, &callers.enter(address(1)), Tally::Unjudged);
        let (named, unnamed) = callers.report();
        assert_eq!(named.len(), 1);
        assert_eq!(named[0]["identity"], "spiffe://a/b");
        assert_eq!(named[0]["decisions"], json!({"allow": 1, "would-deny": 1}));
        assert_eq!(named[0]["would_refuse"], 1);
        assert_eq!(named[0]["newest_trouble"]["missing"], json!(["v:x"]));
        assert_eq!(unnamed[0]["source"], "::1");
    }

    #[test]
    fn the_table_stays_bounded_and_a_live_caller_comes_back() {
        let callers = Callers::default();
        let first = callers.enter(address(0));
        first.last_seen.store(0, Ordering::Relaxed);
        for number in 1..=CAPACITY {
            callers.enter(address(number));
        }
        assert_eq!(callers.table.lock().len(), CAPACITY);
        assert!(!callers.table.lock().contains_key(&first.key));
        count(&callers, &first, Tally::Allow);
        assert_eq!(callers.table.lock().len(), CAPACITY);
        assert!(callers.table.lock().contains_key(&first.key));
    }

    #[test]
    fn who_connected_and_asked_nothing_is_not_reported() {
        let callers = Callers::default();
        callers.enter(address(1));
        assert!(callers.report().1.is_empty());
    }
}
