//! A request's body, with word of its beginning, and what a caller who has proven nothing must keep to.

use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// What keeps a caller from holding a place for nothing. A server of gRPC waits for a call's message before anything
/// of ours counts the call, so this is not its to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Haste {
    /// How long a call's message may take to begin, unless the call is answered before.
    pub(crate) message: Duration,
    /// How long a call may take to be answered.
    pub(crate) answer: Duration,
    /// How long the connection may last; None where a stream may stay open.
    pub(crate) connection: Option<Duration>,
}

/// A call that took too long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Late {
    #[error("the call's message did not begin within {} s; send it with the call", .0.as_secs_f32())]
    Message(Duration),
    #[error("the call was not answered within {} s; send its message whole, and try again", .0.as_secs_f32())]
    Answer(Duration),
}

/// The body. What waits for its beginning is told by the end of this sender.
#[derive(Debug)]
pub(super) struct Asked {
    body: Incoming,
    silent: Option<oneshot::Sender<()>>,
}

/// Tells when a body has begun.
pub(super) type Begun = oneshot::Receiver<()>;

impl Asked {
    pub(super) fn watched(request: Request<Incoming>) -> (Request<Asked>, Begun) {
        let (silent, begun) = oneshot::channel();
        let silent = Some(silent);
        (request.map(|body| Asked { body, silent }), begun)
    }
}

impl Haste {
    /// Wait until a call that came now is late.
    pub(super) async fn late(haste: Option<Haste>, begun: Begun) -> Late {
        let Some(haste) = haste else {
            return pending().await;
        };
        let by = Instant::now() + haste.answer;
        // However it ends: nothing is ever sent, so this is the end of the sender.
        if timeout(haste.message, begun).await.is_err() {
            return Late::Message(haste.message);
        }
        sleep_until(by).await;
        Late::Answer(haste.answer)
    }
}

impl Body for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.silent = None;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
