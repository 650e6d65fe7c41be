//! The near side: serves one accepted HTTP/2 connection until it ends, is drained or is cut, and hands every
//! request to its [`Lane`].

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::answer::{self, AnswerBody};
use super::asked::{Asked, Haste};
use super::lane::Lane;
use super::open::{Counted, OpenStreams};
use crate::drain::Draining;
use crate::peer::{PeerWatch, Verdict};

/// Limits of a near connection.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Streams open at once on one connection.
    pub(crate) streams: u32,
    /// Largest header list of a request, in bytes.
    pub(crate) header_bytes: u32,
    /// How long a new connection may take to make its first request.
    pub(crate) first_request: Duration,
    /// How long a connection may stay without an open stream.
    pub(crate) idle: Duration,
    /// What callers who have proven nothing must keep to as well.
    pub(crate) haste: Option<Haste>,
}

/// What a request's headers must say about the peer; whatever the client itself wrote there is dropped.
pub(crate) type Stamp = Arc<[(HeaderName, HeaderValue)]>;

/// Headers by which a server learns who calls; nobody else may set one.
const PEER_HEADERS: &str = "featward-peer-";

/// What a connection that was asked to go may still take. Streams under way are not bound by it, only silence.
const GOODBYE: Duration = Duration::from_secs(10);

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// One accepted connection.
pub(crate) struct Near {
    pub(crate) lane: Arc<Lane>,
    pub(crate) limits: Limits,
    pub(crate) stamp: Stamp,
    pub(crate) watch: Option<PeerWatch>,
    pub(crate) draining: Draining,
}

impl Near {
    /// Serve the connection to its end.
    pub(crate) async fn serve<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut self, io: IO) {
        let streams = OpenStreams::new();
        let carry = Carry {
            lane: self.lane.clone(),
            stamp: self.stamp.clone(),
            streams: streams.clone(),
            haste: self.limits.haste,
        };
        let service = service_fn(move |request| carry.clone().answer(request));
        let mut connection = pin!(self.builder().serve_connection(TokioIo::new(io), service));
        let mut silence = pin!(silent(streams.watch(), self.limits.clone()));
        let (mut begun, mut leaving) = (self.draining.clone(), false);
        let mut life = pin!(after(self.limits.haste.and_then(|haste| haste.connection)));
        let (mut drained, mut over) = (false, false);
        loop {
            tokio::select! {
                // Whatever broke the connection, its streams have been told.
                _ = connection.as_mut() => return,
                verdict = next(&mut self.watch) => match verdict {
                    Verdict::Drain => connection.as_mut().graceful_shutdown(),
                    Verdict::Cut(_) => return,
                },
                () = silence.as_mut() => {
                    if leaving {
                        return;
                    }
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                    silence.set(silent(streams.watch(), self.limits.leaving()));
                }
                () = life.as_mut() => {
                    if over {
                        return;
                    }
                    over = true;
                    connection.as_mut().graceful_shutdown();
                    life.set(after(Some(GOODBYE)));
                }
                () = begun.begun(), if !drained => {
                    drained = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.draining.cut() => return,
            }
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(self.limits.header_bytes)
            .auto_date_header(false);
        builder
    }
}

impl Limits {
    fn leaving(&self) -> Limits {
        Limits {
            first_request: GOODBYE,
            idle: GOODBYE,
            ..self.clone()
        }
    }
}

async fn next(watch: &mut Option<PeerWatch>) -> Verdict {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Wait until the connection has been without a stream for too long.
async fn silent(mut streams: watch::Receiver<usize>, limits: Limits) {
    let mut patience = limits.first_request;
    loop {
        if *streams.borrow_and_update() == 0 {
            if timeout(patience, streams.changed()).await.is_err() {
                return;
            }
        } else if streams.changed().await.is_err() {
            return sleep(patience).await;
        }
        patience = limits.idle;
    }
}

#[derive(Clone)]
struct Carry {
    lane: Arc<Lane>,
    stamp: Stamp,
    streams: OpenStreams,
    haste: Option<Haste>,
}

impl Carry {
    async fn answer(
        self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Counted<AnswerBody>>, Infallible> {
        let stream = self.streams.open();
        let response = if request.method() == Method::POST {
            stamp(request.headers_mut(), &self.stamp);
            let (request, begun) = Asked::watched(request);
            tokio::select! {
                sent = self.lane.send(request) => match sent {
                    Ok(response) => response.map(Either::Left),
                    Err(error) => answer::unavailable(&error),
                },
                late = Haste::late(self.haste, begun) => answer::late(late),
            }
        } else {
            answer::not_grpc()
        };
        Ok(response.map(|body| Counted {
            body,
            _stream: stream,
        }))
    }
}

/// Drop every header that only we may set, then set ours.
fn stamp(headers: &mut HeaderMap, ours: &[(HeaderName, HeaderValue)]) {
    let forged: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(PEER_HEADERS))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    for (name, value) in ours {
        headers.insert(name.clone(), value.clone());
    }
}
