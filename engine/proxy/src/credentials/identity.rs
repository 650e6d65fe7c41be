//! The identity that this process proves: key, chain, and what they say.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use serde::Serialize;

use super::external::ExternalKey;
use super::key::{HandshakeKey, Key, KeyError};
use crate::hex;
use crate::peer::PeerCertificates;
use crate::verify::{Cause, IdentityError, Svid, issued_by};

/// What the SVID in use says; serialises to the JSON of `Credentials.identity()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The SPIFFE ID.
    pub spiffe_id: String,
    /// The serial number, lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the public key that signed it, lower-case hexadecimal; None when the chain is only a leaf, as
    /// issuers send it that sign with their root.
    pub authority: Option<String>,
    /// First second of its life (Unix time).
    pub not_before: i64,
    /// Last second of its life (Unix time).
    pub not_after: i64,
}

/// Whose key an identity has.
#[derive(Clone, Debug)]
pub(super) enum Holder {
    /// Made here, certified by our CA.
    Own(Arc<Key>),
    /// Made by another issuer, which signs as it likes: a chain may be a leaf alone.
    External(Arc<ExternalKey>),
}

impl Holder {
    fn spki(&self) -> &[u8] {
        match self {
            Holder::Own(key) => key.spki(),
            Holder::External(key) => &key.spki,
        }
    }

    fn signing(&self) -> Arc<dyn SigningKey> {
        match self {
            Holder::Own(key) => Arc::new(HandshakeKey(key.clone())),
            Holder::External(key) => key.signing.clone(),
        }
    }

    fn pkcs8(&self) -> Result<Vec<u8>, KeyError> {
        match self {
            Holder::Own(key) => key.pkcs8(),
            Holder::External(key) => Ok(key.pkcs8.to_vec()),
        }
    }
}

/// An identity with its key, ready for handshakes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) identity: Identity,
    pub(crate) chain: PeerCertificates,
    pub(crate) certified: Arc<CertifiedKey>,
    holder: Holder,
    pub(crate) generation: u64,
}

impl Held {
    /// Take a chain for this key; refused when the leaf is for another key, another trust domain, breaks the
    /// X.509-SVID rules, or was not signed by the certificate after it. Its dates are not judged here: what to do
    /// about an expired identity is the agent's business, and peers refuse it anyway.
    pub(super) fn take(
        holder: Holder,
        chain: Vec<Vec<u8>>,
        trust_domain: &str,
        generation: u64,
    ) -> Result<Held, IdentityError> {
        let chain = PeerCertificates::new(chain.into_iter().map(CertificateDer::from).collect());
        let svid = leaf_for(&holder, &chain, trust_domain)?;
        let authority = match &holder {
            Holder::External(_) if chain.above().is_empty() => None,
            _ => Some(hex::encode(&signer(&chain, &svid)?)),
        };
        let certified = Arc::new(CertifiedKey::new(chain.all().to_vec(), holder.signing()));
        let identity = Identity {
            spiffe_id: svid.id.as_str().to_owned(),
            serial: svid.serial,
            authority,
            not_before: svid.not_before,
            not_after: svid.not_after,
        };
        Ok(Held {
            identity,
            chain,
            certified,
            holder,
            generation,
        })
    }

    /// Chain and private key of one moment; see [`super::Credentials::export_identity`].
    pub(super) fn export(&self) -> Result<(Vec<Vec<u8>>, Vec<u8>), KeyError> {
        let chain = self.chain.all().iter().map(|one| one.to_vec()).collect();
        Ok((chain, self.holder.pkcs8()?))
    }

    /// The same with this root at the end of the chain, for servers that strangers meet for the first time.
    pub(crate) fn with_root(&self, root: &CertificateDer<'static>) -> Arc<CertifiedKey> {
        if self.chain.all().contains(root) {
            return self.certified.clone();
        }
        let mut chain = self.chain.all().to_vec();
        chain.push(root.clone());
        Arc::new(CertifiedKey::new(chain, self.certified.key.clone()))
    }
}

/// The leaf of this chain, which must be for this key and of this trust domain.
fn leaf_for(holder: &Holder, chain: &PeerCertificates, trust_domain: &str) -> Result<Svid, IdentityError> {
    let Some(leaf) = chain.leaf() else {
        return Err(IdentityError::new(
            Cause::NoCertificate,
            "the chain is empty, expected leaf and authority",
        ));
    };
    let svid = Svid::parse(leaf)?;
    if svid.spki != holder.spki() {
        let detail = format!(
            "the certificate of {} is for another key than the given one",
            svid.id
        );
        return Err(IdentityError::new(Cause::KeyMismatch, detail));
    }
    if svid.id.trust_domain() != trust_domain {
        let detail = format!("{} is not of the trust domain {trust_domain}", svid.id);
        return Err(IdentityError::new(Cause::WrongTrustDomain, detail));
    }
    Ok(svid)
}

/// The key that signed the leaf, which must be that of the next certificate in the chain.
fn signer(chain: &PeerCertificates, svid: &Svid) -> Result<[u8; 32], IdentityError> {
    let Some(issuer) = chain.above().first() else {
        return Err(IdentityError::new(
            Cause::BadSvid,
            "the chain holds only a leaf, expected the authority after it",
        ));
    };
    let anchor = webpki::anchor_from_trusted_cert(issuer).map_err(crate::verify::unusable)?;
    let leaf = PeerCertificates::new(chain.leaf().into_iter().cloned().collect());
    Ok(issued_by(&leaf, &[anchor], svid.not_after)?.authority())
}
