//! The chain of stages for one request, from its head to its answer: parse → select → decide → limit → forward →
//! filter → record → answer. (The record holds what the feature server answered, so it is written after it; what
//! counts is that it is written before the caller gets the first byte.)

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;

use super::account::Account;
use super::answer::Answer;
use super::body::{self, Unread};
use super::forward::Forward;
use super::framing;
use super::judge::{self, Bench};
use super::refuse::{About, Refusal};
use crate::active::Active;
use crate::adapter::Route;
use crate::clock;
use crate::config::{Limits, seconds};
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
    let limits = &state.config.limits;
    let active = in_use(state, account)?;
    let told = |refusal: Refusal, active: &Active| refusal.or_about(|| about(visitor, active));
    if judge::route(head).is_none() {
        account.off_route(head);
    }
    let admitted = bench(state, visitor, &active).admit(head);
    account.on_route(named(admitted.map_err(|refusal| told(refusal, &active))?));
    let body = read(body, visitor, limits).await;
    let body = body.map_err(|refusal| told(refusal, &active))?;
    // A body may take its time to come; what was taken away meanwhile is gone.
    let active = in_use(state, account)?;
    let passed = under(state, visitor, &active, account, head, &body).await;
    passed.map_err(|refusal| told(refusal, &active))
}

/// The policy as of now, which an edit replaces at any time.
fn in_use(state: &State, account: &mut Account) -> Result<Arc<Active>, Refusal> {
    let Some(active) = state.active.load_full() else {
        return Err(Refusal::plain(Reason::NoPolicy));
    };
    if active.policy.feature_sets().is_empty() {
        return Err(Refusal::new(
            Reason::NoPolicy,
            "the policy names no feature set that this sidecar serves",
        ));
    }
    account.under(&active);
    Ok(active)
}

fn about(visitor: &Visitor, active: &Active) -> Option<About> {
    let first = active.policy.feature_sets().first();
    visitor.peer.as_ref().and(first).map(About::set)
}

fn named(route: Option<Route>) -> &'static str {
    route.map_or("unmanaged", Route::as_str)
}

fn bench<'p>(state: &'p State, visitor: &'p Visitor, active: &'p Active) -> Bench<'p> {
    Bench {
        active,
        limiter: &state.limiter,
        visitor,
        limits: &state.config.limits,
        now: clock::unix_seconds(clock::now()),
    }
}

async fn under(
    state: &Arc<State>,
    visitor: &Visitor,
    active: &Active,
    account: &mut Account,
    head: &Parts,
    body: &Bytes,
) -> Result<Response<Answer>, Refusal> {
    let bench = bench(state, visitor, active);
    let route = bench.admit(head)?;
    account.on_route(named(route));
    let begun = Instant::now();
    let judged = match route {
        Some(route) => bench.judge(route, head, body, account),
        None => bench.unmanaged(head, account),
    };
    state.metrics.decided(begun.elapsed());
    Forward {
        state,
        active,
        head,
        account,
    }
    .run(body, judged?)
    .await
}

/// Bodies that do not come cost their sender nothing and hold places that are for all callers, so that one caller
/// gets only a part of these.
async fn read(body: &mut Incoming, visitor: &Visitor, limits: &Limits) -> Result<Bytes, Refusal> {
    let share = limits.connections.div_ceil(CALLERS_SHARE);
    let Some(_awaited) = visitor.caller.await_body(share) else {
        return Err(Refusal::plain(Reason::Overloaded));
    };
    body::read(body, limits.body_bytes, seconds(limits.body_seconds))
        .await
        .map_err(unread)
}

/// A quarter: far more than an honest caller ever has on its way.
const CALLERS_SHARE: usize = 4;

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
