//! The policy in use, with what the pipeline derives from it once instead of at every request: buckets, feature
//! servers, and names ready to be labels. Loaded anew for each request, so that an edit reaches open connections.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use featward_policy::{BindingIndex, Charge, Decision, FeatureSet, Policy, Rate, SetIndex, UpstreamAuth};
use serde_json::Value;

use crate::adapter::feast_http;
use crate::config::Config;
use crate::limit::{self, Bucket, Limiter};
use crate::set_counts::SetCounts;
use crate::upstream::Upstream;

/// One policy while it is in use.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) policy: Policy,
    pub(crate) since: Instant,
    /// Tells it from other policies where its digest would be too much to keep; never 0.
    pub(crate) mark: u64,
    names: Vec<Arc<str>>,
    counts: Vec<Arc<SetCounts>>,
    nobody: Arc<str>,
    buckets: Vec<Option<Arc<Bucket>>>,
    /// The feature server of each set; None where no endpoint has an adapter of ours.
    upstreams: Vec<Option<Arc<Upstream>>>,
}

impl Active {
    /// Take a policy into use, with the buckets, feature servers and counts of the one before as far as they are the
    /// same.
    pub(crate) fn new(policy: Policy, before: Option<&Active>, limiter: &Limiter, config: &Config) -> Active {
        let bindings = policy.bindings().map(|index| {
            let binding = policy.binding(index);
            (binding.name, binding.limit.map(rate))
        });
        let buckets = limiter.adopt(bindings);
        let mut known: Vec<Arc<Upstream>> = before
            .into_iter()
            .flat_map(|old| old.upstreams.iter().flatten().cloned())
            .collect();
        let upstreams = policy
            .feature_sets()
            .iter()
            .map(|set| upstream(set, &mut known, config))
            .collect();
        let names: Vec<Arc<str>> = policy
            .feature_sets()
            .iter()
            .map(|set| (&*set.full_name).into())
            .collect();
        let counted = |name: &Arc<str>| before?.counts_of(name).map(Arc::clone);
        Active {
            counts: names
                .iter()
                .map(|name| counted(name).unwrap_or_default())
                .collect(),
            names,
            nobody: "".into(),
            since: Instant::now(),
            mark: mark(policy.digest()),
            buckets,
            upstreams,
            policy,
        }
    }

    /// The names of all sets served.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The counts of a set that is served.
    fn counts_of(&self, name: &str) -> Option<&Arc<SetCounts>> {
        let place = self.names.iter().position(|other| **other == *name);
        place.map(|place| &self.counts[place])
    }

    /// The counts of these sets, or where none is named of the only one served: as metrics have it, but of all sets
    /// that a request asks for.
    pub(crate) fn counted(&self, sets: &[SetIndex]) -> impl Iterator<Item = &SetCounts> {
        let only = match (sets, &*self.counts) {
            ([], [only]) => Some(only),
            _ => None,
        };
        let asked = sets.iter().filter_map(|set| self.counts.get(set.position()));
        asked.chain(only).map(|counts| &**counts)
    }

    /// The counts of all sets as JSON, in the order of the policy.
    pub(crate) fn count_report(&self) -> Vec<Value> {
        let sets = self.names.iter().zip(&self.counts);
        sets.map(|(name, counts)| counts.report(name)).collect()
    }

    /// The set that metrics name for a request: the first asked, or the only one served, or none.
    pub(crate) fn label(&self, decision: Option<&Decision>) -> &Arc<str> {
        let first = decision.and_then(|decision| decision.feature_sets.first());
        match (first, &*self.names) {
            (Some(set), names) => &names[set.position()],
            (None, [only]) => only,
            (None, _) => &self.nobody,
        }
    }

    /// The bucket of a binding, if it has a limit.
    pub(crate) fn bucket(&self, binding: BindingIndex) -> Option<&Bucket> {
        self.buckets.get(binding.position())?.as_deref()
    }

    /// The buckets that a request is charged to.
    pub(crate) fn charged(&self, charges: &[Charge]) -> Vec<(&Bucket, u64)> {
        charges
            .iter()
            .filter_map(|charge| Some((self.bucket(charge.binding)?, charge.cost)))
            .collect()
    }

    /// The one server of these sets (of all, when none is named); None when they have several, or none.
    pub(crate) fn upstream(&self, sets: &[SetIndex]) -> Option<&Arc<Upstream>> {
        let mut servers = self.places(sets).map(|place| self.upstreams[place].as_ref());
        let first = servers.next()??;
        servers
            .all(|other| other.is_some_and(|other| Arc::ptr_eq(first, other)))
            .then_some(first)
    }

    /// The server of the first set, for requests that name nothing.
    pub(crate) fn first_upstream(&self) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().flatten().next()
    }

    /// Every server.
    pub(crate) fn all_upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.iter().flatten()
    }

    /// What becomes of `Authorization`: the strictest word of these sets (of all, when none is named).
    pub(crate) fn authorization(&self, sets: &[SetIndex]) -> UpstreamAuth {
        let words = self
            .places(sets)
            .map(|place| self.policy.feature_sets()[place].upstream_auth);
        words.reduce(stricter).unwrap_or(UpstreamAuth::None)
    }

    /// Whether callers without identity may hope for an answer from any set, or from all of them.
    pub(crate) fn admits_unidentified(&self, now: i64) -> (bool, bool) {
        let sets = self.policy.feature_sets();
        let mut admitting = sets.iter().map(|set| set.admits_unidentified(now));
        (
            admitting.clone().any(|admits| admits),
            admitting.all(|admits| admits),
        )
    }

    fn places(&self, sets: &[SetIndex]) -> impl Iterator<Item = usize> {
        let all = if sets.is_empty() {
            0..self.names.len()
        } else {
            0..0
        };
        sets.iter().map(|set| set.position()).chain(all)
    }
}

fn mark(digest: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    digest.hash(&mut hasher);
    hasher.finish().max(1)
}

fn rate(rate: Rate) -> limit::Rate {
    limit::Rate {
        amount: rate.amount,
        per_seconds: rate.per_seconds,
        burst: rate.burst,
    }
}

/// The feature server of a set: where the set says, unless the configuration knows better.
fn upstream(set: &FeatureSet, known: &mut Vec<Arc<Upstream>>, config: &Config) -> Option<Arc<Upstream>> {
    let endpoint = set
        .endpoints
        .iter()
        .find(|endpoint| *endpoint.adapter == *feast_http::NAME)?;
    let instead = config.serve.as_ref().and_then(|serve| serve.upstream);
    let (host, port) = match instead {
        Some(address) => (address.ip().to_string(), address.port()),
        None => (endpoint.host.to_string(), endpoint.port),
    };
    if let Some(same) = known.iter().find(|server| server.is_at(&host, port)) {
        return Some(Arc::clone(same));
    }
    let server = Arc::new(Upstream::new(&host, port, &config.limits)?);
    known.push(Arc::clone(&server));
    Some(server)
}

fn stricter(one: UpstreamAuth, other: UpstreamAuth) -> UpstreamAuth {
    match (one, other) {
        (UpstreamAuth::None, _) | (_, UpstreamAuth::None) => UpstreamAuth::None,
        (UpstreamAuth::Token, _) | (_, UpstreamAuth::Token) => UpstreamAuth::Token,
        _ => UpstreamAuth::Passthrough,
    }
}
