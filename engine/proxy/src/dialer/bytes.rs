//! Carries bytes between one near connection and one verified far connection of its own, for what is not gRPC: the
//! bundle of a foreign trust domain comes by HTTP/1.1 from a server that proves a SPIFFE ID (`https_spiffe`).

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::UnixStream;

use crate::drain::Draining;
use crate::peer::{PeerWatch, Verdict};
use crate::relay::{LastError, Opened, Target};

/// Connect, and carry until one side ends, the peer is not trusted any more, or we stop. Whoever is near only sees
/// the connection close; why is in `last_error`.
pub(super) async fn carry(near: UnixStream, target: &Target, last_error: &LastError, mut draining: Draining) {
    let opened = tokio::select! {
        opened = target.open() => opened,
        () = draining.begun() => return,
    };
    last_error.set(opened.as_ref().err().map(ToString::to_string));
    match opened {
        Ok(Opened::Unix(far)) => tokio::select! {
            () = copy(near, far) => {}
            () = draining.cut() => {}
        },
        Ok(Opened::Tls(connected, watch)) => tokio::select! {
            () = copy(near, connected.stream) => {}
            reason = cut(watch) => last_error.set(Some(reason)),
            () = draining.cut() => {}
        },
        Err(_) => {}
    }
}

async fn copy(mut near: impl AsyncRead + AsyncWrite + Unpin, mut far: impl AsyncRead + AsyncWrite + Unpin) {
    // Both sides see the end; which of them broke first is of no use to either.
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// Wait until the peer must be cut off, and say why. Before that nothing can be drained: these bytes have no frames.
async fn cut(mut watch: PeerWatch) -> String {
    loop {
        if let Verdict::Cut(error) = watch.next().await {
            return error.to_string();
        }
    }
}
