//! What a caller was refused, or would have been, and whether that still stands: an owner who has granted what was
//! missing waits until nothing of it is left.
//!
//! A would-be refusal stands while the policy that said it is in use. After an edit it stands as long as the new
//! policy would not grant what was missing either; what no grant cures stands as well. Otherwise it waits for a
//! request that is allowed, because nobody but the caller knows what it asks for now. After a day all is forgotten.

use std::sync::Arc;

use featward_policy::{Features, Policy, Request, SpiffeId};
use serde_json::{Value, json};

use super::IDLE_SECONDS;
use crate::record::shortened;
use crate::refusal::Reason;
use crate::tally::Tally;

/// More kinds of trouble than one caller has in earnest.
const KINDS: usize = 8;
/// How many missing features one of them names.
const NAMED: usize = 20;
/// How many all of them together: at 256 bytes each, 10 KB a caller.
const NAMED_IN_ALL: usize = 2 * NAMED;

/// The policy in use, to judge old troubles by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present<'p> {
    pub(crate) policy: Option<&'p Policy>,
    /// Tells it from others.
    pub(crate) mark: u64,
    /// Since when it is in use, and what the time is: Unix seconds.
    pub(crate) since: u64,
    pub(crate) now: u64,
}

/// The caller that a trouble is judged for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'c> {
    pub(super) identity: Option<&'c SpiffeId>,
    /// When it was last allowed something, and under which policy; 0 for never.
    pub(super) allowed: u64,
    pub(super) allowed_by: u64,
}

/// Whether a would-be refusal still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is over, or was a refusal and no would-be one.
    Over,
    /// The policy was edited, and the caller has not been allowed anything since.
    Open,
    /// The policy in use would refuse it.
    Stands,
}

/// What one request adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused<'a> {
    pub(super) tally: Tally,
    pub(super) reason: &'static str,
    pub(super) feature_set: &'a Arc<str>,
    pub(super) policy: u64,
    pub(super) time: u64,
}

/// The newest of each reason and feature set, so that a probe of an unknown route hides no missing grant.
#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<Trouble>);

#[derive(Debug)]
struct Trouble {
    tally: Tally,
    reason: &'static str,
    feature_set: Arc<str>,
    /// Newest first, each with when it was last asked for.
    missing: Vec<(String, u64)>,
    policy: u64,
    time: u64,
}

impl Troubles {
    /// Note a request. Of the same again within a second only new names are added: in observe that is every request.
    pub(super) fn note<'a>(&mut self, refused: Refused<'_>, missing: impl Iterator<Item = &'a str>) {
        let same = |old: &Trouble| old.reason == refused.reason && old.feature_set == *refused.feature_set;
        let before = self.0.iter().position(same);
        let known = |old: &Trouble| {
            old.time == refused.time && old.policy == refused.policy && old.tally == refused.tally
        };
        if let Some(old) = before.map(|place| &mut self.0[place]).filter(|old| known(old)) {
            old.add(missing);
            return self.trim();
        }
        let before = before.map(|place| self.0.remove(place).missing);
        if self.0.len() >= KINDS {
            self.0.remove(self.least());
        }
        self.0.push(Trouble {
            tally: refused.tally,
            reason: refused.reason,
            feature_set: Arc::clone(refused.feature_set),
            missing: joined(missing, before.unwrap_or_default(), refused.time),
            policy: refused.policy,
            time: refused.time,
        });
        self.trim();
    }

    fn trim(&mut self) {
        let mut room = NAMED_IN_ALL;
        for trouble in self.0.iter_mut().rev() {
            trouble.missing.truncate(room.min(NAMED));
            room -= trouble.missing.len();
        }
    }

    /// The one to forget first: the oldest, but a would-be refusal last.
    fn least(&self) -> usize {
        let refused = self.0.iter().position(|old| !old.tally.would_refuse());
        refused.unwrap_or(0)
    }

    /// All of them, newest first, and what the worst would-be refusal comes to.
    pub(super) fn report(&self, whose: Whose<'_>, present: &Present<'_>) -> (Vec<Value>, Standing) {
        let judged = self.0.iter().rev().map(|trouble| {
            let still = trouble.still_missing(whose.identity, present);
            let standing = trouble.standing(whose, present, !still.is_empty());
            (trouble.report(&still, standing), standing)
        });
        let (rows, standings): (Vec<Value>, Vec<Standing>) = judged.unzip();
        (rows, standings.into_iter().max().unwrap_or(Standing::Over))
    }
}

/// Names asked for now, then those asked for within the day before.
fn joined<'a>(
    asked: impl Iterator<Item = &'a str>,
    before: Vec<(String, u64)>,
    now: u64,
) -> Vec<(String, u64)> {
    let mut names: Vec<(String, u64)> = asked
        .take(NAMED)
        .map(|name| (shortened(name).into_owned(), now))
        .collect();
    for (name, time) in before {
        let lately = now.saturating_sub(time) < IDLE_SECONDS;
        if lately && names.len() < NAMED && !names.iter().any(|(other, _)| *other == name) {
            names.push((name, time));
        }
    }
    names
}

