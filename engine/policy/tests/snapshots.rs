//! Which snapshots are refused, and why. Each test breaks one thing in a snapshot that holds.

use featward_policy::v1::{self, Snapshot};
use featward_policy::{ColumnType, Mode, Policy, PolicyError};
use proptest::prelude::*;
use prost::Message;

fn valid() -> Snapshot {
    Snapshot {
        format: 1,
        engine_version: "0.1.0".to_owned(),
        environment: "prod".to_owned(),
        trust_domain: "prod.acme.example".to_owned(),
        workload: "spiffe://prod.acme.example/bu/payments/svc/feast".to_owned(),
        feature_sets: vec![set("drivers", &["d:a", "d:b"]), set("riders", &["r:a"])],
        bindings: vec![
            binding("one", "drivers", &["d:a"]),
            binding("two", "drivers", &["d:a", "d:b"]),
        ],
        remotes: vec![v1::Remote {
            namespace: "ml".to_owned(),
            name: "drivers".to_owned(),
            address: "feast.ml.svc:15443".to_owned(),
            spiffe_id: "spiffe://prod.acme.example/bu/payments/svc/feast".to_owned(),
        }],
    }
}

fn set(name: &str, features: &[&str]) -> v1::FeatureSet {
    let feature = |name: &&str| v1::Feature {
        name: (*name).to_owned(),
        r#type: v1::ColumnType::Double.into(),
        sensitivity: 1,
        cost: 1,
        lineage: String::new(),
    };
    v1::FeatureSet {
        namespace: "ml".to_owned(),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        business_unit: "prod.payments".to_owned(),
        mode: v1::Mode::Shadow.into(),
        endpoints: vec![v1::Endpoint {
            adapter: "feast-http/v1".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 6566,
        }],
        upstream_auth: v1::UpstreamAuth::None.into(),
        entities: vec![column("driver_id", v1::ColumnType::Int64)],
        request_inputs: vec![column("val_to_add", v1::ColumnType::Int64)],
        features: features.iter().map(feature).collect(),
        services: vec![v1::Service {
            name: format!("{name}_v1"),
            features: features.iter().map(|name| (*name).to_owned()).collect(),
        }],
        ..v1::FeatureSet::default()
    }
}

fn column(name: &str, kind: v1::ColumnType) -> v1::Column {
    v1::Column {
        name: name.to_owned(),
        r#type: kind.into(),
    }
}

fn binding(name: &str, set: &str, features: &[&str]) -> v1::Binding {
    v1::Binding {
        namespace: "ml".to_owned(),
        name: name.to_owned(),
        subjects: vec![subject(v1::SubjectKind::BusinessUnit, "prod.payments")],
        feature_set_namespace: "ml".to_owned(),
        feature_set_name: set.to_owned(),
        features: features.iter().map(|name| (*name).to_owned()).collect(),
        purpose: "tests".to_owned(),
        cost: Some(v1::Rate {
            amount: 10,
            per_seconds: 1,
            burst: 10,
        }),
        rows_per_request: 0,
        on_excess: v1::OnExcess::Deny.into(),
        expires: 2_000_000_000,
        r#override: None,
    }
}

fn overriding(action: v1::OverrideAction, until: i64, name: &str) -> Option<v1::Override> {
    Some(v1::Override {
        action: action.into(),
        until,
        name: name.to_owned(),
    })
}

fn subject(kind: v1::SubjectKind, value: &str) -> v1::Subject {
    v1::Subject {
        kind: kind.into(),
        value: value.to_owned(),
    }
}

/// Break a valid snapshot and say why it is refused.
fn refusal(break_it: impl FnOnce(&mut Snapshot)) -> PolicyError {
    let mut snapshot = valid();
    break_it(&mut snapshot);
    Policy::load(&snapshot.encode_to_vec()).expect_err("the snapshot is broken")
}

macro_rules! refused {
    ($($name:ident: $error:pat, $break_it:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let error = refusal($break_it);
                assert!(matches!(error, $error), "{error}");
            }
        )*
    };
}

