//! How often the sidecar's own log hears of the feature server's failures: a server that is down fails every
//! request, and a log of the same line helps nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::limit::{Bucket, Limiter, Rate};

/// Two a second with bursts of 20 show each of a few failures, and are 1 KB a second of a server that is down.
const RATE: Rate = Rate {
    amount: 2,
    per_seconds: 1,
    burst: 20,
};

/// The bucket that such lines are taken from.
#[derive(Debug)]
pub(crate) struct Complaints {
    limiter: Limiter,
    bucket: Arc<Bucket>,
    unsaid: AtomicU64,
}

impl Complaints {
    pub(crate) fn new() -> Complaints {
        Complaints {
            limiter: Limiter::new(),
            bucket: Bucket::new(RATE),
            unsaid: AtomicU64::new(0),
        }
    }

    /// If one more may be said now: how many before it were not.
    pub(crate) fn next(&self, now: Instant) -> Option<u64> {
        if self.limiter.charge(&[(&self.bucket, 1)], now).is_err() {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_said_is_counted_and_told_with_the_next() {
        let complaints = Complaints::new();
        let start = Instant::now();
        let said = (0..100).filter(|_| complaints.next(start).is_some()).count();
        assert!((20..25).contains(&said), "{said}");
        let next = complaints.next(start + Duration::from_secs(5));
        assert_eq!(next, Some(100 - said as u64));
        assert_eq!(complaints.next(start + Duration::from_secs(5)), Some(0));
    }
}
