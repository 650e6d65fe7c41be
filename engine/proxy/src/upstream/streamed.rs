//! An answer's body that is passed on as it comes, and gives its connection back at its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::link::Link;
use super::pool::Home;

/// A body on its way, bounded in size and time.
pub(crate) struct Streamed {
    body: Incoming,
    link: Option<Box<Link>>,
    home: Home,
    left: usize,
    deadline: Pin<Box<Sleep>>,
}

/// Why a body was cut off; the connection to the client is cut with it, so that it cannot pass for whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("the answer is larger than the limit")]
    TooLarge,
    #[error("the answer did not end in time")]
    Late,
    #[error("the connection broke within the answer")]
    Broken,
}

impl Streamed {
    pub(crate) fn new(body: Incoming, link: Box<Link>, home: Home, limit: usize, time: Duration) -> Streamed {
        Streamed {
            body,
            link: Some(link),
            home,
            left: limit,
            deadline: Box::pin(tokio::time::sleep(time)),
        }
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        if let Some(mut link) = self.link.take() {
            link.drive(cx);
            self.home.put(link);
        }
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), Cut> {
        let size = frame.data_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(size).ok_or(Cut::TooLarge)?;
        Ok(())
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        let Some(link) = &mut this.link else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = link.poll_body(&mut this.body, cx) else {
            ready!(this.deadline.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Cut::Late)));
        };
        let Some(frame) = frame else {
            this.end(cx);
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|_| Cut::Broken)?;
        this.count(&frame)?;
        // hyper asks no further after the announced length, so the connection must go back with the last piece.
        if this.body.is_end_stream() {
            this.end(cx);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.link.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streamed")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
