//! What a decision costs, against the number of bindings and whom they name.
//!
//! ```text
//! cargo run --release -p featward-policy --example decision_cost
//! ```
//!
//! Every request asks for the 20 features of one binding in a catalogue of 1,000. A figure is the median of nine
//! rounds, with the spread in brackets. Memory is what a process holds more after the load than before it, without
//! the snapshot's bytes but with what the allocator keeps of the load's own work.

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use featward_policy::v1::{self, SubjectKind};
use featward_policy::{Features, Outcome, Policy, Request, SpiffeId};
use prost::Message;

/// Makes this program load what it reads, and print milliseconds and megabytes.
const LOAD: &str = "load";
const FEATURES: usize = 1_000;
const LISTED: usize = 20;
const SIZES: [usize; 3] = [10, 1_000, 100_000];
const CALLERS: usize = 100_000;
const ROUNDS: usize = 9;
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

    /// The caller and the window of features of one request.
    fn request(self, number: usize, bindings: usize) -> (usize, usize) {
        let turn = (number * 7919) % CALLERS;
        match self {
            Shape::OneOfMany => (bindings / 2, bindings / 2),
            Shape::AllOfMany => (turn, turn % bindings),
            Shape::OneIdentity | Shape::Lapsing => (0, turn % bindings),
            Shape::OneUnit => (number % 10, turn % bindings),
        }
    }
}

/// A loaded policy, and what loading it took in a process of its own.
struct Loaded {
    policy: Policy,
    bindings: usize,
    snapshot: usize,
    milliseconds: f64,
    megabytes: f64,
}

fn main() {
    if env::args().nth(1).as_deref() == Some(LOAD) {
        return load_only();
    }
    let names: Vec<String> = (0..FEATURES).map(feature).collect();
    let windows: Vec<Vec<&str>> = (0..FEATURES / LISTED)
        .map(|n| window(n).map(|f| names[f].as_str()).collect())
        .collect();
    println!(
        "{:34} {:>8} {:>18} {:>6} {:>9} {:>9} {:>8}",
        "bindings name", "bindings", "decision ns", "ratio", "snapshot", "load", "memory"
    );
    for shape in Shape::ALL {
        let loaded = SIZES.map(|bindings| load(shape, bindings));
        let costs = measure(&loaded, shape, &windows);
        for (loaded, [low, median, high]) in loaded.iter().zip(&costs) {
            println!(
                "{:34} {:>8} {:>18} {:>6.2} {:>6.1} MB {:>6.1} ms {:>5.1} MB",
                shape.title(),
                loaded.bindings,
                format!("{median:.0} ({low:.0}-{high:.0})"),
                median / costs[0][1],
                loaded.snapshot as f64 / 1e6,
                loaded.milliseconds,
                loaded.megabytes,
            );
        }
    }
}

fn load(shape: Shape, bindings: usize) -> Loaded {
    let bytes = snapshot(shape, bindings).encode_to_vec();
    let (milliseconds, megabytes) = load_apart(&bytes);
    let policy = Policy::load(&bytes).expect("the snapshot is valid");
    Loaded {
        policy,
        bindings,
        snapshot: bytes.len(),
        milliseconds,
        megabytes,
    }
}

/// Load in a process of its own, whose allocator has seen nothing else.
fn load_apart(bytes: &[u8]) -> (f64, f64) {
    let program = env::current_exe().expect("this program has a path");
    let mut child = Command::new(program)
        .arg(LOAD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run");
    child
        .stdin
        .take()
        .expect("stdin is a pipe")
        .write_all(bytes)
        .expect("the child reads all");
    let output = child.wait_with_output().expect("the child ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    (numbers[0], numbers[1])
}

fn load_only() {
    let before = resident();
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).expect("the snapshot arrives");
    let start = Instant::now();
    let policy = Policy::load(&bytes).expect("the snapshot is valid");
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    drop(bytes);
    println!(
        "{milliseconds} {}",
        resident().saturating_sub(before) as f64 / 1e6
    );
    drop(policy);
}

/// Least, median and most nanoseconds a decision for each size. Rounds of the sizes alternate, so that what else
/// the machine does falls on all of them.
fn measure(loaded: &[Loaded], shape: Shape, windows: &[Vec<&str>]) -> Vec<[f64; 3]> {
    let callers: Vec<Vec<SpiffeId>> = loaded.iter().map(|loaded| callers(loaded.bindings)).collect();
    let mut costs = vec![Vec::new(); loaded.len()];
    for _ in 0..ROUNDS {
        for ((loaded, callers), costs) in loaded.iter().zip(&callers).zip(&mut costs) {
            costs.push(round(loaded, callers, shape, windows));
        }
    }
    let summary = |mut costs: Vec<f64>| {
        costs.sort_by(f64::total_cmp);
        [costs[0], costs[ROUNDS / 2], costs[ROUNDS - 1]]
    };
    costs.into_iter().map(summary).collect()
}

fn round(loaded: &Loaded, callers: &[SpiffeId], shape: Shape, windows: &[Vec<&str>]) -> f64 {
    let start = Instant::now();
    for number in 0..DECISIONS {
        let (caller, window) = shape.request(number, loaded.bindings);
        let decision = loaded.policy.decide(black_box(&Request {
            identity: Some(&callers[caller]),
            features: Features::Named(&windows[window % windows.len()]),
            rows: 20,
            now: NOW,
        }));
        black_box(&decision);
        // Of ten lapsing bindings some windows have nothing left; both outcomes are decisions.
        debug_assert!(matches!(shape, Shape::Lapsing) || decision.outcome == Outcome::Allow);
    }
    start.elapsed().as_nanos() as f64 / DECISIONS as f64
}

/// As many callers whatever the number of bindings: what a proxy keeps of its connections is not the policy's cost.
fn callers(bindings: usize) -> Vec<SpiffeId> {
    let caller = |n| SpiffeId::parse(&identity(n % bindings)).expect("the identity is valid");
    (0..CALLERS).map(caller).collect()
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
        r#override: None,
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
