//! What a decision costs, against the number of bindings and whom they name.
//!
//! ```text
//! cargo run --release -p featward-policy --example decision_cost
//! ```
//!
//! Every request asks for the 20 features of one binding in a catalogue of 1,000. A figure is the median of seven
//! rounds, with the spread in brackets. RSS is what the process grew by from before the load to after it, which
//! includes what the allocator keeps of the load's own work.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use featward_policy::v1::{self, SubjectKind};
use featward_policy::{Features, Outcome, Policy, Request, SpiffeId};
use prost::Message;

const FEATURES: usize = 1_000;
const LISTED: usize = 20;
const SIZES: [usize; 3] = [10, 1_000, 100_000];
const ROUNDS: usize = 7;
const DECISIONS: usize = 200_000;
const NOW: i64 = 1_795_305_600;
const DAY: i64 = 86_400;

/// Whom the bindings name, and how requests vary.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Each its own identity; the same one asks again and again.
    OneOfMany,
    /// Each its own identity; another one asks each time.
    AllOfMany,
    /// All name one identity.
    OneIdentity,
    /// All name one business unit.
    OneUnit,
    /// All name one identity, each ends a second after the one before it, and half of them have ended.
    Lapsing,
}

impl Shape {
    const ALL: [Shape; 5] = [
        Shape::OneOfMany,
        Shape::AllOfMany,
        Shape::OneIdentity,
        Shape::OneUnit,
        Shape::Lapsing,
    ];

    fn title(self) -> &'static str {
        match self {
            Shape::OneOfMany => "an identity each, one asks",
            Shape::AllOfMany => "an identity each, all ask in turn",
            Shape::OneIdentity => "all on one identity",
            Shape::OneUnit => "all on one business unit",
            Shape::Lapsing => "all on one identity, half expired",
        }
    }

    fn subject(self, binding: usize) -> v1::Subject {
        let (kind, value) = match self {
            Shape::OneOfMany | Shape::AllOfMany => (SubjectKind::Workload, identity(binding)),
            Shape::OneIdentity | Shape::Lapsing => (SubjectKind::Workload, identity(0)),
            Shape::OneUnit => (SubjectKind::BusinessUnit, "prod.payments".to_owned()),
        };
        v1::Subject {
            kind: kind.into(),
            value,
        }
    }

    fn expires(self, binding: usize, bindings: usize) -> i64 {
        match self {
            Shape::Lapsing => NOW + binding as i64 - bindings as i64 / 2,
            // Spread over 90 days, without order.
            _ => NOW + (1 + (binding as i64 * 7919) % 90) * DAY,
        }
    }

    /// The identity and the window of features of one request.
    fn request(self, number: usize, bindings: usize) -> (usize, usize) {
        let turn = (number * 7919) % bindings;
        match self {
            Shape::OneOfMany => (bindings / 2, bindings / 2),
            Shape::AllOfMany => (turn, turn),
            Shape::OneIdentity | Shape::Lapsing => (0, turn),
            Shape::OneUnit => (number % 10, turn),
        }
    }
}

fn main() {
    println!(
        "{:36} {:>9} {:>16} {:>7} {:>9} {:>9} {:>8}",
        "bindings name", "bindings", "decision ns", "ratio", "snapshot", "load", "RSS"
    );
    for shape in Shape::ALL {
        let mut least = None;
        for bindings in SIZES {
            let bytes = snapshot(shape, bindings).encode_to_vec();
            let before = resident();
            let start = Instant::now();
            let policy = Policy::load(&bytes).expect("the snapshot is valid");
            let load = start.elapsed();
            let grown = resident().saturating_sub(before);
            let (median, low, high) = measure(&policy, shape, bindings);
            let ratio = median / *least.get_or_insert(median);
            println!(
                "{:36} {:>9} {:>16} {:>7.2} {:>6.1} MB {:>6.1} ms {:>5.1} MB",
                shape.title(),
                bindings,
                format!("{median:.0} ({low:.0}-{high:.0})"),
                ratio,
                bytes.len() as f64 / 1e6,
                load.as_secs_f64() * 1e3,
                grown as f64 / 1e6,
            );
        }
    }
}

/// Median, least and most nanoseconds a decision.
fn measure(policy: &Policy, shape: Shape, bindings: usize) -> (f64, f64, f64) {
    let identities: Vec<SpiffeId> = (0..bindings)
        .map(|n| SpiffeId::parse(&identity(n)).expect("the identity is valid"))
        .collect();
    let names: Vec<String> = (0..FEATURES).map(feature).collect();
    let windows: Vec<Vec<&str>> = (0..FEATURES / LISTED)
        .map(|n| window(n).map(|f| names[f].as_str()).collect())
        .collect();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for number in 0..DECISIONS {
                let (identity, turn) = shape.request(number, bindings);
                let decision = policy.decide(black_box(&Request {
                    identity: Some(&identities[identity]),
                    features: Features::Named(&windows[turn % windows.len()]),
                    rows: 20,
                    now: NOW,
                }));
                black_box(&decision);
                // With ten lapsing bindings some windows have nothing left; both outcomes are decisions.
                debug_assert!(matches!(shape, Shape::Lapsing) || decision.outcome == Outcome::Allow);
            }
            start.elapsed().as_nanos() as f64 / DECISIONS as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    (rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1])
}

fn snapshot(shape: Shape, bindings: usize) -> v1::Snapshot {
    v1::Snapshot {
        format: 1,
        engine_version: "0.1.0".to_owned(),
        environment: "prod".to_owned(),
        trust_domain: "prod.acme.example".to_owned(),
        workload: "spiffe://prod.acme.example/bu/payments/ns/ml/sa/feast".to_owned(),
        feature_sets: vec![feature_set()],
        bindings: (0..bindings).map(|n| binding(shape, n, bindings)).collect(),
        remotes: Vec::new(),
    }
}

fn feature_set() -> v1::FeatureSet {
    let features = (0..FEATURES).map(|n| v1::Feature {
        name: feature(n),
        r#type: v1::ColumnType::Double.into(),
        sensitivity: 1,
        cost: 1,
        lineage: String::new(),
    });
    v1::FeatureSet {
        namespace: "ml".to_owned(),
        name: "driver-stats".to_owned(),
        version: "1.2.0".to_owned(),
        business_unit: "prod.payments".to_owned(),
        mode: v1::Mode::Enforce.into(),
        upstream_auth: v1::UpstreamAuth::None.into(),
        features: features.collect(),
        ..v1::FeatureSet::default()
    }
}

fn binding(shape: Shape, number: usize, bindings: usize) -> v1::Binding {
    v1::Binding {
        namespace: "ml".to_owned(),
        name: format!("grant-{number:06}"),
        subjects: vec![shape.subject(number)],
        feature_set_namespace: "ml".to_owned(),
        feature_set_name: "driver-stats".to_owned(),
        features: window(number).map(feature).collect(),
        purpose: "online-pricing".to_owned(),
        cost: Some(v1::Rate {
            amount: 10_000,
            per_seconds: 60,
            burst: 2_000,
        }),
        rows_per_request: 200,
        on_excess: v1::OnExcess::Deny.into(),
        expires: shape.expires(number, bindings),
    }
}

fn window(number: usize) -> std::ops::Range<usize> {
    let start = (number * LISTED) % FEATURES;
    start..start + LISTED
}

fn feature(number: usize) -> String {
    format!("driver_hourly_stats:feature_{number:04}")
}

fn identity(number: usize) -> String {
    format!("spiffe://prod.acme.example/bu/payments/ns/pricing/sa/caller-{number:06}")
}

/// Bytes of memory that the process holds.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}
