//! Accepts connections on the mTLS port and on the plain one, and says of each who is at its other end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Ended, Serving};
use super::{exchange, note};
use crate::credentials::Shown;
use crate::drain::Draining;
use crate::metrics::Socket;
use crate::peer::{Peer, PeerWatch};
use crate::sources::{Sources, part};
use crate::state::State;
use crate::tls::{Acceptor, HandshakeError, Http};
use crate::visitor::Visitor;

/// One listening socket of the serving side.
pub(crate) struct Door {
    pub(crate) state: Arc<State>,
    /// `mtls` or `plain`, as in records and metrics.
    pub(crate) name: &'static str,
    /// None on the plain port.
    pub(crate) acceptor: Option<Acceptor>,
    room: Arc<Semaphore>,
    handshaking: Sources,
}

/// Accepting fails when file descriptors run out; trying again at once would only burn a core.
const PAUSE: Duration = Duration::from_millis(50);

impl Door {
    pub(crate) fn new(state: Arc<State>, name: &'static str, acceptor: Option<Acceptor>) -> Door {
        let connections = state.config.limits.connections;
        Door {
            state,
            name,
            acceptor,
            room: Arc::new(Semaphore::new(connections)),
            handshaking: Sources::new(connections),
        }
    }

    /// Accept until draining begins.
    pub(crate) async fn open(self, listener: TcpListener, mut draining: Draining) {
        let room = Arc::clone(&self.room);
        let door = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = draining.begun() => return,
            };
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((stream, from)), Ok(permit)) => {
                    tokio::spawn(Arc::clone(&door).serve(stream, from, permit, draining.clone()));
                }
                // Closed at once: a client that waits in a queue learns nothing, one that is closed tries elsewhere.
                (Ok(_), Err(_)) => door.state.metrics.unwelcome(door.name, "too-many-connections"),
                (Err(_), _) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn serve(
        self: Arc<Door>,
        stream: TcpStream,
        from: SocketAddr,
        _permit: OwnedSemaphorePermit,
        draining: Draining,
    ) {
        // Without it answers wait for acknowledgements; where it fails the connection is gone anyway.
        let _ = stream.set_nodelay(true);
        let gauge = self
            .state
            .metrics
            .connections
            .get_or_create_owned(&Socket { listener: self.name });
        gauge.inc();
        match &self.acceptor {
            None => self.converse(stream, from, None, None, None, draining).await,
            Some(acceptor) => self.shake_hands(acceptor, stream, from, draining).await,
        }
        gauge.dec();
    }

    async fn shake_hands(
        &self,
        acceptor: &Acceptor,
        stream: TcpStream,
        from: SocketAddr,
        mut draining: Draining,
    ) {
        let shaking = self.handshaking.begin(from.ip());
        if !shaking.fits(self.room.available_permits()) {
            return self.state.metrics.unwelcome(self.name, "too-many-handshakes");
        }
        let accepted = tokio::select! {
            accepted = acceptor.accept(stream) => accepted,
            () = draining.begun() => return,
        };
        drop(shaking);
        match accepted {
            Ok(accepted) => {
                let own = Some(Shown::new(accepted.own, &self.state.credentials));
                Box::pin(self.converse(accepted.stream, from, accepted.peer, accepted.http, own, draining))
                    .await
            }
            Err(error) => self.turned_away(from.ip(), &error),
        }
    }

    async fn converse<I>(
        &self,
        io: I,
        from: SocketAddr,
        peer: Option<Peer>,
        http: Option<Http>,
        own: Option<Shown>,
        draining: Draining,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let watch = peer
            .as_ref()
            .map(|peer| PeerWatch::new(&self.state.credentials, peer));
        let visitor = Arc::new(Visitor::new(peer, from.ip(), self.name, &self.state.callers));
        // The other half is for other callers, however many connections this one opens and keeps.
        let half = part(self.state.config.limits.connections, 2);
        let Some(_connected) = visitor.caller.connect(half) else {
            return self.state.metrics.unwelcome(self.name, "too-many-of-one-caller");
        };
        let leave = || visitor.close_soon();
        let serving = Serving {
            limits: &self.state.config.limits,
            http,
            watch,
            own,
            draining,
            leave,
        };
        let ended = serving
            .run(io, |request| {
                exchange::answer(Arc::clone(&self.state), Arc::clone(&visitor), request)
            })
            .await;
        match ended {
            Ended::Unreadable => note::unreadable(&self.state, &visitor),
            Ended::Late => self.state.metrics.unwelcome(self.name, "too-slow"),
            Ended::Untrusted => self.state.metrics.unwelcome(self.name, "no-longer-trusted"),
            Ended::Closed | Ended::Stopped => {}
        }
    }

    fn turned_away(&self, from: IpAddr, error: &HandshakeError) {
        self.state.metrics.unwelcome(self.name, error.cause());
        note::handshake(&self.state, from, self.name, error);
    }
}
