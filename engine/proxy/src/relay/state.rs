//! What is known of a far connection's end, and the stream that learns it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tls::{ConnectError, alert};

/// What is known of a connection's end.
#[derive(Debug, Default)]
pub(super) struct State {
    retired: AtomicBool,
    alert: OnceLock<AlertDescription>,
    closed: AtomicBool,
}

impl State {
    /// Let no new request go over it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// The alert by which the far side ended it.
    pub(super) fn alert(&self) -> Option<AlertDescription> {
        self.alert.get().copied()
    }

    /// Remember how the far side ended it.
    fn note(&self, error: &io::Error) {
        if let Some(alert) = alert(error) {
            // Only the first alert counts; the stream ends with it.
            let _ = self.alert.set(alert);
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            self.closed.store(true, Ordering::Release);
        }
    }

    /// Why a request or an answer on it failed.
    pub(super) fn explain(&self, error: &hyper::Error) -> ConnectError {
        match self.alert() {
            Some(alert) => ConnectError::Refused(alert),
            // rustls speaks of it at length, to programmers.
            None if self.closed.load(Ordering::Acquire) => {
                ConnectError::Unreachable("the connection broke off: the far side closed it".into())
            }
            None => ConnectError::Unreachable(format!("the connection broke off: {}", innermost(error))),
        }
    }
}

/// A stream that notes how the far side ends it: hyper passes only an error's text on.
pub(super) struct Overheard<IO> {
    io: IO,
    state: Arc<State>,
}

impl<IO> Overheard<IO> {
    pub(super) fn new(io: IO, state: Arc<State>) -> Overheard<IO> {
        Overheard { io, state }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Overheard<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, into);
        if let Poll::Ready(Err(error)) = &read {
            self.state.note(error);
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Overheard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// hyper's own words say little («http2 error»); what happened stands at the end of the chain.
fn innermost(error: &hyper::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
