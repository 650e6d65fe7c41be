//! A refusal on its way to the caller: which row of the table, and what this caller may be told of it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use featward_policy::FeatureSet;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response};
use serde::Serialize;

use super::answer::Answer;
use crate::fault::Fault;
use crate::refusal::Reason;
use crate::request_id::RequestId;
use crate::upstream::Failure;
use crate::visitor::Visitor;

/// A request that is not answered, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    detail: Cow<'static, str>,
    wait: Option<Duration>,
    /// Boxed: refusals are rare, and results carry room for one.
    about: Option<Box<About>>,
}

/// What an authenticated peer is told besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) feature_set: String,
    pub(crate) owner: String,
    pub(crate) rule: Option<String>,
    /// As the peer itself named them.
    pub(crate) missing: Vec<String>,
    /// What it asked for, for the command that prints a binding.
    pub(crate) asked: Asked,
}

/// How the request named features.
#[derive(Clone, Debug, Default)]
pub(crate) enum Asked {
    #[default]
    Nothing,
    Features(Vec<String>),
    Service(String),
}

/// RFC 9457, and members of ours.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
    request_id: String,
    #[serde(flatten)]
    about: Option<Told<'a>>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    feature_set: &'a str,
    owner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

/// Feast's SDK sleeps the whole Retry-After in its caller's thread, so longer waits are not announced.
const LONGEST_WAIT: u64 = 5;

impl Refusal {
    pub(crate) fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            reason,
            detail: detail.into(),
            wait: None,
            about: None,
        }
    }

    /// A refusal that needs no more words than the table has.
    pub(crate) fn plain(reason: Reason) -> Refusal {
        Refusal::new(reason, reason.row().title)
    }

    /// Refused for now.
    pub(crate) fn wait(mut self, wait: Duration) -> Refusal {
        self.wait = Some(wait);
        self
    }

    /// With what an authenticated peer is told.
    pub(crate) fn about(mut self, about: About) -> Refusal {
        self.about = Some(Box::new(about));
        self
    }

    /// The same, if nothing was said before.
    pub(crate) fn or_about(self, about: impl FnOnce() -> Option<About>) -> Refusal {
        match (&self.about, about) {
            (None, about) => Refusal {
                about: about().map(Box::new),
                ..self
            },
            (Some(_), _) => self,
        }
    }

    /// What was wrong, in one sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The command that prints the binding to ask for, where a binding is what is wanting. It asks for no more than
    /// is missing, because what is granted already has a binding of its own.
    fn command(&self, identity: &str, about: &About) -> Option<String> {
        let wanting = [Reason::NotGranted, Reason::BindingExpired, Reason::NothingLeft];
        if !wanting.contains(&self.reason) {
            return None;
        }
        let (flag, names) = match &about.asked {
            Asked::Nothing => return None,
            Asked::Features(_) if !about.missing.is_empty() => ("--features", about.missing.join(",")),
            Asked::Features(names) => ("--features", names.join(",")),
            Asked::Service(name) => ("--service", name.clone()),
        };
        Some(format!(
            "featward request --identity {} --feature-set {} {flag} {}",
            quoted(identity),
            quoted(&about.feature_set),
            quoted(&names)
        ))
    }

    /// The answer. Whoever has proven no identity learns nothing about feature sets.
    pub(crate) fn answer(&self, visitor: &Visitor, id: RequestId, headers: &HeaderMap) -> Response<Answer> {
        let row = self.reason.row();
        let told = visitor
            .identity()
            .zip(self.about.as_deref())
            .map(|(identity, about)| Told {
                feature_set: &about.feature_set,
                owner: &about.owner,
                rule: about.rule.as_deref(),
                missing: &about.missing,
                request: self.command(identity.as_str(), about),
                trace_id: trace_id(headers),
            });
        let problem = Problem {
            r#type: self.reason.problem_type(),
            title: row.title,
            status: row.status.as_u16(),
            detail: if visitor.identity().is_some() {
                &self.detail
            } else {
                row.remedy
            },
            reason: row.name,
            request_id: id.to_string(),
            about: told,
        };
        problem_answer(row.status, &problem, self.wait)
    }
}

