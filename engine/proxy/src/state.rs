//! What all connections of one proxy share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use featward_policy::{FeatureSet, Policy};

use crate::active::Active;
use crate::callers::{Callers, Present};
use crate::clock;
use crate::complaints::Complaints;
use crate::config::{Config, ConfigError};
use crate::credentials::{Credentials, Trust};
use crate::drain::Drain;
use crate::drift::Drifts;
use crate::events::Events;
use crate::limit::Limiter;
use crate::metrics::{Metrics, Moment, Told};
use crate::outbound::Standing;
use crate::record::Recorder;
use crate::refusal::Reason;
use crate::request_id::RequestIds;
use crate::strangers::Strangers;
use crate::token::Token;

/// The shared parts, each safe to use from every thread.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) credentials: Credentials,
    pub(crate) active: ArcSwapOption<Active>,
    pub(crate) limiter: Limiter,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) callers: Callers,
    pub(crate) drifts: Drifts,
    pub(crate) events: Events,
    pub(crate) ids: RequestIds,
    pub(crate) token: Token,
    pub(crate) strangers: Strangers,
    complaints: Complaints,
    pub(crate) drain: Drain,
    /// Requests that are being answered.
    pub(crate) busy: Arc<Semaphore>,
    /// How each outbound stands.
    pub(crate) outbound: Mutex<Vec<Arc<Standing>>>,
    /// What the agent says of itself, shown as it is.
    agent: Mutex<Value>,
    /// Held while a policy is taken into use, so that two edits cannot lose each other's buckets.
    changing: Mutex<()>,
    /// When it was last said that records fail, in seconds since 1970.
    complained: AtomicU64,
}

impl State {
    pub(crate) fn new(config: Config, credentials: Credentials) -> Result<State, ConfigError> {
        let recorder = Recorder::open(config.record.as_deref(), config.record_bytes);
        let recorder = recorder.map_err(|error| no_record(&config, error))?;
        let busy = Arc::new(Semaphore::new(config.limits.connections));
        Ok(State {
            strangers: Strangers::new(),
            complaints: Complaints::new(),
            token: Token::new(config.upstream_token.clone()),
            config,
            credentials,
            active: ArcSwapOption::empty(),
            limiter: Limiter::new(),
            recorder,
            metrics: Metrics::new(),
            callers: Callers::default(),
            drifts: Drifts::default(),
            events: Events::default(),
            ids: RequestIds::new(),
            drain: Drain::new(),
            busy,
            outbound: Mutex::default(),
            agent: Mutex::new(Value::Null),
            changing: Mutex::new(()),
            complained: AtomicU64::new(0),
        })
    }

    /// Decide by this policy from the next request on.
    pub(crate) fn set_policy(&self, policy: Policy) {
        let _changing = self.changing.lock();
        let before = self.active.load_full();
        let active = Active::new(policy, before.as_deref(), &self.limiter, &self.config);
        self.metrics.policy(active.policy.digest(), active.names());
        self.events
            .push("policy-applied", json!({"digest": active.policy.digest()}));
        self.active.store(Some(Arc::new(active)));
    }

    /// Append records from now on to the file that has the configured path now.
    pub(crate) fn reopen_record(&self) -> Result<(), ConfigError> {
        let reopened = self.recorder.reopen();
        reopened.map_err(|error| no_record(&self.config, error))
    }

    /// Write a line to the record. What cannot be written is counted, and said once a second at most.
    pub(crate) fn write_record(&self, line: &[u8]) -> std::io::Result<()> {
        let written = self.recorder.write(line);
        if let Err(error) = &written {
            self.record_failed(error);
        }
        if let Some(error) = self.recorder.unmoved() {
            self.events
                .push("record-not-moved", json!({"error": error.to_string()}));
        }
        written
    }

    fn record_failed(&self, error: &std::io::Error) {
        self.metrics.records_dropped.inc();
        let now = clock::now().as_secs();
        if self.complained.swap(now, Ordering::Relaxed) != now {
            self.events
                .push("record-failed", json!({"error": error.to_string()}));
        }
    }

    /// Have the log say that the feature server failed, and how many such lines it was spared since the last.
    pub(crate) fn upstream_failed(&self, mut fields: Value) {
        if let Some(unsaid) = self.complaints.next(Instant::now()) {
            if unsaid > 0 {
                fields["not_logged_before"] = json!(unsaid);
            }
            self.events.push("upstream-failed", fields);
        }
    }

    /// What the agent wants shown.
    pub(crate) fn set_agent(&self, status: Value) {
        *self.agent.lock() = status;
    }

