//! Decisions by hand: what they change, for how long, and what they do not tell.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

use featward_policy::v1::{self, Mode as Declared, OverrideAction, Snapshot};
use featward_policy::{Decision, DecisionReason, Features, Mode, Outcome, Policy, Request, SpiffeId};
use prost::Message;

const CALLER: &str = "spiffe://prod.acme.example/bu/payments/svc/pricing";
const EXPIRES: i64 = 1000;
const UNTIL: i64 = 500;

fn snapshot(mode: Declared) -> Snapshot {
    let feature = |name: &str| v1::Feature {
        name: name.to_owned(),
        r#type: v1::ColumnType::Double.into(),
        cost: 1,
        ..v1::Feature::default()
    };
    let set = |name: &str, features: &[&str]| v1::FeatureSet {
        namespace: "ml".to_owned(),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        business_unit: "prod.payments".to_owned(),
        mode: mode.into(),
        upstream_auth: v1::UpstreamAuth::None.into(),
        features: features.iter().map(|name| feature(name)).collect(),
        ..v1::FeatureSet::default()
    };
    Snapshot {
        format: 1,
        engine_version: "0.2.0".to_owned(),
        environment: "prod".to_owned(),
        trust_domain: "prod.acme.example".to_owned(),
        workload: "spiffe://prod.acme.example/bu/payments/svc/feast".to_owned(),
        feature_sets: vec![set("a", &["a:granted", "a:secret"]), set("b", &["b:granted"])],
        bindings: vec![
            binding("one", "a", "a:granted", v1::SubjectKind::Workload, CALLER),
            binding("two", "b", "b:granted", v1::SubjectKind::Workload, CALLER),
        ],
        remotes: Vec::new(),
    }
}

fn binding(name: &str, set: &str, feature: &str, kind: v1::SubjectKind, value: &str) -> v1::Binding {
    v1::Binding {
        namespace: "ml".to_owned(),
        name: name.to_owned(),
        subjects: vec![v1::Subject {
            kind: kind.into(),
            value: value.to_owned(),
        }],
        feature_set_namespace: "ml".to_owned(),
        feature_set_name: set.to_owned(),
        features: vec![feature.to_owned()],
        on_excess: v1::OnExcess::Deny.into(),
        expires: EXPIRES,
        ..v1::Binding::default()
    }
}

fn overriding(action: OverrideAction) -> Option<v1::Override> {
    Some(v1::Override {
        action: action.into(),
        until: UNTIL,
        name: "by-hand".to_owned(),
    })
}

fn load(snapshot: &Snapshot) -> Policy {
    Policy::load(&snapshot.encode_to_vec()).unwrap()
}

fn ask(policy: &Policy, names: &[&str], now: i64) -> Decision {
    let caller = SpiffeId::parse(CALLER).unwrap();
    policy.decide(&Request {
        identity: Some(&caller),
        features: Features::Named(names),
        rows: 1,
        now,
    })
}

/// A snapshot whose first set is overridden.
fn overridden(mode: Declared, action: OverrideAction) -> Policy {
    let mut snapshot = snapshot(mode);
    snapshot.feature_sets[0].r#override = overriding(action);
    load(&snapshot)
}

#[test]
fn a_relaxed_set_is_in_shadow_until_its_last_second() {
    let policy = overridden(Declared::Enforce, OverrideAction::Relax);
    let decision = ask(&policy, &["a:secret"], UNTIL - 1);
    assert_eq!((decision.outcome, decision.mode), (Outcome::Deny, Mode::Shadow));
    assert_eq!(decision.reason, DecisionReason::NotGranted);
    assert_eq!(ask(&policy, &["a:secret"], UNTIL).mode, Mode::Enforce);
    assert_eq!(ask(&policy, &["a:secret", "b:granted"], 1).mode, Mode::Enforce);
    assert_eq!(
        ask(
            &overridden(Declared::Observe, OverrideAction::Relax),
            &["a:secret"],
            1
        )
        .mode,
        Mode::Observe
    );
}

