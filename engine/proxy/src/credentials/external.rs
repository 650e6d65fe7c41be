//! A key that somebody else made: the SVID of another issuer (a Workload API socket, files) comes with its key, of
//! whatever kind that issuer uses. The PKCS #8 is kept, wiped when it is dropped, because rustls gives no key back.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use crate::verify::{Cause, IdentityError};

/// A key as its issuer gave it to us.
pub(crate) struct ExternalKey {
    pub(super) signing: Arc<dyn SigningKey>,
    pub(super) spki: Vec<u8>,
    pub(super) pkcs8: Zeroizing<Vec<u8>>,
}

impl ExternalKey {
    /// Read a PKCS #8 key of any kind that can sign a TLS 1.3 handshake.
    pub(super) fn read(pkcs8: &[u8]) -> Result<ExternalKey, IdentityError> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        let signing = any_supported_type(&der).map_err(|_| unusable())?;
        let spki = signing.public_key().ok_or_else(unusable)?.to_vec();
        Ok(ExternalKey {
            signing,
            spki,
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
        })
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalKey")
    }
}

/// The reason is not passed on: what a parser says of a private key may quote it.
fn unusable() -> IdentityError {
    IdentityError::new(
        Cause::KeyMismatch,
        "the key cannot be used, expected PKCS #8 of an RSA, ECDSA (P-256, P-384, P-521) or Ed25519 key",
    )
}
