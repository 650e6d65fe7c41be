//! Judges a peer's certificates: the X.509-SVID rules, a path to a root of the trust domain in the SPIFFE ID, and
//! whether the key that really verified the leaf may sign that path. Apart from the handshake, because the same
//! judgement is passed again on live connections whenever trust changes.

mod cause;
mod clock;
pub(crate) mod handshake;
mod path;
mod svid;

pub use cause::{Cause, IdentityError};
pub(crate) use clock::Clock;
pub(crate) use path::{Issued, issued_by, refused as unusable};
pub(crate) use svid::Svid;

use featward_policy::SpiffeId;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::credentials::Trust;
use crate::hex;
use crate::peer::{Basis, By, Peer, PeerCertificates};

/// More than leaf, intermediate and root, and room for a cross-signed pair; each one more costs us signatures.
const CERTIFICATES_AT_MOST: usize = 8;

/// Judge a chain by the trust in use: the roots of the trust domain in its SPIFFE ID, scope table, bans. A leaf that
/// expired less than `grace` seconds ago is accepted, and marked as expired; its chain is then judged as of its last
/// second.
pub(crate) fn by_trust(
    chain: &PeerCertificates,
    trust: &Trust,
    now: i64,
    grace: i64,
) -> Result<Peer, IdentityError> {
    let svid = read_leaf(chain)?;
    let Some(anchors) = trust.anchors_of(svid.id.trust_domain()) else {
        return Err(other_domain(&svid, trust));
    };
    let life = Life::of(&svid, now, grace)?;
    let issued = issued_by(chain, anchors, life.judged_at)?;
    trust.check_scope(&issued, &svid)?;
    trust.check_bans(&issued, &svid, now)?;
    let basis = Basis {
        by: By::Trust { grace },
        generation: trust.generation(),
    };
    Ok(Peer::new(chain, svid, &issued, life.expired, basis))
}

/// Judge a chain of our own platform by the roots in use and the name of its issuer instead of the scope table.
pub(crate) fn platform(chain: &PeerCertificates, trust: &Trust, now: i64) -> Result<Peer, IdentityError> {
    let svid = read_leaf(chain)?;
    if svid.id.trust_domain() != trust.trust_domain() {
        return Err(other_domain(&svid, trust));
    }
    let issued = by_platform(chain, &svid, trust.anchors(), now)?;
    trust.check_bans(&issued, &svid, now)?;
    let basis = Basis {
        by: By::Platform,
        generation: trust.generation(),
    };
    Ok(Peer::new(chain, svid, &issued, false, basis))
}

/// Judge a chain by the digest of a root that it must hold itself: first contact, before any trust is known. Where
/// there is trust all the same, its bans count.
pub(crate) fn by_root(
    chain: &PeerCertificates,
    root_sha256: &[u8; 32],
    trust: Option<&Trust>,
    now: i64,
) -> Result<Peer, IdentityError> {
    let svid = read_leaf(chain)?;
    let anchor = sent_root(chain, root_sha256)?;
    let issued = by_platform(chain, &svid, std::slice::from_ref(&anchor), now)?;
    if let Some(trust) = trust {
        trust.check_bans(&issued, &svid, now)?;
    }
    let basis = Basis {
        by: By::Root(*root_sha256),
        generation: trust.map_or(0, Trust::generation),
    };
    Ok(Peer::new(chain, svid, &issued, false, basis))
}

/// Without a scope table nothing tells the platform's authority from a business unit's but its certificate, which
/// the root signed; so the leaf's issuer must say OU=platform, and must stand directly below the root.
fn by_platform(
    chain: &PeerCertificates,
    svid: &Svid,
    anchors: &[TrustAnchor<'_>],
    now: i64,
) -> Result<Issued, IdentityError> {
    let life = Life::of(svid, now, 0)?;
    let issued = issued_by(chain, anchors, life.judged_at)?;
    if issued.intermediates() == 1 && issued.organizational_units == ["platform"] {
        return Ok(issued);
    }
    let detail = format!(
        "the certificate of {} was not signed by the platform's authority",
        svid.id
    );
    Err(IdentityError::new(Cause::OutOfScope, detail))
}

fn other_domain(svid: &Svid, trust: &Trust) -> IdentityError {
    let detail = format!("{} is not of the trust domain {}", svid.id, trust.trust_domain());
    IdentityError::new(Cause::WrongTrustDomain, detail)
}

/// Judge by whichever basis a connection was accepted on.
pub(crate) fn expected(peer: &Peer, expect: &SpiffeId) -> Result<(), IdentityError> {
    if peer.id() == expect {
        return Ok(());
    }
    let detail = format!("the peer is {}, expected {expect}", peer.id());
    Err(IdentityError::new(Cause::WrongIdentity, detail))
}

fn read_leaf(chain: &PeerCertificates) -> Result<Svid, IdentityError> {
    if chain.all().len() > CERTIFICATES_AT_MOST {
        let detail = format!(
            "the chain holds {} certificates, at most {CERTIFICATES_AT_MOST} are read",
            chain.all().len()
        );
        return Err(IdentityError::new(Cause::BadSvid, detail));
    }
    match chain.leaf() {
        Some(leaf) => Svid::parse(leaf),
        None => Err(IdentityError::new(
            Cause::NoCertificate,
            "the peer sent no certificate",
        )),
    }
}

fn sent_root<'a>(
    chain: &'a PeerCertificates,
    root_sha256: &[u8; 32],
) -> Result<TrustAnchor<'a>, IdentityError> {
    let is_root = |certificate: &&CertificateDer<'_>| sha256(certificate) == *root_sha256;
    let Some(root) = chain.above().iter().find(is_root) else {
        let detail = format!(
            "the server sent no root with the SHA-256 digest {}",
            hex::encode(root_sha256)
        );
        return Err(IdentityError::new(Cause::UnknownAuthority, detail));
    };
    webpki::anchor_from_trusted_cert(root).map_err(unusable)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

/// At which second the chain is to be judged, and whether the leaf is past its life.
struct Life {
    judged_at: i64,
    expired: bool,
}

impl Life {
    fn of(svid: &Svid, now: i64, grace: i64) -> Result<Life, IdentityError> {
        if now < svid.not_before {
            let detail = format!(
                "the certificate of {} is valid in {} s only",
                svid.id,
                svid.not_before - now
            );
            return Err(IdentityError::new(Cause::NotYetValid, detail));
        }
        let over = now.saturating_sub(svid.not_after);
        if over > grace.max(0) {
            let detail = format!("the certificate of {} expired {over} s ago", svid.id);
            return Err(IdentityError::new(Cause::Expired, detail));
        }
        Ok(Life {
            judged_at: now.min(svid.not_after),
            expired: over > 0,
        })
    }
}
