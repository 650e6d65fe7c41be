//! Drives one accepted connection to its end: HTTP/1.1 or HTTP/2 by what was agreed on, deadlines for heads and
//! silence, and the orders to drain or to end that come from outside.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::activity::{Activity, Told};
use super::answer::{Answer, without_content};
use super::conversation::{Conversation, either, one, two};
use crate::config::{Limits, seconds};
use crate::credentials::Shown;
use crate::drain::Draining;
use crate::peer::{PeerWatch, Verdict};
use crate::tls::Http;

/// What a connection is served with.
pub(crate) struct Serving<'l, L> {
    pub(crate) limits: &'l Limits,
    /// What was agreed on; None when the first bytes tell.
    pub(crate) http: Option<Http>,
    /// Judges the peer again while the connection lives.
    pub(crate) watch: Option<PeerWatch>,
    /// The identity of ours that the peer was shown; None on a plain connection.
    pub(crate) own: Option<Shown>,
    pub(crate) draining: Draining,
    /// Called when the peer should move on: from then on answers say so.
    pub(crate) leave: L,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By either side, in good order or by a broken stream.
    Closed,
    /// hyper could not read what came, and has answered 400 itself.
    Unreadable,
    /// A deadline passed.
    Late,
    /// The peer is no longer trusted.
    Untrusted,
    /// The process stops.
    Stopped,
}

impl<L: Fn()> Serving<'_, L> {
    /// Serve it to its end.
    pub(crate) async fn run<I, F, R>(self, io: I, handle: F) -> Ended
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Fn(Request<Incoming>) -> R,
        R: Future<Output = Response<Answer>> + Send + 'static,
    {
        let activity = Activity::new();
        let io = Told::new(TokioIo::new(io), &activity);
        let service = service_fn(|request: Request<Incoming>| {
            let over_two = request.version() == Version::HTTP_2;
            let in_flight = activity.request(over_two);
            let bare = over_two && request.method() == Method::HEAD;
            let answering = handle(request);
            async move {
                let _in_flight = in_flight;
                let answer = answering.await;
                Ok::<_, Infallible>(if bare { without_content(answer) } else { answer })
            }
        });
        let limits = self.limits;
        let activity = Arc::clone(&activity);
        match self.http {
            Some(Http::One) => {
                self.drive(pin!(one(limits).serve_connection(io, service)), &activity)
                    .await
            }
            Some(Http::Two) => {
                self.drive(pin!(two(limits).serve_connection(io, service)), &activity)
                    .await
            }
            None => {
                self.drive(pin!(either(limits).serve_connection(io, service)), &activity)
                    .await
            }
        }
    }

    async fn drive<C: Conversation>(self, mut conversation: Pin<&mut C>, activity: &Activity) -> Ended {
        let Serving {
            limits,
            mut watch,
            mut own,
            draining,
            leave,
            ..
        } = self;
        let (mut begun, mut cut) = (draining.clone(), draining);
        let mut alarm = pin!(sleep(seconds(limits.idle_seconds)));
        let mut parting = pin!(sleep(PARTING));
        let (mut leaving, mut moving) = (false, false);
        loop {
            let mut verdict = pin!(next(&mut watch));
            let mut begin = pin!(order(&mut begun, leaving));
            let mut end = pin!(cut.cut());
            let mut renewed = pin!(renewed(&mut own, moving));
            let happened = poll_fn(|cx| {
                if let Poll::Ready(ended) = conversation.as_mut().poll_end(cx) {
                    return Poll::Ready(Event::Ended(ended));
                }
                arm(alarm.as_mut(), activity, limits);
                if alarm.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Alarm);
                }
                if let Poll::Ready(verdict) = verdict.as_mut().poll(cx) {
                    return Poll::Ready(Event::Verdict(verdict));
                }
                if begin.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Drain);
                }
                if renewed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Renewed);
                }
                if moving && !leaving && parting.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Drain);
                }
                end.as_mut().poll(cx).map(|()| Event::Cut)
            })
            .await;
            match happened {
                Event::Ended(ended) => return ended,
                Event::Cut => return Ended::Stopped,
                Event::Verdict(Verdict::Cut(_)) => return Ended::Untrusted,
                Event::Verdict(Verdict::Drain) => {
                    leave();
                    // An idle HTTP/1.1 connection is left open until its next answer can say so: closing it now
                    // would race with a request that is on its way.
                    if activity.is_http2() {
                        conversation.as_mut().drain();
                    }
                }
                // The authority of before goes away soon, and what is under way then would be cut off. Who is busy
                // learns it from the next answer; who is idle gets a moment, against the same race as above.
                Event::Renewed => {
                    moving = true;
                    leave();
                    if activity.is_http2() {
                        conversation.as_mut().drain();
                    }
                    parting.as_mut().reset((Instant::now() + PARTING).into());
                }
                Event::Drain => {
                    leaving = true;
                    leave();
                    conversation.as_mut().drain();
                }
                Event::Alarm if head_is_late(activity, limits) => return Ended::Late,
                Event::Alarm if activity.is_idle() && quiet(activity, limits) => {
                    conversation.as_mut().drain();
                    alarm.as_mut().reset((Instant::now() + GOODBYE).into());
                    let ended = poll_fn(|cx| match conversation.as_mut().poll_end(cx) {
                        Poll::Ready(ended) => Poll::Ready(ended),
                        Poll::Pending => alarm.as_mut().poll(cx).map(|()| Ended::Late),
                    });
                    return ended.await;
                }
                // A request under way has deadlines of its own for its body and its answer.
                Event::Alarm => alarm.as_mut().reset(quiet_from(activity, limits).into()),
            }
        }
    }
}

enum Event {
    Ended(Ended),
    Alarm,
    Verdict(Verdict),
    Drain,
    Renewed,
    Cut,
}

/// How long an idle connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a connection that shows an identity of an authority of before may wait for its next request.
const PARTING: Duration = Duration::from_secs(2);

/// While a head is coming in, the alarm is set for its deadline.
fn arm(mut alarm: Pin<&mut Sleep>, activity: &Activity, limits: &Limits) {
    if let Some(since) = activity.head_since() {
        let deadline = (since + seconds(limits.header_seconds)).into();
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
    }
}

fn head_is_late(activity: &Activity, limits: &Limits) -> bool {
    activity
        .head_since()
        .is_some_and(|since| since.elapsed() >= seconds(limits.header_seconds))
}

/// The next moment at which the connection can have been quiet for too long.
fn quiet_from(activity: &Activity, limits: &Limits) -> Instant {
    let busy_until = if activity.is_idle() {
        activity.last_io()
    } else {
        Instant::now()
    };
    busy_until + seconds(limits.idle_seconds)
}

fn quiet(activity: &Activity, limits: &Limits) -> bool {
    activity.last_io().elapsed() >= seconds(limits.idle_seconds)
}

async fn next(watch: &mut Option<PeerWatch>) -> Verdict {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// Wait until another authority signs for us than for what the peer was shown.
async fn renewed(own: &mut Option<Shown>, known: bool) {
    match own {
        Some(own) if !known => own.replaced().await,
        _ => std::future::pending().await,
    }
}

async fn order(draining: &mut Draining, given: bool) {
    if given {
        std::future::pending::<()>().await;
    }
    draining.begun().await;
}
