//! Reads a request's body whole, under a size and a deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};

use crate::gather::{Gather, TooLarge};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Larger than the limit.
    TooLarge,
    /// Not whole in time.
    Late,
    /// Broken off, or framed wrongly.
    Broken,
}

impl From<TooLarge> for Unread {
    fn from(_: TooLarge) -> Unread {
        Unread::TooLarge
    }
}

/// Read it. The timer is made only when the body is not here yet, which for small requests it nearly always is.
pub(crate) async fn read(body: &mut Incoming, limit: usize, time: Duration) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut reading = pin!(gather(body, limit));
    if let Poll::Ready(whole) = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        return whole;
    }
    let mut deadline = pin!(sleep(time));
    poll_fn(|cx: &mut Context<'_>| match reading.as_mut().poll(cx) {
        Poll::Ready(whole) => Poll::Ready(whole),
        Poll::Pending => deadline.as_mut().poll(cx).map(|()| Err(Unread::Late)),
    })
    .await
}

async fn gather(body: &mut Incoming, limit: usize) -> Result<Bytes, Unread> {
    let mut gather = Gather::new(limit);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        if let Ok(data) = frame.into_data() {
            gather.add(data, body.size_hint().lower())?;
        }
    }
    Ok(gather.finish())
}

/// Throw away what is left of a body that was refused unread. Closing on a client that still sends resets the
/// connection, and the reset overtakes the answer that says why.
pub(crate) fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(timeout(DISCARD_TIME, async move {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }));
}

/// Eight times the largest body that is read by default; whoever sends more learns nothing.
const DISCARD_BYTES: usize = 8 << 20;
/// Enough for that over any network that features are served on.
const DISCARD_TIME: Duration = Duration::from_secs(2);
