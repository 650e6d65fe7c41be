//! Drives one accepted connection to its end: HTTP/1.1 or HTTP/2 by what was agreed on, deadlines for heads and
//! silence, and the orders to drain or to end that come from outside.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::activity::{Activity, Told};
use super::answer::Answer;
use crate::config::{Limits, seconds};
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
            let in_flight = activity.request(request.version() == Version::HTTP_2);
            let answering = handle(request);
            async move {
                let _in_flight = in_flight;
                Ok::<_, Infallible>(answering.await)
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
            draining,
            leave,
            ..
        } = self;
        let (mut begun, mut cut) = (draining.clone(), draining);
        let mut alarm = pin!(sleep(seconds(limits.idle_seconds)));
        let mut leaving = false;
        loop {
            let mut verdict = pin!(next(&mut watch));
            let mut begin = pin!(order(&mut begun, leaving));
            let mut end = pin!(cut.cut());
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
                Event::Drain => {
                    leaving = true;
                    leave();
                    conversation.as_mut().drain();
                }
                Event::Alarm if activity.head_since().is_some() => return Ended::Late,
                Event::Alarm if activity.is_idle() && quiet(activity, limits) => {
                    conversation.as_mut().drain();
                    alarm.as_mut().reset((Instant::now() + GOODBYE).into());
                    let ended = poll_fn(|cx| match conversation.as_mut().poll_end(cx) {
                        Poll::Ready(ended) => Poll::Ready(ended),
                        Poll::Pending => alarm.as_mut().poll(cx).map(|()| Ended::Late),
                    });
                    return ended.await;
                }
                // A request under way has deadlines of its own, so it is silence only once it is answered.
                Event::Alarm if !activity.is_idle() => alarm
                    .as_mut()
                    .reset((Instant::now() + seconds(limits.idle_seconds)).into()),
                Event::Alarm => alarm
                    .as_mut()
                    .reset((activity.last_io() + seconds(limits.idle_seconds)).into()),
            }
        }
    }
}

enum Event {
    Ended(Ended),
    Alarm,
    Verdict(Verdict),
    Drain,
    Cut,
}

/// How long an idle connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// While a head is coming in, the alarm is set for its deadline.
fn arm(mut alarm: Pin<&mut Sleep>, activity: &Activity, limits: &Limits) {
    if let Some(since) = activity.head_since() {
        let deadline = (since + seconds(limits.header_seconds)).into();
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
    }
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

async fn order(draining: &mut Draining, given: bool) {
    if given {
        std::future::pending::<()>().await;
    }
    draining.begun().await;
}

/// What the three kinds of hyper's connections have in common.
trait Conversation {
    /// Go on until the end.
    fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended>;
    /// Finish what is under way, and take nothing new.
    fn drain(self: Pin<&mut Self>);
}

macro_rules! conversation {
    ($type:ty, $ended:expr) => {
        impl<I, S, B> Conversation for $type
        where
            I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
            S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
            S::Future: Send + 'static,
            S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
            B: http_body::Body + Send + 'static,
            B::Data: Send,
            B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        {
            fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
                self.poll(cx).map($ended)
            }

            fn drain(self: Pin<&mut Self>) {
                self.graceful_shutdown();
            }
        }
    };
}

conversation!(http1::Connection<I, S>, of_hyper);
conversation!(http2::Connection<I, S, TokioExecutor>, of_hyper);
conversation!(auto::Connection<'_, I, S, TokioExecutor>, of_either);

fn of_hyper(result: hyper::Result<()>) -> Ended {
    match result {
        Err(error) if error.is_parse() => Ended::Unreadable,
        _ => Ended::Closed,
    }
}

fn of_either(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) -> Ended {
    match result {
        Err(error)
            if error
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_parse) =>
        {
            Ended::Unreadable
        }
        _ => Ended::Closed,
    }
}

fn one(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(LEAST_BUFFER));
    builder
}

fn two(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_list(limits))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

fn either(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.max(LEAST_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_list(limits))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

fn header_list(limits: &Limits) -> u32 {
    u32::try_from(limits.header_bytes).unwrap_or(u32::MAX)
}

/// Streams that a client may reset before we saw them, and that our own errors may reset: beyond it the connection
/// ends (CVE-2023-44487, "MadeYouReset"). Honest clients stay below; h2's own default is 20 and 1024.
const RESETS: usize = 50;
/// Feature requests are small; a client that sends more is slowed down, not buffered.
const WINDOW: u32 = 256 << 10;
/// Of an answer, what HTTP/2 may hold back while the client's window is shut.
const SEND_BUFFER: usize = 256 << 10;
/// Answers of 20 KB go out in one write, with smaller buffers they would not.
const LEAST_BUFFER: usize = 32 << 10;
