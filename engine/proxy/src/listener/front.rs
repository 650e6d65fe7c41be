//! Accepts connections, one task each, and serves them with what their handshake or the kernel said of the peer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::far::FarSide;
use super::{Limits, Tally, stamp};
use crate::credentials::Credentials;
use crate::drain::Draining;
use crate::peer::PeerWatch;
use crate::relay::{self, Near, Stamp};
use crate::tls::Acceptor;

/// The accepting side of one listener.
pub(super) struct Front {
    pub(super) credentials: Credentials,
    pub(super) far: FarSide,
    pub(super) limits: Limits,
    pub(super) tally: Arc<Tally>,
}

/// Accepting fails when file descriptors run out; trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Front {
    /// Serve TLS until draining begins.
    pub(super) async fn serve_tls(self, listener: TcpListener, acceptor: Acceptor, mut draining: Draining) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let (front, acceptor) = (Arc::new(self), Arc::new(acceptor));
        loop {
            let Some(permit) = admitted(&room, &mut draining).await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = draining.begun() => return,
            };
            match accepted {
                Ok((stream, from)) => {
                    let (front, acceptor, draining) = (front.clone(), acceptor.clone(), draining.clone());
                    tokio::spawn(async move {
                        let caller = (stream, from.ip());
                        front.serve_tls_stream(caller, &acceptor, draining).await;
                        drop(permit);
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Serve a UNIX socket until draining begins.
    pub(super) async fn serve_unix(self, listener: UnixListener, mut draining: Draining) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let front = Arc::new(self);
        loop {
            let Some(permit) = admitted(&room, &mut draining).await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = draining.begun() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (front, draining) = (front.clone(), draining.clone());
                    tokio::spawn(async move {
                        front.serve_unix_stream(stream, draining).await;
                        drop(permit);
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn serve_tls_stream(
        &self,
        (stream, address): (TcpStream, IpAddr),
        acceptor: &Acceptor,
        mut draining: Draining,
    ) {
        // Without it answers wait for acknowledgements; where it fails the connection is gone anyway.
        let _ = stream.set_nodelay(true);
        let handshake = tokio::select! {
            handshake = acceptor.accept(stream) => handshake,
            () = draining.begun() => return,
        };
        match handshake {
            Ok(accepted) => {
                self.tally.accepted();
                let peer = accepted.peer.as_ref();
                let watch = peer.map(|peer| PeerWatch::new(&self.credentials, peer));
                let stamp = stamp::of_peer(address, peer);
                self.relay(accepted.stream, stamp, watch, draining).await;
            }
            Err(error) => self.tally.refused(&error),
        }
    }

    async fn serve_unix_stream(&self, stream: UnixStream, draining: Draining) {
        // A peer whose process cannot be told is nobody, and nobody is served here.
        let Ok(process) = stream.peer_cred() else { return };
        self.relay(stream, stamp::of_process(process), None, draining)
            .await;
    }

    async fn relay<IO>(&self, io: IO, stamp: Stamp, watch: Option<PeerWatch>, draining: Draining)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = relay::Limits {
            streams: self.limits.streams,
            header_bytes: self.limits.header_bytes,
            first_request: Duration::from_secs_f64(self.limits.header_seconds),
            idle: Duration::from_secs_f64(self.limits.idle_seconds),
        };
        Near {
            lane: self.far.lane(),
            limits,
            stamp,
            watch,
            draining,
        }
        .serve(io)
        .await;
    }
}

/// Wait for room for one more connection; None when draining began first.
async fn admitted(room: &Arc<Semaphore>, draining: &mut Draining) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        // The semaphore is never closed.
        permit = room.clone().acquire_owned() => permit.ok(),
        () = draining.begun() => None,
    }
}
