//! Counts the open streams of a connection, so that one that carries nothing can be closed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;

/// The number of open streams of one connection, and word of its changes.
#[derive(Clone, Debug)]
pub(super) struct OpenStreams {
    count: Arc<watch::Sender<usize>>,
}

/// One open stream; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct OpenStream {
    count: Arc<watch::Sender<usize>>,
}

impl OpenStreams {
    pub(super) fn new() -> OpenStreams {
        OpenStreams {
            count: Arc::new(watch::Sender::new(0)),
        }
    }

    pub(super) fn open(&self) -> OpenStream {
        self.count.send_modify(|count| *count += 1);
        OpenStream {
            count: self.count.clone(),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count -= 1);
    }
}

/// An answer's body that keeps its stream open until it is read to its end or dropped.
#[derive(Debug)]
pub(super) struct Counted<B> {
    pub(super) body: B,
    pub(super) _stream: OpenStream,
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
