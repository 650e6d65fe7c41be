//! The identity and the trust of this process, shared by its Proxy, Listeners and Dialers. Both are read at every
//! handshake and replaced whole, so that no handshake ever sees half of a change; watchers are told of each one.

mod identity;
mod key;
mod trust;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use featward_policy::TrustDomain;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

pub(crate) use identity::Held;
pub use identity::Identity;
pub use key::{KeyError, PendingIdentity};
pub(crate) use trust::Trust;

use crate::peer::{Basis, Peer, PeerCertificates};
use crate::verify::{self, Cause, IdentityError};

/// The identity and trust of this process. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Credentials {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trust_domain: String,
    current: ArcSwap<Current>,
    /// Held while a change is made, so that two changes cannot lose one another.
    change: Mutex<()>,
    changes: watch::Sender<u64>,
    trust_changes: watch::Sender<u64>,
    identity_changes: watch::Sender<u64>,
}

/// What is in use; replaced, never changed.
#[derive(Clone, Debug, Default)]
struct Current {
    identity: Option<Arc<Held>>,
    trust: Option<Arc<Trust>>,
    /// The identity's chain with its root at the end, when trust knows the root.
    with_root: Option<Arc<CertifiedKey>>,
}

impl Credentials {
    /// Credentials of one trust domain, without identity or trust yet.
    pub fn new(trust_domain: &str) -> Result<Credentials, IdentityError> {
        TrustDomain::parse(trust_domain).map_err(|error| {
            IdentityError::new(Cause::WrongTrustDomain, format!("{trust_domain:?}: {error}"))
        })?;
        let shared = Shared {
            trust_domain: trust_domain.to_owned(),
            current: ArcSwap::default(),
            change: Mutex::new(()),
            changes: watch::Sender::new(0),
            trust_changes: watch::Sender::new(0),
            identity_changes: watch::Sender::new(0),
        };
        Ok(Credentials {
            shared: Arc::new(shared),
        })
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &str {
        &self.shared.trust_domain
    }

    /// Make a fresh key and the request for its certificate. Nothing changes until [`Credentials::set_identity`].
    pub fn new_identity(&self) -> Result<PendingIdentity, KeyError> {
        PendingIdentity::generate()
    }

    /// Use this chain (leaf first, DER) with the pending key from the next handshake on; returns what it says.
    pub fn set_identity(
        &self,
        pending: &PendingIdentity,
        chain: Vec<Vec<u8>>,
    ) -> Result<Identity, IdentityError> {
        let _changing = self.shared.change.lock();
        let generation = *self.shared.identity_changes.borrow() + 1;
        let held = Arc::new(Held::take(&pending.key, chain, self.trust_domain(), generation)?);
        let identity = held.identity.clone();
        self.swap(|current| current.identity = Some(held));
        self.shared.identity_changes.send_replace(generation);
        self.announce();
        Ok(identity)
    }

    /// Trust these roots (DER) and this scope table (SHA-256 of an authority's SPKI, path prefix) from now on. Live
    /// connections are judged again. A sequence below the one in use is refused, so that nothing old can return.
    pub fn set_trust(
        &self,
        roots: Vec<Vec<u8>>,
        scopes: Vec<(Vec<u8>, String)>,
        sequence: u64,
    ) -> Result<(), IdentityError> {
        let _changing = self.shared.change.lock();
        let before = self.trust();
        let in_use = before.as_ref().map_or(0, |trust| trust.sequence());
        if sequence < in_use {
            let detail = format!("the trust has sequence {sequence}, and {in_use} is in use already");
            return Err(IdentityError::new(Cause::StaleSequence, detail));
        }
        let mut trust = Trust::read(self.trust_domain(), roots, scopes, sequence)?;
        trust.follow(before.as_deref());
        let generation = trust.generation();
        self.swap(|current| current.trust = Some(Arc::new(trust)));
        self.shared
            .trust_changes
            .send_if_modified(|known| std::mem::replace(known, generation) != generation);
        self.announce();
        Ok(())
    }

    /// What the SVID in use says.
    pub fn identity(&self) -> Option<Identity> {
        self.shared
            .current
            .load()
            .identity
            .as_ref()
            .map(|held| held.identity.clone())
    }

    /// The sequence of the trust in use, 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.shared
            .current
            .load()
            .trust
            .as_ref()
            .map_or(0, |trust| trust.sequence())
    }