#[test]
fn a_closed_set_refuses_what_would_have_been_answered_in_every_mode() {
    for mode in [Declared::Observe, Declared::Shadow, Declared::Enforce] {
        let policy = overridden(mode, OverrideAction::Close);
        let decision = ask(&policy, &["b:granted", "a:granted"], UNTIL - 1);
        assert_eq!(
            (decision.outcome, decision.reason, decision.mode),
            (Outcome::Deny, DecisionReason::Closed, Mode::Enforce)
        );
        assert!(decision.charges.is_empty() && decision.rule.is_none());
        let names: Vec<_> = policy
            .overrides(&decision, UNTIL - 1)
            .map(|one| &*one.name)
            .collect();
        assert_eq!(names, ["by-hand"]);
        assert_eq!(policy.mode_at(UNTIL - 1), Mode::Enforce, "nothing passes unread");
        assert_eq!(
            ask(&policy, &["b:granted"], 1).outcome,
            Outcome::Allow,
            "beside it"
        );
        assert_eq!(
            ask(&policy, &["a:granted"], UNTIL).outcome,
            Outcome::Allow,
            "its end"
        );
    }
}

#[test]
fn closing_a_set_that_enforces_tells_nobody_what_there_is() {
    let policy = overridden(Declared::Enforce, OverrideAction::Close);
    for name in ["a:secret", "a:nothing"] {
        let decision = ask(&policy, &[name], 1);
        assert_eq!(decision.reason, DecisionReason::NotGranted, "{name}");
    }
    let observed = overridden(Declared::Observe, OverrideAction::Close);
    for name in ["a:secret", "a:nothing"] {
        let decision = ask(&observed, &[name], 1);
        assert_eq!(
            decision.reason,
            DecisionReason::Closed,
            "{name} would have been answered"
        );
    }
}

#[test]
fn callers_without_identity_are_told_that_a_set_is_closed_where_they_would_pass() {
    let mut written = snapshot(Declared::Shadow);
    written.feature_sets[0].unidentified_allow = true;
    written.feature_sets[0].unidentified_until = UNTIL + 100;
    written.feature_sets[0].r#override = overriding(OverrideAction::Close);
    let policy = load(&written);
    let ask = |now| {
        policy.decide(&Request {
            identity: None,
            features: Features::Named(&["a:granted"]),
            rows: 1,
            now,
        })
    };
    let closed = ask(1);
    assert_eq!(
        (closed.reason, closed.unidentified_allowed),
        (DecisionReason::Closed, false)
    );
    assert!(ask(UNTIL).unidentified_allowed);
    assert_eq!(ask(UNTIL + 100).reason, DecisionReason::IdentityRequired);
}

#[test]
fn a_closed_binding_gives_its_turn_to_the_next_and_takes_it_back() {
    let mut written = snapshot(Declared::Enforce);
    // Tried after the workload's own, and soon over: without the closing it would never get its turn.
    let unit = v1::SubjectKind::BusinessUnit;
    let mut wider = binding("wider", "a", "a:granted", unit, "prod.payments");
    wider.expires = 400;
    written.bindings.push(wider);
    written.bindings[0].r#override = overriding(OverrideAction::Close);
    let policy = load(&written);
    let rule = |now| {
        let decision = ask(&policy, &["a:granted"], now);
        (
            decision.reason,
            decision.rule.map(|rule| policy.binding(rule).name),
        )
    };
    assert_eq!(rule(399), (DecisionReason::Granted, Some("ml/wider")));
    assert_eq!(rule(400), (DecisionReason::Closed, Some("ml/one")));
    assert_eq!(rule(UNTIL), (DecisionReason::Granted, Some("ml/one")));
    assert_eq!(rule(EXPIRES), (DecisionReason::BindingExpired, Some("ml/one")));
}

#[test]
fn what_is_closed_is_nobodys_to_read() {
    let caller = SpiffeId::parse(CALLER).unwrap();
    let mut written = snapshot(Declared::Enforce);
    written.feature_sets[0].r#override = overriding(OverrideAction::Close);
    written.bindings[1].r#override = overriding(OverrideAction::Close);
    let policy = load(&written);
    for name in ["a:granted", "b:granted"] {
        let feature = policy.find_feature(name).unwrap();
        assert!(policy.readers(feature, UNTIL - 1).is_empty(), "{name}");
        assert_eq!(policy.readers(feature, UNTIL).len(), 1, "{name}");
    }
    assert!(policy.grants(&caller, UNTIL - 1).is_empty());
    assert_eq!(policy.grants(&caller, UNTIL).len(), 2);
}
