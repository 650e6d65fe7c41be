//! Where the feature server and the manifests differ, as its answers show it: the filter takes an unlisted column out
//! without a word, and a caller whose feature was renamed gets an answer without it.
//!
//! Kept for the status, of the policy in use only: an edit that follows the feature server begins anew.

use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::adapter::feast_http::Differing;
use crate::clock;
use crate::record::shortened;

/// What a person reads before they run the check that names all.
const NAMED: usize = 20;
/// What no answer has shown for a day is no longer so.
const DAY: u64 = 86_400;

/// What was found of each set.
#[derive(Debug, Default)]
pub(crate) struct Drifts(Mutex<AHashMap<Arc<str>, Drift>>);

#[derive(Debug, Default)]
struct Drift {
    policy: u64,
    unlisted: Vec<String>,
    unanswered: Vec<String>,
    time: u64,
}

impl Drifts {
    /// Note what one answer showed under the policy of this mark.
    pub(crate) fn note(&self, feature_set: &Arc<str>, policy: u64, differing: &Differing<'_>) {
        let mut table = self.0.lock();
        table.retain(|_, drift| drift.policy == policy);
        let drift = table.entry(Arc::clone(feature_set)).or_default();
        drift.policy = policy;
        drift.time = clock::now().as_secs();
        add(&mut drift.unlisted, differing.unlisted.iter().map(String::as_str));
        add(&mut drift.unanswered, differing.unanswered.iter().copied());
    }

    /// As JSON, of the policy of this mark.
    pub(crate) fn report(&self, policy: u64) -> Vec<Value> {
        let now = clock::now().as_secs();
        let table = self.0.lock();
        let lately = |drift: &Drift| drift.policy == policy && now.saturating_sub(drift.time) < DAY;
        let mut rows: Vec<_> = table.iter().filter(|(_, drift)| lately(drift)).collect();
        rows.sort_by_key(|(set, _)| Arc::clone(set));
        rows.into_iter()
            .map(|(set, drift)| {
                json!({
                    "feature_set": &**set, "unlisted": drift.unlisted, "unanswered": drift.unanswered,
                    "time": drift.time,
                })
            })
            .collect()
    }
}

fn add<'a>(to: &mut Vec<String>, names: impl Iterator<Item = &'a str>) {
    for name in names {
        let name = shortened(name);
        if to.len() < NAMED && !to.iter().any(|other| *other == name) {
            to.push(name.into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_bounded_and_an_edit_begins_anew() {
        let drifts = Drifts::default();
        let set: Arc<str> = "ml/s".into();
        let many: Vec<String> = (0..30).map(|number| format!("c{number}")).collect();
        let found = Differing {
            unlisted_total: 30,
            unlisted: many,
            unanswered: vec!["v:x"],
        };
        drifts.note(&set, 1, &found);
        drifts.note(&set, 1, &found);
        let rows = drifts.report(1);
        assert_eq!(rows[0]["unlisted"].as_array().unwrap().len(), NAMED);
        assert_eq!(rows[0]["unanswered"], json!(["v:x"]));
        assert!(drifts.report(2).is_empty());
        drifts.note(
            &set,
            2,
            &Differing {
                unanswered: vec!["v:y"],
                ..Differing::default()
            },
        );
        assert_eq!(drifts.report(2)[0]["unanswered"], json!(["v:y"]));
    }
}