impl Trouble {
    fn add<'a>(&mut self, missing: impl Iterator<Item = &'a str>) {
        for name in missing.take(NAMED) {
            let name = shortened(name);
            if self.missing.len() < NAMED && !self.missing.iter().any(|(other, _)| *other == name) {
                self.missing.push((name.into_owned(), self.time));
            }
        }
    }

    fn standing(&self, whose: Whose<'_>, present: &Present<'_>, misses: bool) -> Standing {
        let forgotten = present.now.saturating_sub(self.time) >= IDLE_SECONDS;
        if forgotten || !self.tally.would_refuse() {
            return Standing::Over;
        }
        let incurable = self.tally == Tally::UnmanagedRoute || self.reason == Reason::UnsignedToken.as_str();
        if incurable || self.policy == present.mark || (whose.identity.is_some() && misses) {
            return Standing::Stands;
        }
        let allowed = whose.allowed >= self.time && whose.allowed_by != self.policy;
        if allowed && whose.allowed > 0 {
            Standing::Over
        } else {
            Standing::Open
        }
    }

    /// The names that the policy in use does not grant either. Whoever has no identity is granted nothing.
    fn still_missing(&self, identity: Option<&SpiffeId>, present: &Present<'_>) -> Vec<&str> {
        let names: Vec<&str> = self.missing.iter().map(|(name, _)| &**name).collect();
        let (Some(policy), Some(_), false) = (present.policy, identity, names.is_empty()) else {
            return names;
        };
        let decision = policy.decide(&Request {
            identity,
            features: Features::Named(&names),
            rows: 1,
            now: i64::try_from(present.now).unwrap_or(i64::MAX),
        });
        let places = decision.missing.iter().chain(&decision.stripped);
        places.map(|place| names[*place as usize]).collect()
    }

    fn report(&self, missing: &[&str], standing: Standing) -> Value {
        json!({
            "decision": self.tally.as_str(),
            "reason": self.reason,
            "feature_set": &*self.feature_set,
            "missing": missing,
            "time": self.time,
            "stands": standing == Standing::Stands,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn present(mark: u64) -> Present<'static> {
        Present {
            policy: None,
            mark,
            since: NOW,
            now: NOW + 60,
        }
    }

    fn whose(allowed: u64, allowed_by: u64) -> Whose<'static> {
        Whose {
            identity: None,
            allowed,
            allowed_by,
        }
    }

    fn note(troubles: &mut Troubles, tally: Tally, reason: &'static str, time: u64, missing: &[&str]) {
        let feature_set = "ml/s".into();
        let refused = Refused {
            tally,
            reason,
            feature_set: &feature_set,
            policy: 1,
            time,
        };
        troubles.note(refused, missing.iter().copied());
    }

    #[test]
    fn a_would_be_refusal_is_over_once_another_policy_has_allowed_the_caller() {
        let mut troubles = Troubles::default();
        note(&mut troubles, Tally::WouldDeny, "not-granted", NOW, &["v:x"]);
        let standing = |whose, mark| troubles.report(whose, &present(mark)).1;
        assert_eq!(standing(whose(NOW + 9, 1), 1), Standing::Stands);
        assert_eq!(standing(whose(NOW - 9, 1), 2), Standing::Open, "not seen since");
        assert_eq!(
            standing(whose(NOW + 9, 1), 2),
            Standing::Open,
            "allowed by the policy that refuses"
        );
        assert_eq!(standing(whose(NOW + 9, 2), 2), Standing::Over);
        assert_eq!(
            standing(whose(NOW + 9, 2), 3),
            Standing::Over,
            "and after later edits"
        );
        assert_eq!(
            standing(whose(NOW + 9, 2), 1),
            Standing::Stands,
            "the first policy is back"
        );
    }

    #[test]
    fn what_no_grant_cures_stands_for_a_day() {
        for (tally, reason) in [
            (Tally::UnmanagedRoute, "unknown-route"),
            (Tally::WouldDeny, "unsigned-token"),
        ] {
            let mut troubles = Troubles::default();
            note(&mut troubles, tally, reason, NOW, &[]);
            let mut later = present(2);
            assert_eq!(
                troubles.report(whose(NOW + 9, 2), &later).1,
                Standing::Stands,
                "{reason}"
            );
            later.now += IDLE_SECONDS;
            assert_eq!(
                troubles.report(whose(NOW + 9, 2), &later).1,
                Standing::Over,
                "{reason}"
            );
        }
    }

    #[test]
    fn one_reason_hides_no_other_and_all_of_them_stay_bounded() {
        let mut troubles = Troubles::default();
        note(&mut troubles, Tally::WouldDeny, "not-granted", NOW, &["v:x"]);
        note(
            &mut troubles,
            Tally::UnmanagedRoute,
            "unknown-route",
            NOW + 1,
            &[],
        );
        note(
            &mut troubles,
            Tally::WouldDeny,
            "not-granted",
            NOW + 2,
            &["v:y", "v:x"],
        );
        let (rows, _) = troubles.report(whose(0, 0), &present(1));
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&rows[0]["reason"], &rows[0]["missing"]),
            (&json!("not-granted"), &json!(["v:y", "v:x"]))
        );
        for reason in Reason::ALL.iter().skip(1).take(KINDS + 3) {
            let many: Vec<String> = (0..30)
                .map(|number| format!("{}:{number}", reason.as_str()))
                .collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            note(&mut troubles, Tally::BadRequest, reason.as_str(), NOW + 3, &many);
        }
        let (rows, standing) = troubles.report(whose(0, 0), &present(1));
        assert_eq!((rows.len(), standing), (KINDS, Standing::Stands));
        let named: usize = rows
            .iter()
            .map(|row| row["missing"].as_array().unwrap().len())
            .sum();
        assert_eq!(named, NAMED_IN_ALL);
    }
}
