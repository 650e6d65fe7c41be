//! The stages forward, filter and answer: a judged request goes to the feature server, and of its answer goes back
//! what was granted.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use featward_policy::{FeatureIndex, Mode, UpstreamAuth};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;

use super::account::Account;
use super::answer::Answer;
use super::judge::{Form, Narrow, Pass};
use super::refuse::Refusal;
use crate::active::Active;
use crate::adapter::Route;
use crate::adapter::feast_http::{Differing, Kept};
use crate::headers;
use crate::refusal::Reason;
use crate::state::State;
use crate::upstream::{Flowing, Sent, Upstream};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const STRIPPED: HeaderName = HeaderName::from_static("featward-stripped");

/// One request's way to the feature server and back.
pub(crate) struct Forward<'r> {
    pub(crate) state: &'r State,
    pub(crate) active: &'r Active,
    pub(crate) head: &'r Parts,
    pub(crate) account: &'r mut Account,
}

impl Forward<'_> {
    /// Send the request on and bring its answer back.
    pub(crate) async fn run(self, body: &Bytes, pass: Pass<'_>) -> Result<Response<Answer>, Refusal> {
        let Pass {
            upstream,
            authorization,
            form,
        } = pass;
        let token = self.authorization(authorization);
        match form {
            Form::Verbatim { route } => self.verbatim(route, body, upstream, &token).await,
            Form::Rewritten { route, body, narrow } => {
                let head = self.head;
                let (body, host) = (Bytes::from(body), &upstream.authority);
                let make = || rewritten_request(route, head, &body, host, &token);
                self.rewritten(route, make, &upstream, narrow).await
            }
        }
    }

    /// The client's own bytes there, and the server's own back.
    async fn verbatim(
        mut self,
        route: Option<Route>,
        body: &Bytes,
        upstream: Arc<Upstream>,
        token: &[HeaderValue],
    ) -> Result<Response<Answer>, Refusal> {
        let head = self.head;
        let make = || verbatim_request(head, body, token);
        let repeatable =
            matches!(head.method, Method::GET | Method::HEAD) || route.is_some_and(Route::only_reads);
        let flowing = self.send(&upstream, make, repeatable).await?;
        let (answer_head, body) = upstream.stream(flowing).into_parts();
        let mut answer = Response::new(Answer::Streamed(Box::new(body)));
        *answer.status_mut() = answer_head.status;
        *answer.headers_mut() = headers::passed_on(&answer_head.headers);
        if head.method == Method::HEAD
            && let Some(length) = answer_head.headers.get(CONTENT_LENGTH)
        {
            answer.headers_mut().insert(CONTENT_LENGTH, length.clone());
        }
        Ok(answer)
    }

    async fn rewritten(
        mut self,
        route: Route,
        make: impl Fn() -> Sent,
        upstream: &Arc<Upstream>,
        narrow: Option<Box<Narrow<'_>>>,
    ) -> Result<Response<Answer>, Refusal> {
        let flowing = self.send(upstream, make, route.only_reads()).await?;
        check(&flowing)?;
        match narrow {
            // In one piece it goes out with its head in one write, and a broken one is an error and not a cut.
            None if flowing.is_small() => {
                let (_, whole) = upstream.collect(flowing).await?;
                Ok(json(Answer::whole(whole)))
            }
            None => Ok(json(Answer::Streamed(Box::new(
                upstream.stream(flowing).into_body(),
            )))),
            Some(narrow) => {
                let (_, whole) = upstream.collect(flowing).await?;
                self.narrowed(whole, &narrow)
            }
        }
    }

    /// The answer without what was not granted, or, where that is only observed, without what the manifest does not
    /// count to the service. Feast adds columns that nobody asked for, so it is filtered even
    /// where all was granted.
    fn narrowed(&mut self, whole: Bytes, narrow: &Narrow<'_>) -> Result<Response<Answer>, Refusal> {
        let policy = &self.active.policy;
        let name = |feature: FeatureIndex| &*policy.feature(feature).name;
        let mut kept = match narrow.read.service() {
            Some(service) if narrow.decision.mode != Mode::Enforce => {
                let all = policy.expand(service).unwrap_or_default();
                Kept::new(&narrow.read, all.iter().copied().map(name))
            }
            _ => {
                let granted = narrow.decision.granted.iter();
                Kept::new(&narrow.read, granted.map(|grant| name(grant.feature)))
            }
        };
        kept.leave_out(narrow.stripped.iter().map(String::as_str));
        let narrowed = kept.filter(&whole, |column| policy.entity_column(column).is_some())?;
        self.differing(&narrowed.differing, narrow);
        let filtered = match narrowed.answer {
            Cow::Borrowed(_) => None,
            Cow::Owned(narrowed) => Some(Bytes::from(narrowed)),
        };
        let mut answer = json(Answer::whole(filtered.unwrap_or(whole)));
        if narrow.decision.mode == Mode::Enforce && !narrow.stripped.is_empty() {
            self.state
                .metrics
                .stripped(self.active.label(Some(&narrow.decision)), narrow.stripped.len());
            answer.headers_mut().insert(STRIPPED, stripped(narrow));
        }
        Ok(answer)
    }

    /// Nobody misses what the filter cuts out, so that the owner has to be told.
    fn differing(&mut self, differing: &Differing<'_>, narrow: &Narrow<'_>) {
        if differing.is_empty() {
            return;
        }
        let label = self.active.label(Some(&narrow.decision));
        self.account.differing(differing);
        self.state.metrics.differing(label, differing);
        self.state.drifts.note(label, self.active.mark, differing);
    }

    async fn send(
        &mut self,
        upstream: &Upstream,
        make: impl Fn() -> Sent,
        repeatable: bool,
    ) -> Result<Flowing, Refusal> {
        let begun = Instant::now();
        let sent = upstream.send(make, repeatable).await;
        self.state.metrics.upstream(begun.elapsed());
        let flowing = sent?;
        self.account.upstream(flowing.answer.status());
        Ok(flowing)
    }

    /// The `Authorization` headers that go on.
    fn authorization(&self, word: UpstreamAuth) -> Vec<HeaderValue> {
        match word {
            UpstreamAuth::None => Vec::new(),
            UpstreamAuth::Passthrough => headers::authorizations(&self.head.headers).cloned().collect(),
            UpstreamAuth::Token => self
                .state
                .token
                .header(self.account.started)
                .into_iter()
                .collect(),
        }
    }
}

