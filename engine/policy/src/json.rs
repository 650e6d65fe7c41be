//! The JSON forms of questions and answers, so that Python, the proxy's admin socket and tests speak of decisions
//! in one way. Indices become names here and nowhere else.

use serde::{Deserialize, Serialize};

use crate::binding::BindingIndex;
use crate::check::spiffe_error;
use crate::decide::{Decision, Features, Request};
use crate::error::PolicyError;
use crate::explain::Reader;
use crate::policy::Policy;
use crate::spiffe::SpiffeId;

/// A request as JSON: `identity` or null, `features` or `service`, `rows`, and `now` in Unix seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    identity: Option<String>,
    #[serde(default)]
    features: Option<Vec<String>>,
    #[serde(default)]
    service: Option<String>,
    rows: u64,
    now: f64,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    outcome: &'static str,
    reason: &'static str,
    rule: Option<&'a str>,
    granted: Vec<&'a str>,
    /// The binding of each granted feature, in the same order.
    granted_by: Vec<&'a str>,
    missing: Vec<&'a str>,
    stripped: Vec<&'a str>,
    feature_sets: Vec<&'a str>,
    charges: Vec<ChargeAnswer<'a>>,
    mode: &'static str,
    /// The names of the overrides that had a say.
    overrides: Vec<&'a str>,
    unidentified_allowed: bool,
    nearest: Option<&'a str>,
    expires: Option<i64>,
    digest: &'a str,
}

#[derive(Debug, Serialize)]
struct ChargeAnswer<'a> {
    binding: &'a str,
    cost: u64,
}

#[derive(Debug, Serialize)]
struct ReaderAnswer<'a> {
    kind: &'static str,
    subject: &'a str,
    binding: &'a str,
    purpose: &'a str,
    expires: i64,
}

#[derive(Debug, Serialize)]
struct GrantAnswer<'a> {
    feature: &'a str,
    feature_set: &'a str,
    binding: &'a str,
    purpose: &'a str,
    expires: i64,
}

impl Policy {
    /// Decide a request in JSON.
    pub fn decide_json(&self, question: &[u8]) -> Result<Vec<u8>, PolicyError> {
        let question: Question = serde_json::from_slice(question).map_err(request_error)?;
        let identity = question.identity.as_deref().map(parse_identity).transpose()?;
        let names: Vec<&str> = question.features.iter().flatten().map(String::as_str).collect();
        let features = match (&question.features, &question.service) {
            (Some(_), None) => Features::Named(&names),
            (None, Some(service)) => Features::Service(service),
            _ => return Err(request_error("name either features or a service")),
        };
        // A moment within a second has the expiries of its second.
        let now = question.now.floor() as i64;
        let request = Request {
            identity: identity.as_ref(),
            features,
            rows: question.rows,
            now,
        };
        let decision = self.decide(&request);
        to_json(&self.answer(&request, &decision))
    }

    /// Who may read a feature: a list of kind, subject, binding, purpose and expiry. Empty for an unknown feature.
    pub fn readers_json(&self, feature: &str, now: i64) -> Result<Vec<u8>, PolicyError> {
        let feature = self.find_feature(feature);
        let readers = feature
            .map(|feature| self.readers(feature, now))
            .unwrap_or_default();
        let answers = readers.into_iter().map(|reader| self.reader_answer(reader));
        to_json(&answers.collect::<Vec<_>>())
    }

    /// What an identity may read: a list of feature, set, binding, purpose and expiry.
    pub fn grants_json(&self, identity: &str, now: i64) -> Result<Vec<u8>, PolicyError> {
        let grants = self.grants(&parse_identity(identity)?, now);
        let answer = |(feature, binding)| {
            let feature = self.feature(feature);
            let binding = self.binding(binding);
            GrantAnswer {
                feature: &feature.name,
                feature_set: &self.feature_set(feature.set).full_name,
                binding: binding.name,
                purpose: binding.purpose,
                expires: binding.expires,
            }
        };
        to_json(&grants.into_iter().map(answer).collect::<Vec<_>>())
    }

    fn reader_answer<'a>(&'a self, reader: Reader<'a>) -> ReaderAnswer<'a> {
        let binding = self.binding(reader.binding);
        ReaderAnswer {
            kind: reader.kind.as_str(),
            subject: reader.subject,
            binding: binding.name,
            purpose: binding.purpose,
            expires: binding.expires,
        }
    }

    fn answer<'a>(&'a self, request: &Request<'a>, decision: &'a Decision) -> Answer<'a> {
        let name = |index: BindingIndex| self.binding(index).name;
        let at = |places: &[u32]| places.iter().filter_map(|p| self.name_at(request, *p)).collect();
        let granted = decision.granted.iter();
        let charges = decision.charges.iter();
        let sets = decision.feature_sets.iter();
        Answer {
            outcome: decision.outcome.as_str(),
            reason: decision.reason.as_str(),
            rule: decision.rule.map(name),
            granted: granted
                .clone()
                .map(|grant| &*self.feature(grant.feature).name)
                .collect(),
            granted_by: granted.map(|grant| name(grant.binding)).collect(),
            missing: at(&decision.missing),
            stripped: at(&decision.stripped),
            feature_sets: sets.map(|set| &*self.feature_set(*set).full_name).collect(),
            charges: charges
                .map(|charge| ChargeAnswer {
                    binding: name(charge.binding),
                    cost: charge.cost,
                })
                .collect(),
            mode: decision.mode.as_str(),
            overrides: self
                .overrides(decision, request.now)
                .map(|one| &*one.name)
                .collect(),
            unidentified_allowed: decision.unidentified_allowed,
            nearest: self.nearest(request, decision).map(name),
            expires: decision.expires,
            digest: self.digest(),
        }
    }
}

fn parse_identity(text: &str) -> Result<SpiffeId, PolicyError> {
    SpiffeId::parse(text).map_err(|error| spiffe_error("the request".to_owned(), text, error))
}

fn request_error(error: impl ToString) -> PolicyError {
    PolicyError::Request(error.to_string())
}

fn to_json<T: Serialize>(answer: &T) -> Result<Vec<u8>, PolicyError> {
    serde_json::to_vec(answer).map_err(request_error)
}