refused! {
    a_newer_format_is_refused:
        PolicyError::Format { found: 2, .. }, |s| s.format = 2;
    an_absent_format_is_refused:
        PolicyError::Format { found: 0, .. }, |s| s.format = 0;
    a_newer_engine_is_asked_for:
        PolicyError::EngineVersion { .. }, |s| s.engine_version = "0.10.0".to_owned();
    an_engine_version_that_is_none_is_refused:
        PolicyError::Invalid { field: "engine_version", .. }, |s| s.engine_version = "0.1".to_owned();
    an_environment_with_a_dot_is_refused:
        PolicyError::Invalid { field: "environment", .. }, |s| s.environment = "prod.eu".to_owned();
    a_trust_domain_in_upper_case_is_refused:
        PolicyError::SpiffeId { .. }, |s| s.trust_domain = "PROD.acme.example".to_owned();
    a_workload_of_another_trust_domain_is_refused:
        PolicyError::Invalid { field: "workload", .. },
        |s| s.workload = "spiffe://dev.acme.example/bu/payments/svc/feast".to_owned();
    a_set_without_mode_is_refused:
        PolicyError::Unspecified { field: "mode", .. }, |s| s.feature_sets[0].mode = 0;
    a_mode_of_the_future_is_refused:
        PolicyError::Unspecified { field: "mode", .. }, |s| s.feature_sets[0].mode = 9;
    a_set_without_upstream_auth_is_refused:
        PolicyError::Unspecified { field: "upstream_auth", .. }, |s| s.feature_sets[0].upstream_auth = 0;
    a_column_without_type_is_refused:
        PolicyError::Unspecified { field: "type", .. }, |s| s.feature_sets[0].entities[0].r#type = 0;
    an_entity_of_opaque_type_is_refused:
        PolicyError::Invalid { field: "entities", .. },
        |s| s.feature_sets[0].entities[0].r#type = v1::ColumnType::Other.into();
    a_feature_without_type_is_refused:
        PolicyError::Unspecified { field: "type", .. }, |s| s.feature_sets[0].features[0].r#type = 0;
    a_feature_that_costs_nothing_is_refused:
        PolicyError::Invalid { field: "cost", .. }, |s| s.feature_sets[0].features[0].cost = 0;
    a_sensitivity_above_three_is_refused:
        PolicyError::Invalid { field: "sensitivity", .. }, |s| s.feature_sets[0].features[0].sensitivity = 4;
    a_business_unit_of_another_environment_is_refused:
        PolicyError::Invalid { field: "business unit", .. },
        |s| s.feature_sets[0].business_unit = "dev.payments".to_owned();
    a_date_for_unidentified_callers_who_are_not_allowed_is_refused:
        PolicyError::Invalid { field: "unidentified_until", .. }, |s| s.feature_sets[0].unidentified_until = 1;
    allowing_unidentified_callers_for_ever_is_refused:
        PolicyError::Invalid { field: "unidentified_until", .. }, |s| s.feature_sets[0].unidentified_allow = true;
    port_zero_is_refused:
        PolicyError::Invalid { field: "endpoint port", .. }, |s| s.feature_sets[0].endpoints[0].port = 0;
    a_port_that_is_none_is_refused:
        PolicyError::Invalid { field: "endpoint port", .. }, |s| s.feature_sets[0].endpoints[0].port = 65_536;
    a_slash_in_a_name_is_refused:
        PolicyError::Invalid { field: "name", .. }, |s| s.feature_sets[0].name = "a/b".to_owned();
    sets_out_of_order_are_refused:
        PolicyError::Unsorted { list: "feature_sets", .. }, |s| s.feature_sets.swap(0, 1);
    bindings_out_of_order_are_refused:
        PolicyError::Unsorted { list: "bindings", .. }, |s| s.bindings.swap(0, 1);
    a_binding_given_twice_is_refused:
        PolicyError::Unsorted { list: "bindings", .. }, |s| s.bindings[1] = s.bindings[0].clone();
    remotes_given_twice_are_refused:
        PolicyError::Unsorted { list: "remotes", .. }, |s| s.remotes.push(s.remotes[0].clone());
    features_out_of_order_are_refused:
        PolicyError::Unsorted { list: "features", .. }, |s| s.feature_sets[0].features.swap(0, 1);
    granted_features_out_of_order_are_refused:
        PolicyError::Unsorted { list: "features", .. }, |s| s.bindings[1].features.swap(0, 1);
    subjects_out_of_order_are_refused:
        PolicyError::Unsorted { list: "subjects", .. },
        |s| s.bindings[0].subjects.push(subject(v1::SubjectKind::SpiffeId, "spiffe://a/b"));
    a_feature_in_two_sets_is_refused:
        PolicyError::Conflict { what: "feature", .. }, |s| s.feature_sets[1].features[0].name = "d:a".to_owned();
    a_service_in_two_sets_is_refused:
        PolicyError::Conflict { what: "service", .. },
        |s| s.feature_sets[1].services[0].name = "drivers_v1".to_owned();
    a_column_with_two_types_is_refused:
        PolicyError::Conflict { what: "column", .. },
        |s| s.feature_sets[1].entities[0].r#type = v1::ColumnType::String.into();
    a_request_input_with_a_join_keys_name_and_another_type_is_refused:
        PolicyError::Conflict { what: "column", .. },
        |s| s.feature_sets[0].request_inputs[0] = column("driver_id", v1::ColumnType::String);
    a_service_with_a_feature_of_another_set_is_refused:
        PolicyError::Unknown { what: "feature", .. },
        |s| s.feature_sets[1].services[0].features = vec!["d:a".to_owned()];
    a_binding_to_an_unknown_set_is_refused:
        PolicyError::Unknown { what: "feature set", .. }, |s| s.bindings[0].feature_set_name = "x".to_owned();
    a_binding_that_lists_an_unknown_feature_is_refused:
        PolicyError::Unknown { what: "feature", .. }, |s| s.bindings[0].features = vec!["d:z".to_owned()];
    a_binding_that_lists_a_feature_of_another_set_is_refused:
        PolicyError::Unknown { what: "feature", .. }, |s| s.bindings[0].features = vec!["r:a".to_owned()];
    a_subject_without_kind_is_refused:
        PolicyError::Unspecified { field: "subject kind", .. }, |s| s.bindings[0].subjects[0].kind = 0;
    a_subject_that_is_no_spiffe_id_is_refused:
        PolicyError::SpiffeId { .. },
        |s| s.bindings[0].subjects = vec![subject(v1::SubjectKind::SpiffeId, "spiffe://a")];
    a_workload_subject_of_a_foreign_trust_domain_is_refused:
        PolicyError::Invalid { field: "workload", .. },
        |s| s.bindings[0].subjects = vec![subject(v1::SubjectKind::Workload, "spiffe://other/bu/payments/svc/a")];
    a_business_unit_subject_of_another_environment_is_refused:
        PolicyError::Invalid { field: "business unit", .. },
        |s| s.bindings[0].subjects[0].value = "production.payments".to_owned();
    a_binding_without_expiry_is_refused:
        PolicyError::Invalid { field: "expires", .. }, |s| s.bindings[0].expires = 0;
    a_binding_without_choice_on_excess_is_refused:
        PolicyError::Unspecified { field: "on_excess", .. }, |s| s.bindings[0].on_excess = 0;
    a_limit_that_holds_nothing_is_refused:
        PolicyError::Invalid { field: "cost", .. },
        |s| s.bindings[0].cost = Some(v1::Rate { amount: 1, per_seconds: 0, burst: 1 });
    an_override_that_does_nothing_known_is_refused:
        PolicyError::Unspecified { .. },
        |s| s.feature_sets[0].r#override = overriding(v1::OverrideAction::Unspecified, 1, "x");
    an_override_for_ever_is_refused:
        PolicyError::Invalid { field: "override until", .. },
        |s| s.feature_sets[0].r#override = overriding(v1::OverrideAction::Close, 0, "x");
    an_override_of_nobody_is_refused:
        PolicyError::Invalid { field: "override name", .. },
        |s| s.bindings[0].r#override = overriding(v1::OverrideAction::Close, 1, "");
    a_relaxed_binding_is_refused:
        PolicyError::Invalid { field: "override", .. },
        |s| s.bindings[0].r#override = overriding(v1::OverrideAction::Relax, 1, "x");
    a_remote_without_port_is_refused:
        PolicyError::Invalid { field: "address", .. }, |s| s.remotes[0].address = "feast.ml.svc".to_owned();
    a_remote_without_identity_is_refused:
        PolicyError::SpiffeId { .. }, |s| s.remotes[0].spiffe_id = String::new();
}

