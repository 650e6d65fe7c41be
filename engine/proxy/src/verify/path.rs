//! The path from a leaf to a root, by rustls-webpki, and the key in it that verified the leaf's signature.
//!
//! The key is taken from webpki's verified path and never from the leaf's authority key identifier: whoever signs
//! a leaf writes that field as they like, so a stolen authority could name another one there.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext,
    VerifiedPath,
};

use super::{Cause, IdentityError, sha256, svid};
use crate::peer::PeerCertificates;

/// Who really signed a leaf.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// SHA-256 of the SubjectPublicKeyInfo of every key on the path: first the one that verified the leaf's
    /// signature, last the root's. There is always one, because a path has a root.
    pub(crate) keys: Vec<[u8; 32]>,
    /// OU attributes of the issuing certificate, when there is one below the root.
    pub(crate) organizational_units: Vec<String>,
    /// When the first of the authorities between leaf and root expires.
    pub(crate) not_after: i64,
    /// Subject and SPKI of the root that the path ends at.
    pub(crate) anchor: (Vec<u8>, Vec<u8>),
}

impl Issued {
    /// SHA-256 of the SubjectPublicKeyInfo of the key that verified the leaf's signature.
    pub(crate) fn authority(&self) -> [u8; 32] {
        self.keys.first().copied().unwrap_or_default()
    }

    /// How many authorities stand between leaf and root; 0 when a root signed the leaf itself.
    pub(crate) fn intermediates(&self) -> usize {
        self.keys.len().saturating_sub(1)
    }
}

/// Find and verify a path from the chain's leaf to one of these roots, as of this second.
pub(crate) fn issued_by(
    chain: &PeerCertificates,
    anchors: &[TrustAnchor<'_>],
    at: i64,
) -> Result<Issued, IdentityError> {
    let Some(leaf) = chain.leaf() else {
        return Err(IdentityError::new(Cause::NoCertificate, "the chain is empty"));
    };
    let leaf = EndEntityCert::try_from(leaf).map_err(refused)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)));
    let algorithms = crate::tls::provider().signature_verification_algorithms.all;
    let path = leaf
        .verify_for_usage(algorithms, anchors, chain.above(), at, BothPurposes, None, None)
        .map_err(refused)?;
    describe(&path)
}

fn describe(path: &VerifiedPath<'_>) -> Result<Issued, IdentityError> {
    let certificates: Vec<CertificateDer<'_>> =
        path.intermediate_certificates().map(|one| one.der()).collect();
    let above = path.intermediate_certificates();
    let mut keys: Vec<_> = above.map(|one| sha256(&one.subject_public_key_info())).collect();
    keys.push(sha256(&webpki::spki_for_anchor(path.anchor())));
    let mut not_after = i64::MAX;
    for certificate in &certificates {
        not_after = not_after.min(svid::read(certificate)?.validity().not_after.timestamp());
    }
    let organizational_units = match certificates.first() {
        Some(issuer) => organizational_units(issuer)?,
        None => Vec::new(),
    };
    let anchor = path.anchor();
    Ok(Issued {
        keys,
        organizational_units,
        not_after,
        anchor: (anchor.subject.to_vec(), anchor.subject_public_key_info.to_vec()),
    })
}

fn organizational_units(issuer: &CertificateDer<'_>) -> Result<Vec<String>, IdentityError> {
    let issuer = svid::read(issuer)?;
    let units = issuer.subject().iter_organizational_unit();
    units
        .map(|unit| unit.as_str().map(str::to_owned))
        .collect::<Result<_, _>>()
        .map_err(|_| IdentityError::new(Cause::BadSvid, "the issuer's organizational unit is not text"))
}

/// Webpki's refusals in our words.
pub(crate) fn refused(error: Error) -> IdentityError {
    let cause = match error {
        Error::CertExpired { .. } => Cause::Expired,
        Error::CertNotValidYet { .. } => Cause::NotYetValid,
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Cause::UnknownAuthority,
        _ => Cause::BadSvid,
    };
    IdentityError::new(
        cause,
        format!("no path leads from the certificate to a trusted root: {error}"),
    )
}

/// Where a certificate of the path limits its purposes, it must allow both ends of a connection: an SVID is used
/// for both, and the same judgement is passed on servers and clients.
struct BothPurposes;

impl ExtendedKeyUsageValidator for BothPurposes {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut found = Vec::new();
        for purpose in purposes {
            found.push(purpose?.to_decoded_oid());
        }
        let lacks = |oid: &[usize]| !found.is_empty() && !found.iter().any(|one| one == oid);
        let required = if lacks(KeyUsage::SERVER_AUTH_REPR) {
            KeyUsage::server_auth()
        } else if lacks(KeyUsage::CLIENT_AUTH_REPR) {
            KeyUsage::client_auth()
        } else {
            return Ok(());
        };
        Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required,
            present: found,
        }))
    }
}
