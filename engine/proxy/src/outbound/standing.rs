//! How one outbound stands: where local apps call it, who serves it, and when that server last answered or could
//! not be reached. Apart from the requests, because the status also tells of a set that nobody has called yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use featward_policy::{Policy, Remote};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::remote::Unreached;
use crate::clock;
use crate::refusal::Kind;

/// What is known of one outbound.
#[derive(Debug)]
pub(crate) struct Standing {
    feature_set: Arc<str>,
    listen: String,
    /// When its server last answered, Unix seconds; 0 for never.
    answered: AtomicU64,
    failed: Mutex<Option<Failure>>,
}

/// The newest request that got no answer of the server.
#[derive(Debug)]
struct Failure {
    time: u64,
    reason: &'static str,
    detail: String,
}

impl Standing {
    pub(super) fn new(feature_set: Arc<str>, listen: &str) -> Standing {
        Standing {
            feature_set,
            listen: listen.to_owned(),
            answered: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    /// The server has answered, whatever it said.
    pub(super) fn answered(&self) {
        self.answered.store(clock::now().as_secs(), Ordering::Relaxed);
    }

    /// There was no answer of it. What the local app did wrong says nothing of the server.
    pub(super) fn failed(&self, unreached: &Unreached) {
        let row = unreached.reason.row();
        if row.kind == Kind::BadRequest {
            return;
        }
        *self.failed.lock() = Some(Failure {
            time: clock::now().as_secs(),
            reason: row.name,
            detail: unreached.detail.clone(),
        });
    }

    /// As JSON, with the server that this policy names.
    pub(crate) fn report(&self, policy: Option<&Policy>) -> Value {
        let server = policy.and_then(|policy| server(policy, &self.feature_set));
        let answered = Some(self.answered.load(Ordering::Relaxed)).filter(|time| *time > 0);
        let failed = self.failed.lock();
        json!({
            "feature_set": &*self.feature_set,
            "listen": self.listen,
            "server": server.map(|server| json!({"address": server.address, "spiffe_id": server.spiffe_id.as_str()})),
            "last_answer": answered,
            "last_failure": failed.as_ref().map(|failure| {
                json!({"time": failure.time, "reason": failure.reason, "detail": failure.detail})
            }),
        })
    }
}

/// The one server that a policy names for a set; None where it names none or several.
pub(super) fn server<'p>(policy: &'p Policy, feature_set: &str) -> Option<&'p Remote> {
    let wanted = |remote: &&Remote| match feature_set.split_once('/') {
        Some((namespace, name)) => *remote.namespace == *namespace && *remote.name == *name,
        None => *remote.name == *feature_set,
    };
    let mut named = policy.remotes().iter().filter(wanted);
    match (named.next(), named.next()) {
        (Some(server), None) => Some(server),
        _ => None,
    }
}
