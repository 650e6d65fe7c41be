//! The chain of stages for one request, from its head to its answer: parse → select → decide → limit → forward →
//! filter → record → answer. (The record holds what the feature server answered, so it is written after it; what
//! counts is that it is written before the caller gets the first byte.)

use std::sync::Arc;
use std::time::Instant;

use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;

use super::account::Account;
use super::answer::Answer;
use super::body::{self, Unread};
use super::forward::Forward;
use super::framing;
use super::judge::Bench;
use super::refuse::{About, Refusal};
use crate::active::Active;
use crate::adapter::Route;
use crate::clock;
use crate::config::seconds;
use crate::refusal::Reason;
use crate::state::State;
use crate::visitor::Visitor;

/// The header that names the request, for whoever asks about it.
const REQUEST_ID: HeaderName = HeaderName::from_static("featward-request-id");

/// Answer one request.
pub(crate) async fn answer(
    state: Arc<State>,
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (head, mut body) = request.into_parts();
    let mut account = Account::open(&state, &visitor);
    let framed = framing::check(&head);
    let ended = match framed {
        Ok(_) => pass(&state, &visitor, &mut account, &head, &mut body).await,
        Err(detail) => Err(Refusal::new(Reason::BadFraming, detail)),
    };
    body::discard(body);
    let mut answer = close(&mut account, &visitor, &head, ended);
    let last = framed.map_or(true, |framed| framed.last) || visitor.is_closing();
    // HTTP/2 says it with GOAWAY instead, and knows no Connection header.
    if last && head.version != Version::HTTP_2 {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_bytes(&account.id.digits()) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// Settle the account and turn a refusal into its answer.
fn close(
    account: &mut Account,
    visitor: &Visitor,
    head: &Parts,
    ended: Result<Response<Answer>, Refusal>,
) -> Response<Answer> {
    let (answer, refusal) = match ended {
        Ok(answer) => (answer, None),
        Err(refusal) => (refusal.answer(visitor, account.id, &head.headers), Some(refusal)),
    };
    match account.close(answer.status(), refusal.as_ref()) {
        Ok(()) => answer,
        Err(unrecorded) => unrecorded.answer(visitor, account.id, &head.headers),
    }
}

async fn pass(
    state: &Arc<State>,
    visitor: &Visitor,
    account: &mut Account,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Response<Answer>, Refusal> {
    // As many requests at once as connections: HTTP/2 could otherwise hold a body for every stream of each.
    let Ok(_busy) = state.busy.try_acquire() else {
        return Err(Refusal::plain(Reason::Overloaded));
    };
    // Loaded for each request and kept to its end: an edit takes effect on the next one.
    let Some(active) = state.active.load_full() else {
        return Err(Refusal::plain(Reason::NoPolicy));
    };
    let Some(first) = active.policy.feature_sets().first() else {
        return Err(Refusal::new(
            Reason::NoPolicy,
            "the policy names no feature set that this sidecar serves",
        ));
    };
    account.under(&active);
    let passed = under(state, visitor, &active, account, head, body).await;
    passed.map_err(|refusal| refusal.or_about(|| visitor.peer.as_ref().map(|_| About::set(first))))
}

async fn under(
    state: &Arc<State>,
    visitor: &Visitor,
    active: &Active,
    account: &mut Account,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Response<Answer>, Refusal> {
    let limits = &state.config.limits;
    let now = clock::unix_seconds(clock::now());
    let bench = Bench {
        active,
        limiter: &state.limiter,
        visitor,
        limits,
        now,
    };
    let route = bench.admit(head)?;
    account.on_route(route.map_or("unmanaged", Route::as_str));
    let body = body::read(body, limits.body_bytes, seconds(limits.body_seconds))
        .await
        .map_err(unread)?;
    let begun = Instant::now();
    let judged = match route {
        Some(route) => bench.judge(route, head, &body, account),
        None => bench.unmanaged(head, account),
    };
    state.metrics.decided(begun.elapsed());
    Forward {
        state,
        active,
        head,
        account,
    }
    .run(&body, judged?)
    .await
}

fn unread(why: Unread) -> Refusal {
    match why {
        Unread::TooLarge => Refusal::plain(Reason::BodyTooLarge),
        Unread::Late => Refusal::plain(Reason::BodyTimeout),
        Unread::Broken => Refusal::new(
            Reason::BadFraming,
            "the body broke off or is not framed as its head says",
        ),
    }
}