#[test]
fn a_valid_snapshot_says_what_is_in_it() {
    let policy = Policy::load(&valid().encode_to_vec()).unwrap();
    assert_eq!(policy.mode_at(0), Mode::Shadow);
    assert_eq!(policy.feature_sets().len(), 2);
    assert_eq!(policy.bindings_count(), 2);
    assert_eq!(policy.remotes()[0].address.as_ref(), "feast.ml.svc:15443");
    assert_eq!(policy.entity_column("driver_id"), Some(ColumnType::Int64));
    assert_eq!(policy.entity_column("val_to_add"), Some(ColumnType::Int64));
    assert_eq!(policy.entity_column("rider_id"), None);
    let expanded: Vec<&str> = policy
        .expand("drivers_v1")
        .unwrap()
        .iter()
        .map(|feature| &*policy.feature(*feature).name)
        .collect();
    assert_eq!(expanded, ["d:a", "d:b"]);
    assert!(policy.expand("no-such-service").is_none());
}

#[test]
fn a_snapshot_without_sets_enforces() {
    let snapshot = Snapshot {
        feature_sets: vec![],
        bindings: vec![],
        ..valid()
    };
    assert_eq!(
        Policy::load(&snapshot.encode_to_vec()).unwrap().mode_at(0),
        Mode::Enforce
    );
}

