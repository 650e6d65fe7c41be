//! The series as they are read, by the names that people depend on.

use super::*;

#[test]
fn series_carry_the_names_that_people_depend_on() {
    let metrics = Metrics::new();
    let set: Arc<str> = "ml/driver-stats".into();
    metrics.ended(
        &set,
        "get-online-features",
        Tally::Allow,
        "granted",
        Duration::from_millis(1),
    );
    metrics.policy("abc", &[Arc::clone(&set)]);
    metrics.records_dropped.inc();
    let text = metrics.render(Moment {
        expiry: Some(100),
        now: 40,
        clock_offset: Some(-1.5),
        sequence: 7,
        policy_age: None,
        agent: Told {
            edits_refused: 2,
            renewed: 3,
            renewals_failed: 4,
        },
    });
    for line in [
        "featward_requests_total{feature_set=\"ml/driver-stats\",operation=\"get-online-features\",decision=\"allow\",reason=\"granted\"} 1",
        "featward_records_dropped_total 1",
        "featward_certificate_expiry_timestamp_seconds{purpose=\"workload\"} 100",
        "featward_identity_runway_seconds 60",
        "featward_clock_offset_seconds -1.5",
        "featward_bundle_sequence 7",
        "featward_policy_info{digest=\"abc\"} 1",
        "featward_policy_edits_refused_total 2",
        "featward_identity_renewals_total{result=\"renewed\"} 3",
        "featward_identity_renewals_total{result=\"failed\"} 4",
        "featward_request_duration_seconds_count 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_clock_that_is_not_known_has_no_offset() {
    let metrics = Metrics::new();
    let text = metrics.render(Moment::default());
    assert!(text.contains("featward_clock_offset_seconds NaN"), "{text}");
}

#[test]
fn series_of_sets_that_are_no_longer_served_are_forgotten() {
    let metrics = Metrics::new();
    let (old, new): (Arc<str>, Arc<str>) = ("a/old".into(), "a/new".into());
    metrics.policy("one", &[Arc::clone(&old)]);
    metrics.ended(&old, "x", Tally::Allow, "granted", Duration::ZERO);
    metrics.policy("two", &[Arc::clone(&new)]);
    metrics.ended(&new, "x", Tally::Allow, "granted", Duration::ZERO);
    metrics.policy("three", &[new]);
    let text = metrics.render(Moment::default());
    assert!(!text.contains("a/old") && text.contains("a/new"), "{text}");
    assert!(
        !text.contains("digest=\"two\"") && text.contains("digest=\"three\""),
        "{text}"
    );
}
