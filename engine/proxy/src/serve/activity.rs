//! What a connection has done lately, seen from its byte stream: enough to tell a slow head from an idle wait.
//!
//! hyper's own header timeout also runs while a kept-alive connection waits for its next request, and arms a timer
//! for every request. Here a timer is armed for a head only when it did not come in one piece.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};

/// One connection's account, shared by its stream, its service and its driver.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    /// Milliseconds after the start.
    last_io: AtomicU64,
    /// When the first byte of a head came that is not complete, plus 1; 0 for none.
    head_since: AtomicU64,
    in_flight: AtomicU32,
    http2: AtomicBool,
}

impl Activity {
    pub(crate) fn new() -> Arc<Activity> {
        Arc::new(Activity {
            start: Instant::now(),
            last_io: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            http2: AtomicBool::new(false),
        })
    }

    /// A request's head is here. Dropped when the request is answered.
    pub(crate) fn request(self: &Arc<Activity>, http2: bool) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        if http2 {
            self.http2.store(true, Ordering::Relaxed);
        }
        InFlight(Arc::clone(self))
    }

    /// Since when an incomplete head has been coming in. HTTP/2 sends frames between requests as well, so it is
    /// judged by idleness alone once it has made a request.
    pub(crate) fn head_since(&self) -> Option<Instant> {
        let since = self.head_since.load(Ordering::Relaxed).checked_sub(1)?;
        let waiting = !self.http2.load(Ordering::Relaxed) && self.is_idle();
        waiting.then(|| self.start + Duration::from_millis(since))
    }

    /// When bytes last went either way.
    pub(crate) fn last_io(&self) -> Instant {
        self.start + Duration::from_millis(self.last_io.load(Ordering::Relaxed))
    }

    /// Whether no request is being answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    /// Whether HTTP/2 was spoken.
    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    fn moved(&self, read: bool) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_io.store(now, Ordering::Relaxed);
        if read && self.is_idle() && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(now + 1, Ordering::Relaxed);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that tells its activity.
#[derive(Debug)]
pub(crate) struct Told<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I> Told<I> {
    pub(crate) fn new(io: I, activity: &Arc<Activity>) -> Told<I> {
        Told {
            io,
            activity: Arc::clone(activity),
        }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(_)) = result {
            self.activity.moved(false);
        }
        result
    }
}

impl<I: Read + Unpin> Read for Told<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = result {
            self.activity.moved(true);
        }
        result
    }
}

impl<I: Write + Unpin> Write for Told<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.wrote(result)
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
