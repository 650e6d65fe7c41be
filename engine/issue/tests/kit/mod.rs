//! An authority and orders to try, and DER written by hand, so that a test can put any field into a certificate.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test binary uses a part"
)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use featward_issue::{Leaf, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};

/// 2026-11-22 00:00:00 UTC.
pub const NOW: i64 = 1_795_305_600;
/// What the authority of these tests may sign.
pub const PREFIX: &str = "/bu/payments/";

/// An authority with its key.
pub struct Scene {
    pub issuer: Vec<u8>,
    pub pkcs8: Vec<u8>,
}

impl Scene {
    /// An intermediate, valid from an hour before NOW until 2051, so that both forms of time occur.
    pub fn new() -> Scene {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "featward");
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, "prod.payments");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2051, 1, 1);
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(sha1(key.der_bytes()));
        let certificate = params.self_signed(&key).unwrap();
        Scene {
            issuer: certificate.der().to_vec(),
            pkcs8: key.serialize_der(),
        }
    }

    pub fn key(&self) -> SigningKey {
        SigningKey::from_pkcs8(&self.pkcs8).unwrap()
    }
}

/// An hour's SVID for a fresh key.
pub fn a_leaf() -> Leaf {
    Leaf {
        spki: an_spki(),
        spiffe_id: "spiffe://prod.acme.example/bu/payments/svc/pricing-api".into(),
        serial: [
            0x9c, 0x11, 0x5a, 0x07, 0xd0, 0x42, 0x8e, 0x61, 0xbf, 0x30, 0x27, 0xee, 0x14, 0xa8, 0x5c, 0x93,
        ],
        not_before: NOW,
        not_after: NOW + 3600,
    }
}

pub fn an_spki() -> Vec<u8> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .unwrap()
        .subject_public_key_info()
}

pub fn sha1(bytes: &[u8]) -> Vec<u8> {
    let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
    aws_lc_rs::digest::digest(algorithm, bytes).as_ref().to_vec()
}

/// One DER element.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let size = content.len();
    let length = match size {
        0..=0x7f => vec![size as u8],
        0x80..=0xff => vec![0x81, size as u8],
        _ => vec![0x82, (size >> 8) as u8, size as u8],
    };
    [&[tag], &length[..], &content[..]].concat()
}

pub fn oid(bytes: &[u8]) -> Vec<u8> {
    tlv(0x06, &[bytes])
}

/// The fields of a to-be-signed certificate, each to be replaced.
#[derive(Clone)]
pub struct Fields {
    pub version: Vec<u8>,
    pub serial: Vec<u8>,
    pub algorithm: Vec<u8>,
    pub issuer: Vec<u8>,
    pub validity: [Vec<u8>; 2],
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub unique: Vec<u8>,
    pub extensions: Vec<(&'static str, Vec<u8>)>,
}

impl Fields {
    /// What the linter must accept for this leaf.
    pub fn of(issuer: &[u8], leaf: &Leaf) -> Fields {
        let (_, authority) = x509_parser::parse_x509_certificate(issuer).unwrap();
        let key = sha1(&authority.public_key().subject_public_key.data);
        let named = |tag: u8, text: &str| tlv(tag, &[text.as_bytes()]);
        Fields {
            version: vec![0xa0, 3, 2, 1, 2],
            serial: tlv(2, &[&[0], &leaf.serial]),
            algorithm: ecdsa(2),
            issuer: authority.subject().as_raw().to_vec(),
            validity: [named(0x17, "261122000000Z"), named(0x17, "261122010000Z")],
            subject: vec![0x30, 0],
            spki: leaf.spki.clone(),
            unique: vec![],
            extensions: vec![
                ("constraints", extension(0x13, true, &[0x30, 0])),
                ("usage", extension(0x0f, true, &[3, 2, 7, 0x80])),
                (
                    "own key",
                    extension(0x0e, false, &tlv(4, &[&sha1(&leaf.spki[26..])])),
                ),
                (
                    "authority key",
                    extension(0x23, false, &tlv(0x30, &[&tlv(0x80, &[&key])])),
                ),
                (
                    "purposes",
                    extension(0x25, false, &tlv(0x30, &[&purpose(1), &purpose(2)])),
                ),
                (
                    "name",
                    extension(0x11, true, &tlv(0x30, &[&uri(&leaf.spiffe_id)])),
                ),
            ],
        }
    }

    pub fn put(&mut self, name: &str, extension: Vec<u8>) {
        let slot = self
            .extensions
            .iter_mut()
            .find(|(other, _)| *other == name)
            .unwrap();
        slot.1 = extension;
    }

    pub fn tbs(&self) -> Vec<u8> {
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(_, bytes)| bytes.clone())
            .collect();
        let validity = tlv(0x30, &[&self.validity[0], &self.validity[1]]);
        let extensions = if extensions.is_empty() {
            vec![]
        } else {
            tlv(0xa3, &[&tlv(0x30, &[&extensions])])
        };
        tlv(
            0x30,
            &[
                &self.version,
                &self.serial,
                &self.algorithm,
                &self.issuer,
                &validity,
                &self.subject,
                &self.spki,
                &self.unique,
                &extensions,
            ],
        )
    }
}

/// ecdsa-with-SHA256 is 2, with SHA384 3.
pub fn ecdsa(last: u8) -> Vec<u8> {
    tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, last])])
}

/// id-kp-serverAuth is 1, clientAuth 2, codeSigning 3.
pub fn purpose(last: u8) -> Vec<u8> {
    oid(&[0x2b, 6, 1, 5, 5, 7, 3, last])
}

pub fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, &[text.as_bytes()])
}

pub fn extension(last: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&oid(&[0x55, 0x1d, last]), flag, &tlv(4, &[value])])
}

/// A PKCS #10 request with this key and algorithm, signed by `pair`; its subject is empty.
pub fn a_request(spki: &[u8], pair: &EcdsaKeyPair, algorithm: &[u8]) -> Vec<u8> {
    let info = tlv(0x30, &[&[2, 1, 0], &[0x30, 0], spki, &[0xa0, 0]]);
    let signature = pair.sign(&SystemRandom::new(), &info).unwrap();
    tlv(0x30, &[&info, algorithm, &tlv(3, &[&[0], signature.as_ref()])])
}

pub fn a_pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
}

/// SubjectPublicKeyInfo of P-256 around these bytes of a point.
pub fn spki_of(point: &[u8]) -> Vec<u8> {
    let algorithm = tlv(
        0x30,
        &[
            &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
            &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        ],
    );
    tlv(0x30, &[&algorithm, &tlv(3, &[&[0], point])])
}