#[test]
fn a_field_that_this_engine_does_not_know_is_refused_wherever_it_is() {
    // Field 2047, length-delimited, two bytes: what a newer compiler would add as a restriction.
    let unknown: &[u8] = &[0xfa, 0x7f, 0x02, 0x61, 0x62];
    let at_the_end = [valid().encode_to_vec().as_slice(), unknown].concat();
    assert!(matches!(
        Policy::load(&at_the_end),
        Err(PolicyError::Unfaithful(_))
    ));

    let bare = Snapshot {
        bindings: vec![],
        remotes: vec![],
        ..valid()
    };
    let binding = [
        binding("one", "drivers", &["d:a"]).encode_to_vec().as_slice(),
        unknown,
    ]
    .concat();
    let mut bytes = bare.encode_to_vec();
    bytes.push(7 << 3 | 2);
    prost::encode_length_delimiter(binding.len(), &mut bytes).unwrap();
    bytes.extend(binding);
    assert!(matches!(Policy::load(&bytes), Err(PolicyError::Unfaithful(_))));
}

#[test]
fn a_second_value_for_the_trust_domain_is_refused() {
    let second = Snapshot {
        trust_domain: "evil.example".to_owned(),
        ..Snapshot::default()
    };
    let bytes = [second.encode_to_vec(), valid().encode_to_vec()].concat();
    assert!(matches!(Policy::load(&bytes), Err(PolicyError::Unfaithful(_))));
}

#[test]
fn a_snapshot_cut_short_is_refused_or_is_another_snapshot() {
    let bytes = valid().encode_to_vec();
    let whole = Policy::load(&bytes).unwrap();
    for length in 0..bytes.len() {
        if let Ok(policy) = Policy::load(&bytes[..length]) {
            // Cut between two entries: what is left is whole, and says so by its digest.
            assert_ne!(policy.digest(), whole.digest(), "cut at {length}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_loading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Policy::load(&bytes);
    }

    #[test]
    fn no_change_to_a_valid_snapshot_makes_loading_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = valid().encode_to_vec();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = Policy::load(&bytes);
    }
}
