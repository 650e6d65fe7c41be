//! Accepts connections, one task each, and serves them with what their handshake or the kernel said of the peer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::far::FarSide;
use super::guests::{Guests, TooMany};
use super::{Limits, Tally, stamp};
use crate::drain::Draining;
use crate::peer::PeerWatch;
use crate::relay::Near;
use crate::tls::Acceptor;

/// The accepting side of one listener.
pub(super) struct Front {
    pub(super) far: FarSide,
    pub(super) guests: Guests,
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
                    let free = room.available_permits();
                    tokio::spawn(async move {
                        let caller = (stream, from.ip());
                        let served = front.serve_tls_stream(caller, free, &acceptor, draining).await;
                        front.turned_away(served);
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
                        let served = front.serve_unix_stream(stream, draining).await;
                        front.turned_away(served);
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
        free: usize,
        acceptor: &Acceptor,
        mut draining: Draining,
    ) -> Result<(), TooMany> {
        let handshaking = self.guests.handshake(address, free)?;
        // Without it answers wait for acknowledgements; where it fails the connection is gone anyway.
        let _ = stream.set_nodelay(true);
        let handshake = tokio::select! {
            handshake = acceptor.accept(stream) => handshake,
            () = draining.begun() => return Ok(()),
        };
        drop(handshaking);
        match handshake {
            Ok(accepted) => {
                let peer = accepted.peer.as_ref();
                let _guest = self.guests.peer(address, peer)?;
                self.tally.accepted();
                let near = Near {
                    lane: self.far.lane(),
                    limits: match peer {
                        Some(_) => self.limits.of_peers(),
                        None => self.limits.of_strangers(),
                    },
                    stamp: stamp::of_peer(address, accepted.credentials.trust_domain(), peer),
                    watch: peer.map(|peer| PeerWatch::new(&accepted.credentials, peer)),
                    draining,
                };
                near.serve(accepted.stream).await;
            }
            Err(error) => self.tally.refused(&error),
        }
        Ok(())
    }

    async fn serve_unix_stream(&self, stream: UnixStream, draining: Draining) -> Result<(), TooMany> {
        // A peer whose process cannot be told is nobody, and nobody is served here.
        let Ok(process) = stream.peer_cred() else {
            return Ok(());
        };
        let _guest = self.guests.user(process.uid())?;
        let near = Near {
            lane: self.far.lane(),
            limits: self.limits.of_users(),
            stamp: stamp::of_process(process),
            watch: None,
            draining,
        };
        near.serve(stream).await;
        Ok(())
    }

    fn turned_away(&self, served: Result<(), TooMany>) {
        if let Err(word) = served {
            self.tally.turned_away(word);
        }
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
