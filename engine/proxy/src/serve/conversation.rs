//! hyper's connections, which come in three kinds, as one: how each is made within our limits, driven to its end and
//! asked to finish.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;

use super::connection::Ended;
use crate::config::Limits;

/// What the three kinds of hyper's connections have in common.
pub(super) trait Conversation {
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

/// Limits of HTTP/2, once for the two builders: their methods have the same names and no trait in common.
macro_rules! bounded {
    ($http2:expr, $limits:ident) => {
        $http2
            .timer(TokioTimer::new())
            .max_concurrent_streams($limits.streams)
            .max_header_list_size(u32::try_from($limits.header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_send_buf_size(SEND_BUFFER)
    };
}

/// HTTP/1.1, where it was agreed on.
pub(super) fn one(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(LEAST_BUFFER));
    builder
}

/// HTTP/2, likewise.
pub(super) fn two(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    bounded!(builder, limits);
    builder
}

/// Whichever the first bytes speak. The builder of both knows no largest header section, so that HTTP/1.1's read
/// buffer is as large as one; its write buffer then is no larger either.
pub(super) fn either(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes);
    bounded!(builder.http2(), limits);
    builder
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
