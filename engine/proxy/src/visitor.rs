//! Who is at the other end of a served connection, told once when it is accepted.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use featward_policy::SpiffeId;

use crate::callers::{Caller, Callers, Key};
use crate::peer::Peer;

/// One connection's other end.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// The proven peer; None on the plain port.
    pub(crate) peer: Option<Peer>,
    /// Its address, as records show it.
    pub(crate) source: Box<str>,
    /// Which of our sockets it came to, `mtls` or `plain`.
    pub(crate) via: &'static str,
    /// Its row in the table of callers.
    pub(crate) caller: Arc<Caller>,
    /// The next answer says that the connection closes.
    closing: AtomicBool,
}

impl Visitor {
    pub(crate) fn new(peer: Option<Peer>, source: IpAddr, via: &'static str, callers: &Callers) -> Visitor {
        // IPv4 callers of a dual-stack socket are shown as what they are.
        let source = source.to_canonical();
        let key = match &peer {
            Some(peer) => Key::Identity(peer.id().as_str().into()),
            None => Key::Source(Some(source)),
        };
        Visitor {
            peer,
            source: source.to_string().into(),
            via,
            caller: callers.enter(key),
            closing: AtomicBool::new(false),
        }
    }

    /// The peer's identity.
    pub(crate) fn identity(&self) -> Option<&SpiffeId> {
        self.peer.as_ref().map(Peer::id)
    }

    /// Let the next answer be the last on an HTTP/1 connection.
    pub(crate) fn close_soon(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether this answer is the last.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
