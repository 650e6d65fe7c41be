//! What the proxy counts and measures, in the Prometheus text format. Labels are few and their values come from
//! our own tables or the policy, never from a request, so that no caller can make series.

mod labels;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::adapter::feast_http::Differing;
use crate::tally::Tally;
pub(crate) use labels::Socket;
use labels::{Called, Digest, Ended, Purpose, Renewal, Set, Unwelcome};

/// All series of one proxy.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Ended, Counter>,
    request_seconds: Histogram,
    upstream_seconds: Histogram,
    decision_seconds: Histogram,
    stripped: Family<Set, Counter>,
    unlisted: Family<Set, Counter>,
    unanswered: Family<Set, Counter>,
    /// Records that were not written, for whatever reason.
    pub(crate) records_dropped: Counter,
    /// Open connections of each listener.
    pub(crate) connections: Family<Socket, Gauge>,
    unwelcome: Family<Unwelcome, Counter>,
    outbound: Family<Called, Counter>,
    expiry: Family<Purpose, Gauge>,
    runway: Gauge,
    /// Not a number while the CA's clock is not known: a zero would look like a good clock.
    clock_offset: Gauge<f64, AtomicU64>,
    sequence: Gauge,
    policy: Family<Digest, Gauge>,
    policy_age: Gauge,
    edits_refused: Counter,
    renewals: Family<Renewal, Counter>,
    /// The digest and the sets of the policy in use.
    current: Mutex<(String, Vec<Arc<str>>)>,
}

/// What is known only when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// When the SVID in use expires, Unix seconds.
    pub(crate) expiry: Option<i64>,
    /// Now, Unix seconds.
    pub(crate) now: i64,
    /// How far our clock is ahead of the CA's, in seconds.
    pub(crate) clock_offset: Option<f64>,
    /// The sequence of the trust in use.
    pub(crate) sequence: u64,
    /// How long ago the policy in use was known to be the newest.
    pub(crate) policy_age: Option<Duration>,
    /// What the agent counts.
    pub(crate) agent: Told,
}

/// What the agent counts, since it started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) edits_refused: u64,
    pub(crate) renewed: u64,
    pub(crate) renewals_failed: u64,
}

/// 50 µs to 13 s, each twice the last: below lies noise, above every deadline has struck.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 19))
}

