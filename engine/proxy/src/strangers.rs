//! How many records strangers may cause: without a limit, whoever reaches the port fills the disk.

use std::time::Instant;

use crate::limit::{Bucket, Limiter, Rate};

/// 20 a second with bursts of 100 show any honest misconfiguration, and are 2 KB a second of disk.
const RATE: Rate = Rate {
    amount: 20,
    per_seconds: 1,
    burst: 100,
};

/// The bucket that such records are taken from.
#[derive(Debug)]
pub(crate) struct Strangers {
    limiter: Limiter,
    bucket: std::sync::Arc<Bucket>,
}

impl Strangers {
    pub(crate) fn new() -> Strangers {
        Strangers {
            limiter: Limiter::new(),
            bucket: Bucket::new(RATE),
        }
    }

    /// Whether one more may be written now.
    pub(crate) fn may_write(&self) -> bool {
        self.limiter.charge(&[(&self.bucket, 1)], Instant::now()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_writes_a_burst_and_little_more() {
        let strangers = Strangers::new();
        let written = (0..10_000).filter(|_| strangers.may_write()).count();
        assert!((100..200).contains(&written), "{written}");
    }
}
