//! Certificate requests as strangers send them: bounded, verified, and reduced to their public key.
//!
//! Nothing else of a request is looked at: subject, names and extensions are the CA's to decide.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, EcdsaVerificationAlgorithm,
    UnparsedPublicKey,
};
use thiserror::Error;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::der::P256_HEAD;

/// The longest request that is read. One for a P-256 key has about 200 bytes; four kilobytes leave room for
/// extensions that are ignored.
pub const LONGEST: usize = 4096;

/// The x coordinate of P-256's base point: the public key of the private keys 1 and n-1, which everybody knows.
const BASE_POINT_X: [u8; 32] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
    0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
];

/// Why a request is refused; told to the caller as it stands.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// Too short or too long to be one.
    #[error("a certificate request has 1 to {LONGEST} bytes, this one has {0}")]
    Size(usize),
    /// No PKCS #10, or something follows it.
    #[error("the certificate request is no readable PKCS #10 in DER")]
    Unreadable,
    /// Another kind of key, another curve, or a compressed point.
    #[error("the key of a certificate request must be ECDSA on P-256, its point uncompressed")]
    Key,
    /// A key that everybody can use.
    #[error("the private half of this key is publicly known; make a new key")]
    KnownKey,
    /// The caller does not hold the key, or proves it with a weak digest.
    #[error("the certificate request is not signed by its own key with SHA-256 or better")]
    Signature,
}

/// The SubjectPublicKeyInfo (DER) of the key that a request proves to hold.
pub fn public_key(csr: &[u8]) -> Result<Vec<u8>, RequestError> {
    // Before anything is parsed: what a stranger sends is bounded by its size alone.
    if !(1..=LONGEST).contains(&csr.len()) {
        return Err(RequestError::Size(csr.len()));
    }
    let request = match X509CertificationRequest::from_der(csr) {
        Ok(([], request)) => request,
        _ => return Err(RequestError::Unreadable),
    };
    let info = &request.certification_request_info;
    let point = acceptable_point(&info.subject_pki)?;
    let algorithm = algorithm(&request.signature_algorithm).ok_or(RequestError::Signature)?;
    // aws-lc refuses a point that is not on the curve, and the point at infinity, before it verifies.
    UnparsedPublicKey::new(algorithm, point)
        .verify(info.raw, &request.signature_value.data)
        .map_err(|_| RequestError::Signature)?;
    Ok(info.subject_pki.raw.to_vec())
}

fn acceptable_point<'a>(key: &SubjectPublicKeyInfo<'a>) -> Result<&'a [u8], RequestError> {
    match key.raw.strip_prefix(&P256_HEAD) {
        Some(point @ [0x04, coordinates @ ..]) if coordinates.len() == 64 => {
            if coordinates.starts_with(&BASE_POINT_X) {
                return Err(RequestError::KnownKey);
            }
            Ok(point)
        }
        _ => Err(RequestError::Key),
    }
}

fn algorithm(identifier: &AlgorithmIdentifier<'_>) -> Option<&'static EcdsaVerificationAlgorithm> {
    // RFC 5758 3.2: these have no parameters.
    if identifier.parameters.is_some() {
        return None;
    }
    match identifier.algorithm.to_id_string().as_str() {
        "1.2.840.10045.4.3.2" => Some(&ECDSA_P256_SHA256_ASN1),
        "1.2.840.10045.4.3.3" => Some(&ECDSA_P256_SHA384_ASN1),
        "1.2.840.10045.4.3.4" => Some(&ECDSA_P256_SHA512_ASN1),
        _ => None,
    }
}
