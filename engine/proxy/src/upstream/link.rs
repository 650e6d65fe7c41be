//! One HTTP/1.1 client connection, driven by whoever uses it.
//!
//! hyper's usual way is a task for each connection that talks to the requester through a channel; polling the
//! connection inside the request's own task saves two wake-ups a request, and an idle connection costs no task.
//! The price: nobody notices that an idle connection was closed until it is taken from the pool again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::wire::Wire;
use crate::credentials::Held;
use crate::gather::Gather;

/// A request as links send it: its body is whole, so that it can be sent again.
pub(crate) type Sent = Request<Full<Bytes>>;

/// A connection and the handle that requests go in by.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Wire>, Full<Bytes>>,
    open: bool,
    /// Until when it may be used for new requests.
    until: Option<Instant>,
    /// Which state of our own identity and trust it was made in.
    pub(crate) epoch: u64,
    /// The identity of ours that the far side was shown, and a share in it while a request is under way: what only
    /// rests in the pool keeps no identity in use.
    own: Option<Weak<Held>>,
    used: Option<Arc<Held>>,
    /// Since when nobody uses it.
    pub(crate) idle_since: Instant,
}

/// Answers of 20 KB should come in one read; larger ones in few.
const READ_BUFFER: usize = 64 << 10;
/// More than any feature server sends; hyper's own default of 100 is for browsers' sake.
const HEADERS: usize = 64;

impl Link {
    /// Speak HTTP/1.1 over this stream.
    pub(crate) async fn new(wire: Wire, until: Option<Instant>, epoch: u64) -> hyper::Result<Box<Link>> {
        let mut builder = Builder::new();
        builder.max_buf_size(READ_BUFFER).max_headers(HEADERS);
        let (sender, connection) = builder.handshake(TokioIo::new(wire)).await?;
        Ok(Box::new(Link {
            sender,
            connection,
            open: true,
            until,
            epoch,
            own: None,
            used: None,
            idle_since: Instant::now(),
        }))
    }

    /// Whether a request may go in: the far side has not closed it, and it is not too old.
    pub(crate) fn is_usable(&mut self, now: Instant) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.open && self.sender.is_ready() && self.until.is_none_or(|until| now < until)
    }

    /// Say which identity of ours the far side was shown.
    pub(crate) fn shows(&mut self, own: Option<Arc<Held>>) {
        self.own = own.as_ref().map(Arc::downgrade);
        self.used = own;
    }

    /// Nobody uses it for now.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.idle_since = now;
        self.used = None;
    }

    /// Somebody will use it; false when what the far side was shown is gone meanwhile.
    pub(crate) fn wake(&mut self) -> bool {
        self.used = self.own.as_ref().and_then(Weak::upgrade);
        self.own.is_none() || self.used.is_some()
    }

    /// Take no request after the one under way.
    pub(crate) fn retire(&mut self) {
        self.until = Some(Instant::now());
    }

    /// Send a request and wait for the answer's head.
    pub(crate) async fn send(&mut self, request: Sent) -> Result<Response<Incoming>, TrySendError<Sent>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let (connection, open) = (&mut self.connection, &mut self.open);
        poll_fn(|cx| {
            drive(connection, open, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// The next piece of an answer's body. Driven before the body is asked, so that what has arrived is handed
    /// over in one go, and after, because asking is what makes hyper read on.
    pub(crate) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        self.drive(cx);
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        self.drive(cx);
        Pin::new(body).poll_frame(cx)
    }

    /// The whole of an answer's body; None when it is larger than `limit`.
    pub(crate) async fn collect(&mut self, mut body: Incoming, limit: usize) -> hyper::Result<Option<Bytes>> {
        let mut gather = Gather::new(limit);
        while let Some(frame) = poll_fn(|cx| self.poll_body(&mut body, cx)).await {
            let Ok(data) = frame?.into_data() else { continue };
            if gather.add(data, body.size_hint().lower()).is_err() {
                return Ok(None);
            }
        }
        Ok(Some(gather.finish()))
    }

    /// Give hyper a chance to read, write and notice ends.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.open, cx);
    }
}

fn drive(connection: &mut Connection<TokioIo<Wire>, Full<Bytes>>, open: &mut bool, cx: &mut Context<'_>) {
    if *open && Pin::new(connection).poll(cx).is_ready() {
        *open = false;
    }
}