/// Registers a metric and hands it back, so that a series is named and explained where it is made.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("featward");
        let r = &mut registry;
        Metrics {
            requests: add(r, "requests", "Requests by how they ended", Family::default()),
            request_seconds: add(
                r,
                "request_duration_seconds",
                "From a request's header section to its answer's first byte",
                seconds(),
            ),
            upstream_seconds: add(
                r,
                "upstream_duration_seconds",
                "From sending a request on to the feature server's answer",
                seconds(),
            ),
            decision_seconds: add(
                r,
                "decision_duration_seconds",
                "Parsing, deciding and limiting one request",
                Histogram::new(exponential_buckets(0.000_000_5, 2.0, 16)),
            ),
            stripped: add(
                r,
                "stripped_features",
                "Features left out of answers because no binding grants them",
                Family::default(),
            ),
            unlisted: add(
                r,
                "unlisted_columns",
                "Columns cut out of answers because the feature set does not list them",
                Family::default(),
            ),
            unanswered: add(
                r,
                "unanswered_features",
                "Granted features that the feature server's answer had no column of",
                Family::default(),
            ),
            records_dropped: add(
                r,
                "records_dropped",
                "Decision records that could not be written",
                Counter::default(),
            ),
            connections: add(r, "connections", "Open connections", Family::default()),
            unwelcome: add(
                r,
                "connections_refused",
                "Connections that ended before their first request",
                Family::default(),
            ),
            outbound: add(
                r,
                "outbound_requests",
                "Requests of local apps by feature set and result",
                Family::default(),
            ),
            expiry: add(
                r,
                "certificate_expiry_timestamp_seconds",
                "When the certificate in use expires",
                Family::default(),
            ),
            runway: add(
                r,
                "identity_runway_seconds",
                "How long the identity in use lasts if no other comes",
                Gauge::default(),
            ),
            clock_offset: add(
                r,
                "clock_offset_seconds",
                "How far our clock is ahead of the CA's (negative: behind), NaN while not known",
                Gauge::default(),
            ),
            sequence: add(
                r,
                "bundle_sequence",
                "Sequence of the trust in use",
                Gauge::default(),
            ),
            policy: add(r, "policy_info", "The policy in use", Family::default()),
            policy_age: add(
                r,
                "policy_age_seconds",
                "Since the manifests were last seen to say what the policy in use says: below a minute, or an edit was refused",
                Gauge::default(),
            ),
            edits_refused: add(
                r,
                "policy_edits_refused",
                "Edits of the manifests that were refused, so that the policy before stays in use",
                Counter::default(),
            ),
            renewals: add(
                r,
                "identity_renewals",
                "Renewals of the identity by result; a first identity that does not come counts as failed",
                Family::default(),
            ),
            current: Mutex::default(),
            registry,
        }
    }

    /// Count a request that has ended.
    pub(crate) fn ended(
        &self,
        feature_set: &Arc<str>,
        operation: &'static str,
        tally: Tally,
        reason: &'static str,
        took: Duration,
    ) {
        let labels = Ended {
            feature_set: Arc::clone(feature_set),
            operation,
            decision: tally.as_str(),
            reason,
        };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// Count how long judging took.
    pub(crate) fn decided(&self, took: Duration) {
        self.decision_seconds.observe(took.as_secs_f64());
    }

    /// Count how long the feature server took.
    pub(crate) fn upstream(&self, took: Duration) {
        self.upstream_seconds.observe(took.as_secs_f64());
    }

    /// Count features left out of an answer.
    pub(crate) fn stripped(&self, feature_set: &Arc<str>, count: usize) {
        let labels = Set {
            feature_set: Arc::clone(feature_set),
        };
        self.stripped.get_or_create(&labels).inc_by(count as u64);
    }

    /// Count where an answer was not as the catalogue says.
    pub(crate) fn differing(&self, feature_set: &Arc<str>, differing: &Differing<'_>) {
        let labels = Set {
            feature_set: Arc::clone(feature_set),
        };
        self.unlisted
            .get_or_create(&labels)
            .inc_by(differing.unlisted_total);
        self.unanswered
            .get_or_create(&labels)
            .inc_by(differing.unanswered.len() as u64);
    }

    /// Count a connection that was not served.
    pub(crate) fn unwelcome(&self, listener: &'static str, reason: &'static str) {
        self.unwelcome
            .get_or_create(&Unwelcome { listener, reason })
            .inc();
    }

    /// Count a local app's request.
    pub(crate) fn outbound(&self, feature_set: &Arc<str>, result: &'static str) {
        let labels = Called {
            feature_set: Arc::clone(feature_set),
            result,
        };
        self.outbound.get_or_create(&labels).inc();
    }

    /// Say which policy is in use. When a set is no longer served its series must go, and as a family cannot be
    /// searched all of them start anew, which whoever reads counters expects of a restart as well.
    pub(crate) fn policy(&self, digest: &str, served: &[Arc<str>]) {
        let (before, sets) =
            std::mem::replace(&mut *self.current.lock(), (digest.to_owned(), served.to_vec()));
        self.policy.remove(&Digest { digest: before });
        self.policy
            .get_or_create(&Digest {
                digest: digest.to_owned(),
            })
            .set(1);
        if sets.iter().any(|set| !served.contains(set)) {
            self.requests.clear();
            self.stripped.clear();
            self.unlisted.clear();
            self.unanswered.clear();
        }
    }

    /// All series as text.
    pub(crate) fn render(&self, moment: Moment) -> String {
        if let Some(expiry) = moment.expiry {
            self.expiry
                .get_or_create(&Purpose { purpose: "workload" })
                .set(expiry);
        }
        self.runway
            .set(moment.expiry.map_or(0, |expiry| (expiry - moment.now).max(0)));
        self.clock_offset.set(moment.clock_offset.unwrap_or(f64::NAN));
        self.sequence
            .set(i64::try_from(moment.sequence).unwrap_or(i64::MAX));
        self.policy_age
            .set(moment.policy_age.map_or(0, |age| age.as_secs().cast_signed()));
        let told = moment.agent;
        set(&self.edits_refused, told.edits_refused);
        for (result, count) in [("renewed", told.renewed), ("failed", told.renewals_failed)] {
            set(&self.renewals.get_or_create(&Renewal { result }), count);
        }
        let mut text = String::new();
        // A String takes every character, so encoding cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// What somebody else counts.
fn set(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