/// A problem as an answer.
pub(crate) fn problem_answer(
    status: http::StatusCode,
    problem: &impl Serialize,
    wait: Option<Duration>,
) -> Response<Answer> {
    // Texts and numbers only: this cannot fail.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut answer = Response::new(Answer::whole(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let wait = wait
        .map(|wait| wait.as_secs_f64().ceil() as u64)
        .filter(|wait| *wait <= LONGEST_WAIT);
    if let Some(wait) = wait {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(wait.max(1)));
    }
    answer
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::new(fault.reason, fault.detail)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::new(failure.reason, failure.detail)
    }
}

impl About {
    /// What can be said of a set to any peer of its environment.
    pub(crate) fn set(set: &FeatureSet) -> About {
        About {
            feature_set: set.full_name.to_string(),
            owner: owner(set),
            ..About::default()
        }
    }
}

fn owner(set: &FeatureSet) -> String {
    match (&*set.owner_team, &*set.owner_contact) {
        (team, "") => team.to_owned(),
        ("", contact) => contact.to_owned(),
        (team, contact) => format!("{team} <{contact}>"),
    }
}

/// A word for a shell. Names come from the request, and somebody will paste them.
fn quoted(word: &str) -> Cow<'_, str> {
    let safe = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b',' | b'@')
    };
    if !word.is_empty() && !word.starts_with('-') && word.bytes().all(safe) {
        return Cow::Borrowed(word);
    }
    let printable: String = word
        .chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect();
    Cow::Owned(format!("'{}'", printable.replace('\'', r"'\''")))
}

/// The trace id of a `traceparent` (W3C Trace Context section 3.2).
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_command() {
        assert_eq!(quoted("view:feature"), "view:feature");
        assert_eq!(quoted("a;rm -rf ~"), "'a;rm -rf ~'");
        assert_eq!(quoted("a'$(x)\n"), r"'a'\''$(x)?'");
        assert_eq!(quoted("--flag"), "'--flag'");
    }

    #[test]
    fn the_command_asks_for_what_is_missing_and_only_where_a_binding_would_help() {
        let asked = |reason, asked, missing: &[&str]| {
            let about = About {
                feature_set: "pricing/stats".to_owned(),
                missing: missing.iter().map(|name| (*name).to_owned()).collect(),
                asked,
                ..About::default()
            };
            Refusal::plain(reason).command("spiffe://td/bu/x/svc/y", &about)
        };
        let features = || Asked::Features(vec!["v:a".to_owned(), "v:b".to_owned()]);
        let start = "featward request --identity spiffe://td/bu/x/svc/y --feature-set pricing/stats";
        assert_eq!(
            asked(Reason::NotGranted, features(), &["v:b"]),
            Some(format!("{start} --features v:b"))
        );
        assert_eq!(
            asked(Reason::BindingExpired, Asked::Service("s".to_owned()), &[]),
            Some(format!("{start} --service s"))
        );
        assert_eq!(asked(Reason::NotGranted, Asked::Nothing, &[]), None);
        assert_eq!(asked(Reason::MalformedJson, features(), &[]), None);
        assert_eq!(asked(Reason::UpstreamUnreachable, features(), &[]), None);
    }

    #[test]
    fn only_short_waits_are_announced() {
        let header = |millis| {
            let answer = problem_answer(
                http::StatusCode::TOO_MANY_REQUESTS,
                &(),
                Some(Duration::from_millis(millis)),
            );
            answer
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(header(1).as_deref(), Some("1"));
        assert_eq!(header(4_100).as_deref(), Some("5"));
        assert_eq!(header(5_100), None);
    }

    #[test]
    fn the_trace_id_is_taken_from_a_well_formed_parent_only() {
        let mut headers = HeaderMap::new();
        assert_eq!(trace_id(&headers), None);
        headers.insert(
            "traceparent",
            HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        );
        assert_eq!(trace_id(&headers), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        headers.insert("traceparent", HeaderValue::from_static("00-xyz-1-01"));
        assert_eq!(trace_id(&headers), None);
    }
}
