//! Cost limits: a bucket for each binding that has one, by the generic cell rate algorithm.
//!
//! Why not the crate `governor`: a request may be charged to several bindings, and must be charged to all of them
//! or to none, but governor debits the first bucket before the second can be asked; and its buckets are made for
//! one quota, so that a policy edit would hand every caller a full burst again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::Mutex;

/// `amount` cost units each `per_seconds`, in bursts of up to `burst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) amount: u64,
    pub(crate) per_seconds: u64,
    pub(crate) burst: u64,
}

impl Rate {
    /// Nanoseconds in which this many units flow back. 128 bits: no snapshot's numbers overflow them.
    fn nanos(self, units: u64) -> u128 {
        let amount = u128::from(self.amount.max(1));
        u128::from(units) * u128::from(self.per_seconds) * 1_000_000_000 / amount
    }
}

/// What one binding has left.
#[derive(Debug)]
pub(crate) struct Bucket {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rate: Rate,
    /// When the bucket is full again, in nanoseconds after the limiter's start ("theoretical arrival time").
    full_at: u128,
}

impl Bucket {
    /// A full bucket that no policy owns.
    pub(crate) fn new(rate: Rate) -> Arc<Bucket> {
        Arc::new(Bucket {
            state: Mutex::new(State { rate, full_at: 0 }),
        })
    }
}

impl State {
    fn wait(&self, units: u64, now: u128) -> Option<Duration> {
        let after = self.full_at.max(now) + self.rate.nanos(units);
        let allowed = now + self.rate.nanos(self.rate.burst);
        let excess = after.saturating_sub(allowed);
        (excess > 0).then(|| Duration::from_nanos(u64::try_from(excess).unwrap_or(u64::MAX)))
    }

    fn debit(&mut self, units: u64, now: u128) {
        self.full_at = self.full_at.max(now) + self.rate.nanos(units);
    }

    /// Take a new rate and keep the number of units that are in use.
    fn change(&mut self, rate: Rate, now: u128) {
        if rate == self.rate {
            return;
        }
        let outstanding = self.full_at.saturating_sub(now);
        let full = self.rate.nanos(self.rate.burst).max(1);
        let used = outstanding * u128::from(self.rate.burst) / full;
        self.full_at = now + rate.nanos(u64::try_from(used).unwrap_or(u64::MAX));
        self.rate = rate;
    }
}

/// All buckets, kept by the binding's name over policy swaps.
#[derive(Debug)]
pub(crate) struct Limiter {
    start: Instant,
    buckets: Mutex<AHashMap<String, Arc<Bucket>>>,
}

impl Limiter {
    pub(crate) fn new() -> Limiter {
        Limiter {
            start: Instant::now(),
            buckets: Mutex::default(),
        }
    }

    /// The buckets of a policy, in the order of `bindings`; those of bindings that are gone are forgotten.
    pub(crate) fn adopt<'a>(
        &self,
        bindings: impl Iterator<Item = (&'a str, Option<Rate>)>,
    ) -> Vec<Option<Arc<Bucket>>> {
        let now = self.nanos(Instant::now());
        let mut known = self.buckets.lock();
        let mut kept = AHashMap::new();
        let adopted = bindings
            .map(|(name, rate)| {
                let bucket = known.remove(name);
                let bucket = renewed(bucket, rate?, now);
                kept.insert(name.to_owned(), Arc::clone(&bucket));
                Some(bucket)
            })
            .collect();
        *known = kept;
        adopted
    }

    /// Charge every bucket, or none and say how long to wait. Charges must be in one order for all callers (the
    /// policy's binding order), because every bucket's lock is held until the last is checked.
    pub(crate) fn charge(&self, charges: &[(&Bucket, u64)], now: Instant) -> Result<(), Duration> {
        let now = self.nanos(now);
        if let [(bucket, units)] = charges {
            return charge_one(&mut bucket.state.lock(), *units, now);
        }
        let mut states: Vec<_> = charges
            .iter()
            .map(|(bucket, units)| (bucket.state.lock(), *units))
            .collect();
        if let Some(wait) = states
            .iter()
            .filter_map(|(state, units)| state.wait(*units, now))
            .max()
        {
            return Err(wait);
        }
        states
            .iter_mut()
            .for_each(|(state, units)| state.debit(*units, now));
        Ok(())
    }

