//! Snapshots as tests need them.

use std::time::{SystemTime, UNIX_EPOCH};

use featward_policy::v1;
use prost::Message;

use crate::chains::{DOMAIN, PRICING, SCORING};

pub const CONV: &str = "driver:conv_rate";
pub const ACC: &str = "driver:acc_rate";
pub const SECRET: &str = "driver:secret";

/// A snapshot in the making; tests change what they are about.
#[derive(Clone)]
pub struct Draft(pub v1::Snapshot);

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

impl Draft {
    /// One set before this port, enforced, of which pricing may read two features.
    pub fn new(port: u16) -> Draft {
        let column = |name: &str| v1::Column {
            name: name.into(),
            r#type: v1::ColumnType::Int64.into(),
        };
        let feature = |name: &str| v1::Feature {
            name: name.into(),
            r#type: v1::ColumnType::Double.into(),
            sensitivity: 1,
            cost: 1,
            lineage: String::new(),
        };
        let set = v1::FeatureSet {
            namespace: "ml".into(),
            name: "drivers".into(),
            version: "1.0.0".into(),
            business_unit: "prod.risk".into(),
            owner_team: "driver-ml".into(),
            owner_contact: "driver-ml@acme.example".into(),
            mode: v1::Mode::Enforce.into(),
            endpoints: vec![v1::Endpoint {
                adapter: "feast-http/v1".into(),
                host: "127.0.0.1".into(),
                port: port.into(),
            }],
            upstream_auth: v1::UpstreamAuth::None.into(),
            entities: vec![column("driver_id")],
            features: vec![feature(ACC), feature(CONV), feature(SECRET)],
            services: vec![v1::Service {
                name: "activity".into(),
                features: vec![ACC.into(), CONV.into()],
            }],
            ..v1::FeatureSet::default()
        };
        let draft = v1::Snapshot {
            format: 1,
            engine_version: "0.1.0".into(),
            environment: "prod".into(),
            trust_domain: DOMAIN.into(),
            workload: SCORING.into(),
            feature_sets: vec![set],
            bindings: vec![binding("pricing", PRICING, &[ACC, CONV])],
            remotes: Vec::new(),
        };
        Draft(draft)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    pub fn mode(&mut self, mode: v1::Mode) -> &mut Draft {
        self.0.feature_sets[0].mode = mode.into();
        self
    }

    /// Let callers without identity pass for this many seconds.
    pub fn admit_unidentified(&mut self, seconds: i64) -> &mut Draft {
        self.0.feature_sets[0].unidentified_allow = true;
        self.0.feature_sets[0].unidentified_until = now() + seconds;
        self
    }

    pub fn upstream_auth(&mut self, auth: v1::UpstreamAuth) -> &mut Draft {
        self.0.feature_sets[0].upstream_auth = auth.into();
        self
    }

    pub fn rate(&mut self, amount: u64, per_seconds: u64, burst: u64) -> &mut Draft {
        self.0.bindings[0].cost = Some(v1::Rate {
            amount,
            per_seconds,
            burst,
        });
        self
    }

    pub fn strip(&mut self) -> &mut Draft {
        self.0.bindings[0].on_excess = v1::OnExcess::Strip.into();
        self
    }
}

pub fn binding(name: &str, subject: &str, features: &[&str]) -> v1::Binding {
    v1::Binding {
        namespace: "ml".into(),
        name: name.into(),
        subjects: vec![v1::Subject {
            kind: v1::SubjectKind::Workload.into(),
            value: subject.into(),
        }],
        feature_set_namespace: "ml".into(),
        feature_set_name: "drivers".into(),
        features: features.iter().map(|name| (*name).to_owned()).collect(),
        purpose: "tests".into(),
        on_excess: v1::OnExcess::Deny.into(),
        expires: now() + 3600,
        ..v1::Binding::default()
    }
}
