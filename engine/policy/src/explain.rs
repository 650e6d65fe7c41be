//! Questions about a policy that no request asks: who may read a feature, what an identity may read, and which
//! binding comes nearest to a request that was denied. They search the whole policy and may name bindings of
//! others, so they are for owners and operators: slow, and never part of an answer to a peer.

use ahash::AHashSet;

use crate::binding::BindingIndex;
use crate::catalogue::FeatureIndex;
use crate::decide::{Decision, Features, Request};
use crate::policy::Policy;
use crate::spiffe::SpiffeId;
use crate::subject::SubjectKind;

/// Someone who may read a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader<'a> {
    /// How the binding names them.
    pub kind: SubjectKind,
    /// A SPIFFE ID, or `prod.payments`.
    pub subject: &'a str,
    /// The first binding that names them so, lists the feature and applies.
    pub binding: BindingIndex,
}

impl Policy {
    /// Who may read a feature now, by kind of subject, then name; nobody while its set is closed by hand.
    pub fn readers(&self, feature: FeatureIndex, now: i64) -> Vec<Reader<'_>> {
        if self.feature_set(self.feature(feature).set).is_closed(now) {
            return Vec::new();
        }
        let mut seen = AHashSet::new();
        let mut readers = Vec::new();
        let granting = self
            .bindings
            .indices()
            .filter(|binding| self.bindings.applies(*binding, now) && self.lists(*binding, feature));
        for binding in granting {
            for subject in self.bindings.subjects(binding) {
                if seen.insert(*subject) {
                    let value = self.subjects.value(subject.holder);
                    readers.push(Reader {
                        kind: subject.kind,
                        subject: value,
                        binding,
                    });
                }
            }
        }
        readers.sort_unstable();
        readers
    }

    /// What an identity may read now, in the order of the catalogue, each with the binding that grants it.
    pub fn grants(&self, identity: &SpiffeId, now: i64) -> Vec<(FeatureIndex, BindingIndex)> {
        let names: Vec<&str> = self.features().iter().map(|feature| &*feature.name).collect();
        let features = Features::Named(&names);
        let request = Request {
            identity: Some(identity),
            features,
            rows: 1,
            now,
        };
        let granted = self.decide(&request).granted.into_iter();
        granted
            .filter(|grant| !self.feature_set(self.feature(grant.feature).set).is_closed(now))
            .map(|grant| (grant.feature, grant.binding))
            .collect()
    }

    /// The binding to look at for what a request misses. First comes the caller's own that grants most of the
    /// request, because what is missing is best added there; then the one that lists most of what is missing. Among
    /// equals one that names the caller comes first, then one that applies, then the first by name.
    pub fn nearest(&self, request: &Request<'_>, decision: &Decision) -> Option<BindingIndex> {
        let places = || decision.missing.iter().chain(&decision.stripped);
        places().next()?;
        let missing: Vec<FeatureIndex> = places()
            .filter_map(|position| self.find_feature(self.name_at(request, *position)?))
            .collect();
        let granted: Vec<FeatureIndex> = decision.granted.iter().map(|grant| grant.feature).collect();
        let listed = |binding: BindingIndex, features: &[FeatureIndex]| {
            let listed = features.iter().filter(|feature| self.lists(binding, **feature));
            listed.count()
        };
        let rank = |binding: &BindingIndex| {
            let current = self.bindings.applies(*binding, request.now);
            let names = self.names(*binding, request.identity);
            let own = if names && current {
                listed(*binding, &granted)
            } else {
                0
            };
            (own, listed(*binding, &missing), names, current)
        };
        // `max_by_key` keeps the last of equals, and the first by name is wanted.
        let ranked = self
            .bindings
            .indices()
            .map(|binding| (rank(&binding), binding))
            .rev();
        let near = ranked.filter(|((own, listed, ..), _)| *own > 0 || *listed > 0);
        near.max_by_key(|(rank, _)| *rank).map(|(_, binding)| binding)
    }

    fn lists(&self, binding: BindingIndex, feature: FeatureIndex) -> bool {
        self.bindings.features(binding).binary_search(&feature).is_ok()
    }

    fn names(&self, binding: BindingIndex, identity: Option<&SpiffeId>) -> bool {
        let holders = identity
            .map(|identity| self.subjects.holders(identity))
            .unwrap_or_default();
        let subjects = self.bindings.subjects(binding);
        subjects
            .iter()
            .any(|subject| holders.contains(&Some(subject.holder)))
    }
}