    fn nanos(&self, at: Instant) -> u128 {
        at.saturating_duration_since(self.start).as_nanos()
    }
}

fn renewed(bucket: Option<Arc<Bucket>>, rate: Rate, now: u128) -> Arc<Bucket> {
    let Some(bucket) = bucket else {
        return Bucket::new(rate);
    };
    bucket.state.lock().change(rate, now);
    bucket
}

fn charge_one(state: &mut State, units: u64, now: u128) -> Result<(), Duration> {
    match state.wait(units, now) {
        Some(wait) => Err(wait),
        None => {
            state.debit(units, now);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_MINUTE: Rate = Rate {
        amount: 60,
        per_seconds: 60,
        burst: 10,
    };

    fn limiter(rates: &[(&str, Rate)]) -> (Limiter, Vec<Arc<Bucket>>) {
        let limiter = Limiter::new();
        let buckets = limiter.adopt(rates.iter().map(|(name, rate)| (*name, Some(*rate))));
        (limiter, buckets.into_iter().flatten().collect())
    }

    #[test]
    fn a_burst_passes_and_then_units_flow_back() {
        let (limiter, buckets) = limiter(&[("a", PER_MINUTE)]);
        let now = Instant::now();
        assert_eq!(limiter.charge(&[(&buckets[0], 10)], now), Ok(()));
        assert_eq!(
            limiter.charge(&[(&buckets[0], 2)], now),
            Err(Duration::from_secs(2))
        );
        assert_eq!(
            limiter.charge(&[(&buckets[0], 2)], now + Duration::from_secs(2)),
            Ok(())
        );
        assert!(
            limiter
                .charge(&[(&buckets[0], 1)], now + Duration::from_secs(2))
                .is_err()
        );
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let (limiter, buckets) = limiter(&[("a", PER_MINUTE)]);
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(limiter.charge(&[(&buckets[0], 11)], later).is_err());
        assert_eq!(limiter.charge(&[(&buckets[0], 10)], later), Ok(()));
    }

    #[test]
    fn nothing_is_debited_when_one_of_several_buckets_is_short() {
        let (limiter, buckets) = limiter(&[("a", PER_MINUTE), ("b", PER_MINUTE)]);
        let now = Instant::now();
        limiter.charge(&[(&buckets[1], 10)], now).unwrap();
        for _ in 0..3 {
            assert_eq!(
                limiter.charge(&[(&buckets[0], 5), (&buckets[1], 5)], now),
                Err(Duration::from_secs(5))
            );
        }
        assert_eq!(limiter.charge(&[(&buckets[0], 10)], now), Ok(()));
    }

    #[test]
    fn what_is_used_survives_a_policy_swap() {
        let (limiter, buckets) = limiter(&[("a", PER_MINUTE)]);
        limiter.charge(&[(&buckets[0], 10)], Instant::now()).unwrap();
        let again = limiter.adopt([("x", None), ("a", Some(PER_MINUTE))].into_iter());
        assert!(again[0].is_none());
        assert!(
            limiter
                .charge(&[(again[1].as_ref().unwrap(), 5)], Instant::now())
                .is_err()
        );
    }

    #[test]
    fn a_higher_burst_adds_what_it_adds_and_no_more() {
        let (limiter, buckets) = limiter(&[("a", PER_MINUTE)]);
        let now = Instant::now();
        limiter.charge(&[(&buckets[0], 10)], now).unwrap();
        let wider = Rate {
            burst: 14,
            ..PER_MINUTE
        };
        let again = limiter.adopt([("a", Some(wider))].into_iter());
        let bucket = again[0].as_ref().unwrap();
        assert!(limiter.charge(&[(bucket, 6)], now).is_err());
        assert_eq!(limiter.charge(&[(bucket, 4)], now), Ok(()));
    }

    #[test]
    fn a_binding_that_is_gone_leaves_nothing_behind() {
        let (limiter, _) = limiter(&[("a", PER_MINUTE)]);
        limiter.adopt(std::iter::empty());
        assert!(limiter.buckets.lock().is_empty());
    }
}
