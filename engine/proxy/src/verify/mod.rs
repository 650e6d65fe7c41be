//! Judges a peer's certificates: the X.509-SVID rules, a path to a root of the trust domain in the SPIFFE ID, and
//! whether the key that really verified the leaf may sign that path. Apart from the handshake, because the same
//! judgement is passed again on live connections whenever trust changes.

mod cause;
pub(crate) mod handshake;
mod path;
mod svid;

pub use cause::{Cause, IdentityError};
pub(crate) use path::{Issued, issued_by, refused as unusable};
pub(crate) use svid::Svid;

use featward_policy::SpiffeId;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::credentials::Trust;
use crate::hex;
use crate::peer::{Basis, Peer, PeerCertificates};

/// More than leaf, intermediate and root, and room for a cross-signed pair; each one more costs us signatures.
const CERTIFICATES_AT_MOST: usize = 8;

/// Judge a chain by the trust in use: root, scope table, trust domain. A leaf that expired less than `grace`
/// seconds ago is accepted, and marked as expired; its chain is then judged as of its last second.
pub(crate) fn by_trust(
    chain: &PeerCertificates,
    trust: &Trust,
    now: i64,
    grace: i64,
) -> Result<Peer, IdentityError> {
    let svid = read_leaf(chain)?;
    if svid.id.trust_domain() != trust.trust_domain() {
        let detail = format!("{} is not of the trust domain {}", svid.id, trust.trust_domain());
        return Err(IdentityError::new(Cause::WrongTrustDomain, detail));
    }
    let life = Life::of(&svid, now, grace)?;
    let issued = issued_by(chain, trust.anchors(), life.judged_at)?;
    trust.check_scope(&issued, &svid.id)?;
    Ok(Peer::new(
        chain,
        svid,
        &issued,
        life.expired,
        Basis::Trust {
            grace,
            generation: trust.generation(),
        },
    ))
}

/// Judge a chain by the digest of a root that it must hold itself: first contact, before any trust is known.
///
/// Without a scope table nothing tells the platform's authority from a business unit's but its certificate, which
/// the root signed; so the leaf's issuer must say OU=platform, and must stand directly below the root.
pub(crate) fn by_root(
    chain: &PeerCertificates,
    root_sha256: &[u8; 32],
    now: i64,
) -> Result<Peer, IdentityError> {
    let svid = read_leaf(chain)?;
    let life = Life::of(&svid, now, 0)?;
    let anchor = sent_root(chain, root_sha256)?;
    let issued = issued_by(chain, std::slice::from_ref(&anchor), life.judged_at)?;
    if issued.intermediates != 1 || issued.organizational_units != ["platform"] {
        let detail = format!(
            "the certificate of {} was not signed by the platform's authority",
            svid.id
        );
        return Err(IdentityError::new(Cause::OutOfScope, detail));
    }
    Ok(Peer::new(chain, svid, &issued, false, Basis::Root(*root_sha256)))
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
