//! What a caller is told of a decision that goes against it: enough to ask for the right binding, and nothing of
//! what it was not granted.

use std::time::Duration;

use featward_policy::{Decision, DecisionReason, FeatureSet, Features, OverrideAction, Policy, Request};

use super::refuse::{About, Asked, Refusal};
use crate::clock;
use crate::refusal::Reason;

/// The refusal that a decision means. `wait` is set when the cost limit alone stands against it.
pub(super) fn denial(
    policy: &Policy,
    request: &Request<'_>,
    decision: &Decision,
    wait: Option<Duration>,
) -> Refusal {
    let refusal = match wait {
        Some(wait) => {
            let seconds = wait.as_secs_f64();
            let detail = format!("the cost limit allows this request in {seconds:.1} s");
            Refusal::new(Reason::RateLimited, detail).wait(wait)
        }
        None if decision.reason == DecisionReason::Closed => closed(policy, request, decision),
        None => Refusal::plain(reason(decision.reason)),
    };
    match named(policy, request, decision) {
        Some(set) => refusal.about(about(policy, set, request, decision)),
        None => refusal,
    }
}

/// Until when it is closed is said, so that nobody has to try.
fn closed(policy: &Policy, request: &Request<'_>, decision: &Decision) -> Refusal {
    let closing = policy
        .overrides(decision, request.now)
        .filter(|one| one.action == OverrideAction::Close);
    match closing.map(|one| one.until).max() {
        Some(until) => {
            let detail = format!("it is closed by hand until {}", clock::second(until));
            Refusal::new(Reason::Closed, detail)
        }
        None => Refusal::plain(Reason::Closed),
    }
}

/// The set is taken from what is granted, else it is the first one served: naming the set of a feature that is not
/// granted would tell that the feature exists. Nor does what is granted of a service tell its set unless all of it
/// is: the caller named the service only, and might not know that there is one.
fn named<'p>(policy: &'p Policy, request: &Request<'_>, decision: &Decision) -> Option<&'p FeatureSet> {
    // Its owner is whom to ask. It would have been answered, so that naming it tells nothing.
    if decision.reason == DecisionReason::Closed {
        let mut sets = decision.feature_sets.iter().map(|set| policy.feature_set(*set));
        if let Some(set) = sets.find(|set| set.is_closed(request.now)) {
            return Some(set);
        }
    }
    let known = match request.features {
        Features::Named(_) => true,
        Features::Service(_) => decision.missing.is_empty(),
    };
    match decision.granted.first().filter(|_| known) {
        Some(grant) => Some(policy.feature_set(policy.feature(grant.feature).set)),
        None => policy.feature_sets().first(),
    }
}

fn about(policy: &Policy, set: &FeatureSet, request: &Request<'_>, decision: &Decision) -> About {
    let (missing, asked) = match request.features {
        // What a service holds is not for a caller that only named the service.
        Features::Service(name) => (Vec::new(), Asked::Service(name.to_owned())),
        Features::Named(names) => {
            let places = decision.missing.iter();
            let missing = places.filter_map(|place| names.get(*place as usize));
            (owned(missing), Asked::Features(owned(names)))
        }
    };
    About {
        rule: decision.rule.map(|rule| policy.binding(rule).name.to_owned()),
        missing,
        asked,
        ..About::set(set)
    }
}

fn owned<'n>(names: impl IntoIterator<Item = &'n &'n str>) -> Vec<String> {
    names.into_iter().map(|name| (*name).to_owned()).collect()
}

fn reason(reason: DecisionReason) -> Reason {
    match reason {
        DecisionReason::Granted | DecisionReason::NotGranted => Reason::NotGranted,
        DecisionReason::BindingExpired => Reason::BindingExpired,
        DecisionReason::IdentityRequired => Reason::IdentityRequired,
        DecisionReason::RowsOverLimit => Reason::RowsOverLimit,
        DecisionReason::CostOverBurst => Reason::CostOverBurst,
        DecisionReason::NothingLeft => Reason::NothingLeft,
        DecisionReason::Closed => Reason::Closed,
    }
}