    /// All series as text.
    pub(crate) fn render_metrics(&self) -> String {
        let agent = self.agent.lock().clone();
        let count = |place| agent.pointer(place).and_then(Value::as_u64).unwrap_or_default();
        self.metrics.render(Moment {
            expiry: self.credentials.identity().map(|identity| identity.not_after),
            now: clock::unix_seconds(clock::now()),
            clock_offset: self.credentials.clock_offset(),
            sequence: self.credentials.sequence(),
            policy_age: self.policy_age(&agent),
            agent: Told {
                edits_refused: count("/policy/refused_edits"),
                renewed: count("/identity/renewals"),
                renewals_failed: count("/identity/failed_renewals"),
            },
        })
    }

    /// What the admin socket shows.
    pub(crate) fn status(&self) -> Value {
        let (callers, unidentified) = self.reported_callers();
        let would_refuse = |rows: &[Value]| {
            rows.iter()
                .filter(|row| !row["standing"].is_null())
                .cloned()
                .collect::<Vec<_>>()
        };
        let refused = [would_refuse(&callers), would_refuse(&unidentified)].concat();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "time": clock::now().as_secs_f64(),
            "draining": self.drain.has_begun(),
            "identity": self.credentials.identity(),
            "identity_refused": self.credentials.refused_identity().map(Reason::as_str),
            "clock_offset_seconds": self.credentials.clock_offset(),
            "trust": self.trust_status(),
            "policy": self.policy_status(),
            "outbound": self.outbound_status(),
            "callers": callers,
            "unidentified": unidentified,
            "would_refuse": refused,
            "sets": self.active.load().as_ref().map(|active| active.count_report()).unwrap_or_default(),
            "drift": self.drifts.report(self.active.load().as_ref().map_or(0, |active| active.mark)),
            "records_dropped": self.metrics.records_dropped.get(),
            "agent": *self.agent.lock(),
        })
    }

    fn trust_status(&self) -> Value {
        let trust = self.credentials.trust();
        let trust = trust.as_deref();
        json!({
            "trust_domain": self.credentials.trust_domain(),
            "sequence": self.credentials.sequence(),
            "scope_table": trust.is_some_and(Trust::has_scopes),
            "bans": trust.map_or(0, Trust::bans),
            "foreign": trust.map(Trust::foreign).unwrap_or_default(),
        })
    }

    fn reported_callers(&self) -> (Vec<Value>, Vec<Value>) {
        let active = self.active.load();
        let active = active.as_ref();
        let now = clock::now();
        let since = active.map_or(Duration::ZERO, |active| {
            now.saturating_sub(active.since.elapsed())
        });
        self.callers.report(&Present {
            policy: active.map(|active| &active.policy),
            mark: active.map_or(0, |active| active.mark),
            since: since.as_secs(),
            now: now.as_secs(),
        })
    }

    /// Since the agent last knew that the policy in use is the newest; without an agent that says so, since it came.
    fn policy_age(&self, agent: &Value) -> Option<Duration> {
        let active = self.active.load();
        let since = active.as_ref()?.since.elapsed();
        let confirmed = agent.pointer("/policy/confirmed_at").and_then(Value::as_f64);
        let ago = confirmed.map(|confirmed| (clock::now().as_secs_f64() - confirmed).max(0.0));
        Some(ago.map_or(since, |ago| Duration::try_from_secs_f64(ago).unwrap_or(since)))
    }

    fn outbound_status(&self) -> Vec<Value> {
        let active = self.active.load();
        let policy = active.as_ref().map(|active| &active.policy);
        let all = self.outbound.lock();
        all.iter().map(|standing| standing.report(policy)).collect()
    }

    fn policy_status(&self) -> Value {
        let active = self.active.load();
        let Some(active) = &*active else {
            return Value::Null;
        };
        let now = clock::unix_seconds(clock::now());
        let sets = active.policy.feature_sets().iter();
        let sets: Vec<Value> = sets.map(|set| set_status(set, now)).collect();
        json!({
            "digest": active.policy.digest(),
            "age_seconds": active.since.elapsed().as_secs_f64(),
            "bindings": active.policy.bindings_count(),
            "feature_sets": sets,
        })
    }
}

/// One set: the mode that holds now, and what somebody decided by hand about it.
fn set_status(set: &FeatureSet, now: i64) -> Value {
    let overridden = set
        .override_at(now)
        .map(|one| json!({"action": one.action.as_str(), "name": one.name, "until": one.until}));
    json!({
        "name": set.full_name, "version": set.version, "mode": set.mode_at(now).as_str(),
        "owner": {"team": set.owner_team, "contact": set.owner_contact},
        "unidentified_until": set.unidentified_until,
        "override": overridden,
    })
}

fn no_record(config: &Config, error: std::io::Error) -> ConfigError {
    let path = config.record.as_ref();
    ConfigError::Open {
        setting: "the record",
        value: path.map(|path| path.display().to_string()).unwrap_or_default(),
        error,
    }
}
