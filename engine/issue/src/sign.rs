//! An authority's key: signs what was checked for it, once, and looks at what came out.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::der::{ECDSA_WITH_SHA256, P256_HEAD, element};
use crate::{IssueError, Linted};

/// A P-256 key of an authority. aws-lc holds it, and wipes its memory when it is freed.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public: ParsedPublicKey,
    spki: Vec<u8>,
}

impl SigningKey {
    /// Take a key from unencrypted PKCS #8 (DER).
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<SigningKey, IssueError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map_err(|error| IssueError::Key(error.to_string()))?;
        let point = pair.public_key().as_ref();
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .map_err(|error| IssueError::Key(error.to_string()))?;
        let spki = [&P256_HEAD, point].concat();
        Ok(SigningKey { pair, public, spki })
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The certificate (DER) around the very bytes that were checked. The leave to sign is spent whatever comes
    /// of it.
    pub fn sign(&self, linted: Linted) -> Result<Vec<u8>, IssueError> {
        if digest(&SHA256, &self.spki).as_ref() != linted.signer_sha256() {
            return Err(IssueError::AnotherAuthority);
        }
        let signature = self
            .pair
            .sign(&SystemRandom::new(), linted.tbs())
            .map_err(|_| IssueError::Signature("the key could not sign"))?;
        let certificate = assemble(linted.tbs(), signature.as_ref());
        self.check(&certificate, &linted)?;
        Ok(certificate)
    }

    /// Read the result once more: a fault of memory or of the assembly must not leave the CA.
    fn check(&self, certificate: &[u8], linted: &Linted) -> Result<(), IssueError> {
        let Ok(([], read)) = X509Certificate::from_der(certificate) else {
            return Err(IssueError::Signature("it can't be read"));
        };
        let tbs = read.tbs_certificate.as_ref();
        if digest(&SHA256, tbs).as_ref() != linted.tbs_sha256() {
            return Err(IssueError::Signature("its content differs"));
        }
        self.public
            .verify_sig(tbs, &read.signature_value.data)
            .map_err(|_| IssueError::Signature("its signature does not verify"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(P-256)")
    }
}

/// RFC 5280 4.1: SEQUENCE { tbsCertificate, signatureAlgorithm, BIT STRING signature }.
fn assemble(tbs: &[u8], signature: &[u8]) -> Vec<u8> {
    element(
        0x30,
        &[tbs, &ECDSA_WITH_SHA256, &element(0x03, &[&[0], signature])],
    )
}
