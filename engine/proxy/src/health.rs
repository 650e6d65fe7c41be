//! Probes and metrics over plain HTTP: GET `/startedz`, `/readyz`, `/livez`, `/metrics`, and nothing else. The port
//! shows no callers and takes no orders, because on Kubernetes every pod can reach it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use parking_lot::Mutex;

use crate::active::Active;
use crate::refusal::Reason;
use crate::serve::Answer;
use crate::state::State;

/// Answers probes. Exists only once all listeners are up, which is what `/startedz` says; with `hold` it says as well
/// that there is an identity.
#[derive(Debug)]
pub(crate) struct Health {
    state: Arc<State>,
    /// When the feature servers were last tried, and whether all accepted.
    tried: Mutex<Option<(Instant, bool)>>,
}

/// Whoever probes in a loop does not make us dial in a loop.
const TRY_EVERY: Duration = Duration::from_secs(1);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

impl Health {
    pub(crate) fn new(state: Arc<State>) -> Health {
        Health {
            state,
            tried: Mutex::new(None),
        }
    }

    /// Answer one probe.
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Response<Answer> {
        if request.method() != Method::GET {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return answer;
        }
        match request.uri().path() {
            "/startedz" => match self.held() {
                None => text(StatusCode::OK, "started\n"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" => match self.unready().await {
                None => text(StatusCode::OK, "ready\n"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            "/metrics" => {
                let mut answer = text(StatusCode::OK, self.state.render_metrics());
                answer.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
                answer
            }
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// What the app beside us is held back for. Never the feature server: that is the app, and would wait for us.
    fn held(&self) -> Option<&'static str> {
        let hold = self.state.config.hold;
        hold.then(|| self.nameless()).flatten()
    }

    /// Why we are nobody at the moment, if so.
    fn nameless(&self) -> Option<&'static str> {
        match self.state.credentials.refused_identity()? {
            Reason::IdentityExpired => Some("the identity has expired\n"),
            _ => Some("no identity yet\n"),
        }
    }

    /// Why no requests should come, if so. A client is ready when its listeners are up.
    async fn unready(&self) -> Option<&'static str> {
        if self.state.drain.has_begun() {
            return Some("draining\n");
        }
        self.state.config.serve.as_ref()?;
        if let Some(why) = self.nameless() {
            return Some(why);
        }
        let Some(active) = self.state.active.load_full() else {
            return Some("no policy yet\n");
        };
        if active.policy.feature_sets().is_empty() {
            return Some("the policy names no feature set to serve\n");
        }
        (!self.accept(&active).await).then_some("the feature server does not accept connections\n")
    }

    async fn accept(&self, active: &Active) -> bool {
        if let Some((when, accepted)) = *self.tried.lock()
            && when.elapsed() < TRY_EVERY
        {
            return accepted;
        }
        let mut accepted = active.first_upstream().is_some();
        for upstream in active.all_upstreams() {
            accepted &= upstream.accepts().await;
        }
        *self.tried.lock() = Some((Instant::now(), accepted));
        accepted
    }
}

fn text(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Answer> {
    let mut answer = Response::new(Answer::whole(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer
}
