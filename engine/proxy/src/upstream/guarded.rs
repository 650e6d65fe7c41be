//! A connection to another sidecar that ends the moment its peer must not be trusted any more. A request that is under
//! way then fails as `server-not-trusted`; connections at rest are left by the pool's epoch.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::peer::{PeerWatch, Verdict};
use crate::verify::IdentityError;

/// A stream that fails from then on.
pub(crate) struct Guarded {
    stream: TlsStream<TcpStream>,
    /// Ends when the peer must be cut off.
    cut: Pin<Box<dyn Future<Output = IdentityError> + Send + Sync>>,
    why: Option<IdentityError>,
}

impl Guarded {
    pub(crate) fn new(stream: TlsStream<TcpStream>, watch: PeerWatch) -> Guarded {
        Guarded {
            stream,
            cut: Box::pin(cut(watch)),
            why: None,
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.why.is_none()
            && let Poll::Ready(why) = self.cut.as_mut().poll(cx)
        {
            self.why = Some(why);
        }
        match &self.why {
            Some(why) => Err(io::Error::new(io::ErrorKind::PermissionDenied, why.clone())),
            None => Ok(()),
        }
    }
}

/// Only the end matters here: the pool sees to it that nothing new goes over old connections.
async fn cut(mut watch: PeerWatch) -> IdentityError {
    loop {
        if let Verdict::Cut(why) = watch.next().await {
            return why;
        }
    }
}

/// The refusal by which a guard ended a connection, if one did.
pub(crate) fn refusal<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a IdentityError> {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(why) = io.and_then(|inner| inner.downcast_ref()) {
            return Some(why);
        }
        next = error.source();
    }
    None
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