    /// Judge a peer's certificates by the trust in use, as of now.
    pub fn judge(&self, certificates: &PeerCertificates) -> Result<Peer, IdentityError> {
        self.judge_with_grace(certificates, 0)
    }

    /// The same, and accept (marked) what expired less than `grace` seconds ago. Never for traffic: it is there so
    /// that a workload that slept through its renewal can still ask for a new identity.
    pub fn judge_with_grace(
        &self,
        certificates: &PeerCertificates,
        grace: i64,
    ) -> Result<Peer, IdentityError> {
        let Some(trust) = self.trust() else {
            return Err(IdentityError::new(
                Cause::NoTrust,
                "no trust was set yet, so nobody can be trusted",
            ));
        };
        verify::by_trust(certificates, &trust, now(), grace)
    }

    /// Judge by a root's digest alone, at first contact with our own platform.
    pub(crate) fn judge_by_root(
        &self,
        certificates: &PeerCertificates,
        root_sha256: &[u8; 32],
    ) -> Result<Peer, IdentityError> {
        verify::by_root(certificates, root_sha256, now())
    }

    /// Judge a peer again on the basis that it was accepted on.
    pub(crate) fn judge_again(&self, peer: &Peer) -> Result<Peer, IdentityError> {
        match peer.basis() {
            Basis::Trust { grace, .. } => {
                let grace = if peer.expired() { grace } else { 0 };
                self.judge_with_grace(peer.certificates(), grace)
            }
            Basis::Root(digest) => self.judge_by_root(peer.certificates(), &digest),
        }
    }

    /// Told of every change of identity or trust.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Told of changes of trust; the number is the trust's generation.
    pub fn trust_changed(&self) -> watch::Receiver<u64> {
        self.shared.trust_changes.subscribe()
    }

    /// Told of changes of the identity; the number is the identity's generation, 0 before the first.
    pub fn identity_changed(&self) -> watch::Receiver<u64> {
        self.shared.identity_changes.subscribe()
    }

    pub(crate) fn held(&self) -> Option<Arc<Held>> {
        self.shared.current.load().identity.clone()
    }

    /// The chain and key for a handshake: the newest, with the root at its end if wanted and known.
    pub(crate) fn certified(&self, with_root: bool) -> Option<Arc<CertifiedKey>> {
        let current = self.shared.current.load();
        let rooted = if with_root {
            current.with_root.clone()
        } else {
            None
        };
        rooted.or_else(|| current.identity.as_ref().map(|held| held.certified.clone()))
    }

    fn trust(&self) -> Option<Arc<Trust>> {
        self.shared.current.load().trust.clone()
    }

    fn swap(&self, change: impl FnOnce(&mut Current)) {
        let mut next = Current::clone(&self.shared.current.load());
        change(&mut next);
        next.with_root = next.find_root();
        self.shared.current.store(Arc::new(next));
    }

    fn announce(&self) {
        self.shared.changes.send_modify(|count| *count += 1);
    }
}

impl Current {
    fn find_root(&self) -> Option<Arc<CertifiedKey>> {
        let (held, trust) = (self.identity.as_ref()?, self.trust.as_ref()?);
        let issued = verify::issued_by(&held.chain, trust.anchors(), held.identity.not_after).ok()?;
        Some(held.with_root(trust.root_of(&issued)?))
    }
}

/// The system's clock in Unix seconds; before 1970 counts as 0.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
