//! The client side: local apps speak plain HTTP to a loopback port or a UNIX socket, and reach one feature set over
//! mTLS. The request passes through as it is; judging it is the server's business. What fails on this side is said
//! in words of its own, with a header that tells it from the server's refusals.

mod remote;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::adapter::Route;
use crate::config::seconds;
use crate::headers::{self, REFUSED_BY};
use crate::refusal::Reason;
use crate::serve::{Answer, Unread, check_framing, discard, problem_answer, read_body};
use crate::state::State;
use crate::upstream::{Sent, Streamed};
use remote::{Remote, Unreached};
pub(crate) use standing::Standing;

/// One feature set that local apps call.
#[derive(Debug)]
pub(crate) struct Outbound {
    state: Arc<State>,
    feature_set: Arc<str>,
    /// Where the policy says it is served, found once for each policy.
    found: Mutex<Found>,
    standing: Arc<Standing>,
    /// Counts changes of our identity and trust.
    epoch: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
struct Found {
    digest: String,
    remote: Option<Arc<Remote>>,
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
    feature_set: &'a str,
    request_id: String,
}

/// Longer than the server waits for its own upstream, so that its word arrives before we give up.
const PATIENCE: Duration = Duration::from_secs(2);

impl Outbound {
    /// An outbound whose local apps call this address.
    pub(crate) fn new(state: &Arc<State>, feature_set: &str, listen: &str) -> Outbound {
        let feature_set: Arc<str> = feature_set.into();
        let standing = Arc::new(Standing::new(Arc::clone(&feature_set), listen));
        state.outbound.lock().push(Arc::clone(&standing));
        Outbound {
            state: Arc::clone(state),
            feature_set,
            standing,
            found: Mutex::default(),
            epoch: state.credentials.changed(),
        }
    }

    /// Answer one request of a local app.
    pub(crate) async fn answer(self: Arc<Outbound>, request: Request<Incoming>) -> Response<Answer> {
        let (head, mut body) = request.into_parts();
        let framed = check_framing(&head);
        let ended = match framed {
            Ok(_) => self.pass(&head, &mut body).await,
            Err(detail) => Err(Unreached {
                reason: Reason::BadFraming,
                detail: detail.into(),
            }),
        };
        discard(body);
        match &ended {
            Ok(_) => self.standing.answered(),
            Err(unreached) => self.standing.failed(unreached),
        }
        let result = ended
            .as_ref()
            .map_or_else(|refused| refused.reason.as_str(), |_| "answered");
        self.state.metrics.outbound(&self.feature_set, result);
        let mut answer = ended.unwrap_or_else(|refused| self.refuse(&refused));
        if head.version != Version::HTTP_2
            && (framed.map_or(true, |framed| framed.last) || self.state.drain.has_begun())
        {
            answer
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn pass(&self, head: &Parts, body: &mut Incoming) -> Result<Response<Answer>, Unreached> {
        let remote = self.remote()?;
        let limits = &self.state.config.limits;
        let body = read_body(body, limits.body_bytes, seconds(limits.body_seconds))
            .await
            .map_err(unread)?;
        remote.refresh(*self.epoch.borrow());
        let time = seconds(limits.upstream_seconds) + seconds(limits.upstream_connect_seconds) + PATIENCE;
        let make = || passed_on(head, &body, &remote.authority);
        let sending = timeout(time, remote.pool.send(&*remote, make, is_repeatable(head))).await;
        let (answer, link) = sending
            .map_err(|_| remote.late())?
            .map_err(|error| remote.failed(error))?;
        let (far, flowing) = answer.into_parts();
        let body = Streamed::new(flowing, link, Arc::clone(&remote.pool), limits.answer_bytes, time);
        let mut answer = Response::new(Answer::Streamed(Box::new(body)));
        *answer.status_mut() = far.status;
        *answer.headers_mut() = headers::answered(&far.headers);
        if head.method == Method::HEAD
            && let Some(length) = far.headers.get(CONTENT_LENGTH)
        {
            answer.headers_mut().insert(CONTENT_LENGTH, length.clone());
        }
        Ok(answer)
    }

    /// Where the set is served. A policy edit that does not move it keeps its connections.
    fn remote(&self) -> Result<Arc<Remote>, Unreached> {
        let active = self.state.active.load();
        let Some(active) = &*active else {
            return Err(Unreached {
                reason: Reason::NoPolicy,
                detail: Reason::NoPolicy.row().title.into(),
            });
        };
        let mut found = self.found.lock();
        if found.digest != active.policy.digest() {
            found.remote = self.look_up(&active.policy, found.remote.take());
            found.digest = active.policy.digest().to_owned();
        }
        found.remote.clone().ok_or_else(|| {
            let detail = format!(
                "the policy names no server of the feature set {:?}, or several",
                self.feature_set
            );
            Unreached {
                reason: Reason::UnknownFeatureSet,
                detail,
            }
        })
    }

    fn look_up(&self, policy: &featward_policy::Policy, before: Option<Arc<Remote>>) -> Option<Arc<Remote>> {
        let remote = standing::server(policy, &self.feature_set)?;
        match before {
            Some(same) if same.is(&remote.address, &remote.spiffe_id) => Some(same),
            _ => Remote::new(
                &remote.address,
                &remote.spiffe_id,
                &self.state.credentials,
                &self.state.config.limits,
            )
            .map(Arc::new),
        }
    }

    fn refuse(&self, refused: &Unreached) -> Response<Answer> {
        let row = refused.reason.row();
        let problem = Problem {
            r#type: refused.reason.problem_type(),
            title: row.title,
            status: row.status.as_u16(),
            detail: &refused.detail,
            reason: row.name,
            feature_set: &self.feature_set,
            request_id: self.state.ids.next().to_string(),
        };
        let mut answer = problem_answer(row.status, &problem, None);
        answer
            .headers_mut()
            .insert(REFUSED_BY, HeaderValue::from_static("outbound"));
        answer
    }
}

fn unread(why: Unread) -> Unreached {
    let reason = match why {
        Unread::TooLarge => Reason::BodyTooLarge,
        Unread::Late => Reason::BodyTimeout,
        Unread::Broken => Reason::BadFraming,
    };
    Unreached {
        reason,
        detail: reason.row().title.into(),
    }
}

/// Reads may be sent again after a pooled connection turned out to be closed.
fn is_repeatable(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD)
        || Route::find(&head.method, &head.uri).is_some_and(Route::only_reads)
}

fn passed_on(head: &Parts, body: &Bytes, authority: &HeaderValue) -> Sent {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = head.method.clone();
    let path = head.uri.path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    *request.headers_mut() = headers::passed_on(&head.headers);
    request.headers_mut().insert(HOST, authority.clone());
    request
}
