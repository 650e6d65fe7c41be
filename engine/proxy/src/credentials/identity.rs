//! The identity that this process proves: key, chain, and what they say.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use serde::Serialize;

use super::key::{HandshakeKey, Key};
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
    /// SHA-256 of the public key that signed it, lower-case hexadecimal.
    pub authority: String,
    /// First second of its life (Unix time).
    pub not_before: i64,
    /// Last second of its life (Unix time).
    pub not_after: i64,
}

/// An identity with its key, ready for handshakes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) identity: Identity,
    pub(crate) chain: PeerCertificates,
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) generation: u64,
}

impl Held {
    /// Take a chain for this key; refused when the leaf is for another key, another trust domain, breaks the
    /// X.509-SVID rules, or was not signed by the certificate after it. Its dates are not judged here: what to do
    /// about an expired identity is the agent's business, and peers refuse it anyway.
    pub(crate) fn take(
        key: &Arc<Key>,
        chain: Vec<Vec<u8>>,
        trust_domain: &str,
        generation: u64,
    ) -> Result<Held, IdentityError> {
        let chain = PeerCertificates::new(chain.into_iter().map(CertificateDer::from).collect());
        let Some(leaf) = chain.leaf() else {
            return Err(IdentityError::new(
                Cause::NoCertificate,
                "the chain is empty, expected leaf and authority",
            ));
        };
        let svid = Svid::parse(leaf)?;
        if svid.spki != key.spki() {
            let detail = format!(
                "the certificate of {} is for another key than the pending one",
                svid.id
            );
            return Err(IdentityError::new(Cause::KeyMismatch, detail));
        }
        if svid.id.trust_domain() != trust_domain {
            let detail = format!("{} is not of the trust domain {trust_domain}", svid.id);
            return Err(IdentityError::new(Cause::WrongTrustDomain, detail));
        }
        let authority = signer(&chain, &svid)?;
        let handshake_key = Arc::new(HandshakeKey(key.clone()));
        let certified = Arc::new(CertifiedKey::new(chain.all().to_vec(), handshake_key));
        let identity = Identity {
            spiffe_id: svid.id.as_str().to_owned(),
            serial: svid.serial,
            authority: hex::encode(&authority),
            not_before: svid.not_before,
            not_after: svid.not_after,
        };
        Ok(Held {
            identity,
            chain,
            certified,
            generation,
        })
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
    Ok(issued_by(&leaf, &[anchor], svid.not_after)?.authority)
}
