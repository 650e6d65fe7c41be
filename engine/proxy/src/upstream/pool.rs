//! Idle connections to one far side, and the sending of a request over one of them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Response;
use hyper::body::Incoming;
use parking_lot::Mutex;
use thiserror::Error;

use super::guarded::refusal;
use super::link::{Link, Sent};

/// Why no answer came.
#[derive(Debug, Error)]
pub(crate) enum SendError<E> {
    /// No connection could be made.
    #[error(transparent)]
    Connect(E),
    /// The connection broke, or what came over it was not HTTP.
    #[error("the connection ended before the answer: {0}")]
    Broken(hyper::Error),
}

/// Makes connections to one far side.
pub(crate) trait Connect: Send + Sync {
    /// Why it can fail.
    type Error: Send;
    /// Make one.
    fn connect(&self) -> impl Future<Output = Result<Box<Link>, Self::Error>> + Send;
}

/// Connections that nobody uses now.
#[derive(Default)]
pub(crate) struct Pool {
    #[expect(
        clippy::vec_box,
        reason = "a link is large, and moves between pool and request with every use"
    )]
    idle: Mutex<Vec<Box<Link>>>,
    /// Connections of another epoch are not used again.
    epoch: AtomicU64,
    /// A task looks after idle connections; only while there are some.
    swept: AtomicBool,
}

/// More idle connections than a feature server has workers help nobody.
const IDLE_CONNECTIONS: usize = 128;
/// Below the keep-alive of the usual servers (gunicorn's Feast 30 s), so that we close first and not in a race.
const IDLE: Duration = Duration::from_secs(20);

impl Pool {
    /// Send a request, over a pooled connection if there is one. `make` is called again for a second attempt,
    /// which happens only after a pooled connection turned out to be closed: if hyper hands the request back, no
    /// byte of it was sent; otherwise only if `repeatable`, that is a read, because a far side that closes an idle
    /// connection in the same moment gives no sign whether it saw the request. A peer that stops being trusted while
    /// it has a read is asked again too, over a new connection: it may have a newer identity, and else is refused.
    pub(crate) async fn send<C: Connect>(
        &self,
        connector: &C,
        make: impl Fn() -> Sent,
        repeatable: bool,
    ) -> Result<(Response<Incoming>, Box<Link>), SendError<C::Error>> {
        if let Some(mut link) = self.take() {
            match link.send(make()).await {
                Ok(answer) => return Ok((answer, link)),
                Err(failed) if failed.message().is_some() || (repeatable && is_lost(failed.error())) => {}
                Err(failed) => return Err(SendError::Broken(failed.into_error())),
            }
        }
        let mut link = connector.connect().await.map_err(SendError::Connect)?;
        match link.send(make()).await {
            Ok(answer) => Ok((answer, link)),
            Err(failed) => Err(SendError::Broken(failed.into_error())),
        }
    }

    /// Give a connection back whose answer has been read.
    pub(crate) fn put(self: &Arc<Self>, mut link: Box<Link>) {
        let now = Instant::now();
        if link.epoch != self.epoch.load(Ordering::Relaxed) || !link.is_usable(now) {
            return;
        }
        link.rest(now);
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(link);
        }
        drop(idle);
        self.sweep();
    }

    /// Close what nobody has used for a while, also when nobody comes any more: the far side has closed it long
    /// ago, and it keeps a descriptor and a buffer.
    fn sweep(self: &Arc<Self>) {
        if self.swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE).await;
                match pool.upgrade() {
                    Some(pool) if pool.drop_stale(Instant::now()) => {}
                    _ => return,
                }
            }
        });
    }

    /// Returns whether any are left, to look at again.
    fn drop_stale(&self, now: Instant) -> bool {
        let mut idle = self.idle.lock();
        let stale = idle
            .iter()
            .take_while(|link| now.duration_since(link.idle_since) > IDLE)
            .count();
        idle.drain(..stale);
        // Within the lock, so that whoever puts one in afterwards starts the next task.
        self.swept.store(!idle.is_empty(), Ordering::Relaxed);
        !idle.is_empty()
    }

    /// Use no connection of an earlier epoch any more: our identity or trust has changed.
    pub(crate) fn enter(&self, epoch: u64) {
        if self.epoch.fetch_max(epoch, Ordering::Relaxed) < epoch {
            self.idle.lock().clear();
        }
    }

    /// The connection used last, because the others may then grow old and be closed.
    fn take(&self) -> Option<Box<Link>> {
        let now = Instant::now();
        loop {
            let mut link = self.idle.lock().pop()?;
            let current = link.epoch == self.epoch.load(Ordering::Relaxed);
            let fresh = now.duration_since(link.idle_since) <= IDLE;
            if current && fresh && link.wake() && link.is_usable(now) {
                return Some(link);
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.idle.lock().len())
            .finish()
    }
}

/// Whether no answer can come over this connection any more, though one may over another.
fn is_lost(error: &hyper::Error) -> bool {
    was_closed(error) || refusal(error).is_some()
}

/// Whether the far side closed the connection without a whole head of an answer.
fn was_closed(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let reset = error
        .source()
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|error| {
            use std::io::ErrorKind::{
                BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
            };
            matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
            )
        });
    reset || error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}

/// A pool that streamed answers give their connection back to.
pub(crate) type Home = Arc<Pool>;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::Wire;
    use super::*;

    #[tokio::test]
    async fn connections_that_nobody_uses_are_closed_without_any_traffic() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let pool = Arc::new(Pool::default());
        pool.put(Link::new(Wire::Tcp(stream), None, 0).await.unwrap());
        assert!(pool.swept.load(Ordering::Relaxed), "a task looks after it");
        assert!(pool.drop_stale(Instant::now() + IDLE / 2), "it may be used yet");
        assert!(!pool.drop_stale(Instant::now() + IDLE * 2), "none is left");
        assert!(
            !pool.swept.load(Ordering::Relaxed),
            "the next one gets a new task"
        );
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "and the far side knows");
    }
}
