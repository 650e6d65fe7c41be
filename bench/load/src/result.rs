//! What a run measured.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies in microseconds and counts of one or more threads.
pub struct Outcome {
    /// From when a request was due (open loop) or sent (closed loop) to its whole answer.
    latency: Histogram<u64>,
    /// Answers that were not 200, and connections that broke.
    pub failed: u64,
    /// Bytes of answers' bodies.
    pub bytes: u64,
}

impl Outcome {
    pub fn new() -> Outcome {
        // Up to a minute with three significant digits, which takes 0.2 MB a thread.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds are constant");
        Outcome {
            latency,
            failed: 0,
            bytes: 0,
        }
    }

    pub fn record(&mut self, took: Duration) {
        self.latency.saturating_record(took.as_micros() as u64);
    }

    /// Adds up what the threads measured.
    pub fn sum(parts: impl IntoIterator<Item = Outcome>) -> Outcome {
        parts.into_iter().fold(Outcome::new(), |mut all, part| {
            all.latency.add(&part.latency).expect("both have the same bounds");
            all.failed += part.failed;
            all.bytes += part.bytes;
            all
        })
    }

    pub fn line(&self, ran: Duration) -> String {
        let at = |quantile| self.latency.value_at_quantile(quantile);
        format!(
            "count={} failed={} rate={:.0} p50={} p90={} p99={} p999={} max={} megabytes={:.1}",
            self.latency.len(),
            self.failed,
            self.latency.len() as f64 / ran.as_secs_f64(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            self.latency.max(),
            self.bytes as f64 / 1e6
        )
    }
}
