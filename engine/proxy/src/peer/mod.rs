//! Who is at the other end of a connection: a peer whose certificates were judged good, with what is needed to
//! judge them again when trust changes or time passes.

mod watch;

use std::sync::Arc;

use featward_policy::SpiffeId;
use rustls::pki_types::CertificateDer;

pub use watch::{PeerWatch, Verdict};

use crate::hex;
use crate::verify::{Issued, Svid, sha256};

/// The certificates that a peer sent, leaf first, not judged yet. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PeerCertificates(Arc<[CertificateDer<'static>]>);

impl PeerCertificates {
    /// Keep these certificates, leaf first.
    pub fn new(chain: Vec<CertificateDer<'static>>) -> PeerCertificates {
        PeerCertificates(chain.into())
    }

    /// All of them, leaf first.
    pub fn all(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    pub(crate) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.0.first()
    }

    /// What came with the leaf; only material to build a path from.
    pub(crate) fn above(&self) -> &[CertificateDer<'static>] {
        self.0.get(1..).unwrap_or_default()
    }
}

/// What a peer was accepted by, and must keep being acceptable by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Basis {
    pub(crate) by: By,
    /// The generation of the trust in use then, 0 before the first: tells whether trust has changed since.
    pub(crate) generation: u64,
}

/// Whose word counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// All of the trust in use: roots, scope table, bans.
    Trust {
        /// How long after its end a certificate was acceptable, in seconds.
        grace: i64,
    },
    /// The trusted roots and the issuer's own name, for a platform whose newest authority we may not know yet.
    Platform,
    /// The digest of a root, at first contact.
    Root([u8; 32]),
}

/// A peer whose identity is proven. Only a judgement makes one.
#[derive(Clone, Debug)]
pub struct Peer {
    facts: Arc<Facts>,
}

#[derive(Debug)]
struct Facts {
    id: SpiffeId,
    serial: String,
    authority: String,
    key: String,
    not_before: i64,
    not_after: i64,
    expired: bool,
    basis: Basis,
    certificates: PeerCertificates,
}

impl Peer {
    pub(crate) fn new(
        chain: &PeerCertificates,
        svid: Svid,
        issued: &Issued,
        expired: bool,
        basis: Basis,
    ) -> Peer {
        Peer {
            facts: Arc::new(Facts {
                id: svid.id,
                serial: svid.serial,
                authority: hex::encode(&issued.authority()),
                key: hex::encode(&sha256(&svid.spki)),
                not_before: svid.not_before,
                not_after: svid.not_after.min(issued.not_after),
                expired,
                basis,
                certificates: chain.clone(),
            }),
        }
    }

    /// The SPIFFE ID.
    pub fn id(&self) -> &SpiffeId {
        &self.facts.id
    }

    /// The certificate's serial number, lower-case hexadecimal.
    pub fn serial(&self) -> &str {
        &self.facts.serial
    }

    /// SHA-256 of the public key that really signed the certificate, lower-case hexadecimal.
    pub fn authority(&self) -> &str {
        &self.facts.authority
    }

    /// SHA-256 of the certificate's own public key (its SubjectPublicKeyInfo), lower-case hexadecimal. Whoever holds
    /// an authority's key can write any serial and any identity into a certificate, but not this one's key.
    pub fn key(&self) -> &str {
        &self.facts.key
    }

    /// The first second of the certificate's life (Unix time).
    pub fn not_before(&self) -> i64 {
        self.facts.not_before
    }

    /// The last second of the life of the certificate and of those above it (Unix time).
    pub fn not_after(&self) -> i64 {
        self.facts.not_after
    }

    /// Whether the certificate was past its life, and accepted within the grace that a Listener gives.
    pub fn expired(&self) -> bool {
        self.facts.expired
    }

    /// The certificates, to be judged again.
    pub fn certificates(&self) -> &PeerCertificates {
        &self.facts.certificates
    }

    pub(crate) fn basis(&self) -> Basis {
        self.facts.basis
    }
}