fn verbatim_request(head: &Parts, body: &Bytes, token: &[HeaderValue]) -> Sent {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = origin_form(&head.uri);
    *request.headers_mut() = headers::passed_on(&head.headers);
    let host = head.headers.get(HOST).cloned();
    let named = || {
        head.uri
            .authority()
            .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
    };
    authorize(request.headers_mut(), host.or_else(named), token);
    request
}

fn rewritten_request(
    route: Route,
    head: &Parts,
    body: &Bytes,
    host: &HeaderValue,
    token: &[HeaderValue],
) -> Sent {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = route.method();
    *request.uri_mut() = Uri::from_static(route.path());
    let to = request.headers_mut();
    *to = headers::rewritten(&head.headers);
    to.entry(ACCEPT).or_insert(JSON);
    to.insert(CONTENT_TYPE, JSON);
    authorize(to, Some(host.clone()), token);
    request
}

fn authorize(headers: &mut HeaderMap, host: Option<HeaderValue>, token: &[HeaderValue]) {
    headers.remove(AUTHORIZATION);
    for value in token {
        headers.append(AUTHORIZATION, value.clone());
    }
    if let Some(host) = host {
        headers.insert(HOST, host);
    }
}

/// The path and query alone, as HTTP/1.1 sends it to a server.
fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned();
    Uri::from(path.unwrap_or(PathAndQuery::from_static("/")))
}

/// An answer that can be read as one of the adapter's.
fn check(flowing: &Flowing) -> Result<(), Refusal> {
    let status = flowing.answer.status();
    if status != StatusCode::OK {
        // What the caller sends again as it is gets the same again, but for these two.
        let passing = matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
        let reason = if status.is_client_error() && !passing {
            Reason::UpstreamRefused
        } else {
            Reason::UpstreamError
        };
        return Err(Refusal::new(
            reason,
            format!("the feature server answered {}", status.as_u16()),
        ));
    }
    match flowing.answer.headers().get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Refusal::new(
            Reason::UpstreamAnswer,
            "the feature server encoded its answer, which nobody asked for",
        )),
        _ => Ok(()),
    }
}

fn json(body: Answer) -> Response<Answer> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// What was left out: by name where the caller had named it, else only how much.
fn stripped(narrow: &Narrow<'_>) -> HeaderValue {
    let count = || HeaderValue::from(narrow.stripped.len());
    if narrow.read.service().is_some() {
        return count();
    }
    let plain = |letter: char| {
        if letter.is_ascii_graphic() && letter != ',' {
            letter
        } else {
            '?'
        }
    };
    let names: Vec<String> = narrow
        .stripped
        .iter()
        .map(|name| name.chars().map(plain).collect())
        .collect();
    HeaderValue::from_str(&names.join(",")).unwrap_or_else(|_| count())
}
