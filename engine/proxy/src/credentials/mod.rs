//! The identity and the trust of this process, shared by its Proxy, Listeners and Dialers. Both are read at every
//! handshake and replaced whole, so that no handshake ever sees half of a change; watchers are told of each one.

mod bans;
mod external;
mod foreign;
mod identity;
mod judging;
mod key;
mod scopes;
mod shown;
mod trust;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use featward_policy::TrustDomain;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

pub use bans::Ban;
pub(crate) use identity::Held;
pub use identity::Identity;
pub use key::{KeyError, PendingIdentity};
pub(crate) use shown::Shown;
pub use trust::NewTrust;
pub(crate) use trust::Trust;

use crate::verify::{self, Cause, IdentityError};
use external::ExternalKey;
use identity::Holder;

/// A chain, leaf first, in DER, and its private key as PKCS #8.
pub type ExportedIdentity = (Vec<Vec<u8>>, Vec<u8>);

/// The identity and trust of this process. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Credentials {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trust_domain: String,
    current: ArcSwap<Current>,
    earlier: shown::Earlier,
    /// Held while a change is made, so that two changes cannot lose one another.
    change: Mutex<()>,
    changes: watch::Sender<u64>,
    trust_changes: watch::Sender<u64>,
    identity_changes: watch::Sender<u64>,
    /// Our clock minus the CA's in seconds, as the bits of a float; not a number while it is not known.
    clock_offset: AtomicU64,
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
            earlier: shown::Earlier::default(),
            change: Mutex::new(()),
            changes: watch::Sender::new(0),
            trust_changes: watch::Sender::new(0),
            identity_changes: watch::Sender::new(0),
            clock_offset: AtomicU64::new(f64::NAN.to_bits()),
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
        self.hold(Holder::Own(pending.key.clone()), chain)
    }

    /// Use this chain (leaf first, DER) and this key (PKCS #8), which another issuer made, from the next handshake
    /// on. Any key that can sign a handshake does; a chain may be a leaf alone, as issuers send it that sign with
    /// their root.
    pub fn set_external_identity(&self, chain: Vec<Vec<u8>>, key: &[u8]) -> Result<Identity, IdentityError> {
        let key = ExternalKey::read(key)?;
        self.hold(Holder::External(Arc::new(key)), chain)
    }

    /// The chain (DER) and the private key (PKCS #8) in use, both of one moment.
    ///
    /// Danger: whoever gets hold of the key is this workload until the certificate expires, and no ban of a process
    /// stops a copy. Only what hands an app its own identity may call this: the Workload API, SDS and file output.
    pub fn export_identity(&self) -> Result<Option<ExportedIdentity>, KeyError> {
        self.held().map(|held| held.export()).transpose()
    }

    /// Trust this and nothing else from now on. Live connections are judged again. A sequence below the one in use
    /// is refused, so that nothing old can return.
    pub fn set_trust(&self, new: NewTrust) -> Result<(), IdentityError> {
        let _changing = self.shared.change.lock();
        let before = self.trust();
        let in_use = before.as_ref().map_or(0, |trust| trust.sequence());
        if new.sequence < in_use {
            let sequence = new.sequence;
            let detail = format!("the trust has sequence {sequence}, and {in_use} is in use already");
            return Err(IdentityError::new(Cause::StaleSequence, detail));
        }
        let mut trust = Trust::read(self.trust_domain(), new)?;
        trust.follow(before.as_deref());
        let generation = trust.generation();
        self.swap(|current| current.trust = Some(Arc::new(trust)));
        self.shared
            .trust_changes
            .send_if_modified(|known| std::mem::replace(known, generation) != generation);
        self.announce();
        Ok(())
    }

    /// Say how far our clock is ahead of the CA's (negative: behind), in seconds; None when it is not known any
    /// more. It words refusals for time and is a metric; it never makes a certificate acceptable.
    pub fn set_clock_offset(&self, seconds: Option<f64>) {
        let bits = seconds.filter(|seconds| seconds.is_finite()).unwrap_or(f64::NAN);
        self.shared.clock_offset.store(bits.to_bits(), Ordering::Relaxed);
    }

    /// How far our clock is ahead of the CA's in seconds, if known.
    pub fn clock_offset(&self) -> Option<f64> {
        let seconds = f64::from_bits(self.shared.clock_offset.load(Ordering::Relaxed));
        seconds.is_finite().then_some(seconds)
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

    /// The newest identity for a handshake, and its chain and key, with the root at the end if wanted and known.
    pub(crate) fn certified(&self, with_root: bool) -> Option<(Arc<Held>, Arc<CertifiedKey>)> {
        let current = self.shared.current.load();
        let held = current.identity.clone()?;
        let rooted = if with_root {
            current.with_root.clone()
        } else {
            None
        };
        let certified = rooted.unwrap_or_else(|| held.certified.clone());
        Some((held, certified))
    }

    fn hold(&self, holder: Holder, chain: Vec<Vec<u8>>) -> Result<Identity, IdentityError> {
        let _changing = self.shared.change.lock();
        let generation = *self.shared.identity_changes.borrow() + 1;
        let held = Arc::new(Held::take(holder, chain, self.trust_domain(), generation)?);
        let identity = held.identity.clone();
        if let Some(before) = self.held() {
            self.shared.earlier.add(&before);
        }
        self.swap(|current| current.identity = Some(held));
        self.shared.identity_changes.send_replace(generation);
        self.announce();
        Ok(identity)
    }

    pub(crate) fn trust(&self) -> Option<Arc<Trust>> {
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
