//! A P-256 key that lives and dies inside aws-lc, which wipes its memory when it is freed. No private byte ever
//! passes through a Rust buffer, so there is nothing here to zeroise and nothing that `Debug` could show; the one
//! exception is [`Key::pkcs8`], which exists for apps that must hold the key themselves.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rcgen::{CertificateParams, DistinguishedName, PublicKeyData};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

/// The key of an identity.
pub(crate) struct Key {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
}

/// A fresh key that waits for its certificate, with the request for one.
#[derive(Debug)]
pub struct PendingIdentity {
    pub(crate) key: Arc<Key>,
    csr: Vec<u8>,
}

/// The system could not make a key, or not write it out: no entropy or no memory.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the P-256 key cannot be made or read: {0}")]
pub struct KeyError(String);

impl PendingIdentity {
    /// Make a key and a PKCS #10 request for it whose subject, attributes and extensions are empty: an issuer
    /// takes nothing but the key from a request, so there is nothing else to say in it.
    pub(crate) fn generate() -> Result<PendingIdentity, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|error| KeyError(error.to_string()))?;
        let mut key = Key {
            pair,
            spki: Vec::new(),
        };
        key.spki = key.subject_public_key_info();
        let mut request = CertificateParams::default();
        request.distinguished_name = DistinguishedName::new();
        let csr = request
            .serialize_request(&key)
            .map_err(|error| KeyError(error.to_string()))?;
        Ok(PendingIdentity {
            key: Arc::new(key),
            csr: csr.der().to_vec(),
        })
    }

    /// The certificate request, DER.
    pub fn csr(&self) -> &[u8] {
        &self.csr
    }
}

impl Key {
    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The private key as PKCS #8: it leaves the engine, and whoever holds it is this workload.
    pub(super) fn pkcs8(&self) -> Result<Vec<u8>, KeyError> {
        let document = self.pair.to_pkcs8v1();
        document
            .map(|document| document.as_ref().to_vec())
            .map_err(|error| KeyError(error.to_string()))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(P-256)")
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The key as rustls uses it in handshakes.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeKey(pub(crate) Arc<Key>);

impl SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let ours = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        ours.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.spki()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for HandshakeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0
            .signature(message)
            .map_err(|_| rustls::Error::General("signing failed".into()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
