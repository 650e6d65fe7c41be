//! Who called lately, with and without identity, and what enforcing would have refused them: what an owner reads
//! before moving from observe to enforce. Bounded, because on the plain port anybody can be a new caller.

mod trouble;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ahash::AHashMap;
use featward_policy::SpiffeId;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock;
use crate::tally::Tally;
pub(crate) use trouble::Present;
use trouble::{Refused, Standing, Troubles, Whose};

/// More callers than a person reads; at about 300 bytes each it stays below half a megabyte.
const CAPACITY: usize = 1024;
/// Dropped at once when it is full.
const EVICTED: usize = CAPACITY / 8;
/// Callers silent for a day are no longer "lately".
const IDLE_SECONDS: u64 = 86_400;

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
    /// When it was last allowed something, and by which policy.
    allowed: AtomicU64,
    allowed_by: AtomicU64,
    troubles: Mutex<Troubles>,
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

    /// Count one ended request, judged by the policy of this mark. Refusals also leave their reason.
    pub(crate) fn count<'a>(
        &self,
        caller: &Arc<Caller>,
        tally: Tally,
        reason: &'static str,
        (feature_set, policy): (&Arc<str>, u64),
        missing: impl Iterator<Item = &'a str>,
    ) {
        let now = clock::now().as_secs();
        caller.last_seen.store(now, Ordering::Relaxed);
        caller.counts[tally as usize].fetch_add(1, Ordering::Relaxed);
        if tally == Tally::Allow {
            caller.allowed_by.store(policy, Ordering::Relaxed);
            caller.allowed.store(now, Ordering::Relaxed);
        } else {
            let refused = Refused {
                tally,
                reason,
                feature_set,
                policy,
                time: now,
            };
            caller.troubles.lock().note(refused, missing);
        }
        if !caller.listed.load(Ordering::Relaxed) {
            insert(&mut self.table.lock(), caller);
        }
    }

    /// Everybody as JSON: callers with identity, and callers without.
    pub(crate) fn report(&self, present: &Present<'_>) -> (Vec<Value>, Vec<Value>) {
        let now = present.now;
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
            named.iter().map(|c| c.report(present)).collect(),
            unnamed.iter().map(|c| c.report(present)).collect(),
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

/// Drop those callers that were silent longest, many at once: with more live callers than places each request would
/// otherwise look through the table. A connection may still hold one; its next request lists it again.
fn evict(table: &mut AHashMap<Key, Arc<Caller>>) {
    let seen = |caller: &Arc<Caller>| caller.last_seen.load(Ordering::Relaxed);
    let mut times: Vec<u64> = table.values().map(seen).collect();
    if times.len() < EVICTED {
        return;
    }
    let latest = *times.select_nth_unstable(EVICTED - 1).1;
    // Many may have been seen in that same second; of these as many go as it takes.
    let mut left = EVICTED - times.iter().filter(|time| **time < latest).count();
    table.retain(|_, caller| {
        let stays = match seen(caller).cmp(&latest) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal if left > 0 => {
                left -= 1;
                false
            }
            _ => true,
        };
        if !stays {
            caller.unlist();
        }
        stays
    });
}

impl Caller {
    fn new(key: Key, now: u64) -> Caller {
        Caller {
            key,
            first_seen: now,
            last_seen: AtomicU64::new(now),
            counts: Default::default(),
            allowed: AtomicU64::new(0),
            allowed_by: AtomicU64::new(0),
            troubles: Mutex::default(),
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

    fn report(&self, present: &Present<'_>) -> Value {
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
        let (troubles, standing) = self.troubles(present);
        row["standing"] = json!(self.standing(standing, present));
        row["newest_trouble"] = json!(troubles.first());
        row["troubles"] = json!(troubles);
        row
    }

    fn troubles(&self, present: &Present<'_>) -> (Vec<Value>, Standing) {
        let identity = match &self.key {
            Key::Identity(id) => SpiffeId::parse(id).ok(),
            Key::Source(_) => None,
        };
        let whose = Whose {
            identity: identity.as_ref(),
            allowed: self.allowed.load(Ordering::Relaxed),
            allowed_by: self.allowed_by.load(Ordering::Relaxed),
        };
        self.troubles.lock().report(whose, present)
    }

    /// What an owner who wants to enforce must know of it; None when there is nothing.
    fn standing(&self, worst: Standing, present: &Present<'_>) -> Option<&'static str> {
        match worst {
            Standing::Over => None,
            Standing::Stands => Some("would-be-refused"),
            Standing::Open if self.last_seen.load(Ordering::Relaxed) < present.since => {
                Some("not-seen-since-the-edit")
            }
            Standing::Open => Some("not-allowed-since-the-edit"),
        }
    }

    fn would_refuse(&self) -> u64 {
        let tallies = Tally::ALL.iter().filter(|tally| tally.would_refuse());
        tallies
            .map(|tally| self.counts[*tally as usize].load(Ordering::Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Key {
        Key::Source(Some(IpAddr::from((number as u128).to_be_bytes())))
    }

    const PRESENT: Present<'_> = Present {
        policy: None,
        mark: 1,
        since: 0,
        now: 0,
    };

    fn count(callers: &Callers, caller: &Arc<Caller>, tally: Tally) {
        callers.count(
            caller,
            tally,
            "not-granted",
            (&"ml/s".into(), 1),
            ["v:x"].into_iter(),
        );
    }

    #[test]
    fn callers_are_told_apart_by_identity_and_by_source() {
        let callers = Callers::default();
        let named = callers.enter(Key::Identity("spiffe://a/b".into()));
        count(&callers, &named, Tally::Allow);
        count(&callers, &named, Tally::WouldDeny);
        count(&callers, &callers.enter(address(1)), Tally::Unjudged);
        let (named, unnamed) = callers.report(&PRESENT);
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
        let left = CAPACITY - EVICTED + 1;
        assert_eq!(callers.table.lock().len(), left);
        assert!(!callers.table.lock().contains_key(&first.key));
        count(&callers, &first, Tally::Allow);
        assert_eq!(callers.table.lock().len(), left + 1);
        assert!(callers.table.lock().contains_key(&first.key));
    }

    #[test]
    fn who_connected_and_asked_nothing_is_not_reported() {
        let callers = Callers::default();
        callers.enter(address(1));
        assert!(callers.report(&PRESENT).1.is_empty());
    }
}
