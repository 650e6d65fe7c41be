//! Makes roots, authorities and leaves for tests, good ones by default and bad ones by a closure.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test binary uses a part"
)]

use std::time::{Duration, SystemTime};

use featward_proxy::credentials::{Credentials, NewTrust, PendingIdentity};
use featward_proxy::peer::PeerCertificates;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::CertificateDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

pub const DOMAIN: &str = "prod.acme.example";
pub const PRICING: &str = "spiffe://prod.acme.example/bu/payments/svc/pricing";
pub const SCORING: &str = "spiffe://prod.acme.example/bu/risk/svc/scoring";
pub const CA: &str = "spiffe://prod.acme.example/featward/ca";

/// A root or an intermediate that can sign.
pub struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub der: Vec<u8>,
}

pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
        .as_ref()
        .to_vec()
}

fn name(unit: &str, common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "featward");
    name.push(DnType::OrganizationalUnitName, unit);
    name.push(DnType::CommonName, common);
    name
}

fn authority_params(unit: &str, common: &str, path_length: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(unit, common);
    params.is_ca =
        IsCa::Ca(path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    pub fn root(common: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params("root", common, None);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Authority {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    pub fn intermediate(&self, unit: &str) -> Authority {
        self.intermediate_named(unit, "a1")
    }

    pub fn intermediate_named(&self, unit: &str, common: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(unit, common, Some(0));
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Authority {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    pub fn spki_sha256(&self) -> Vec<u8> {
        sha256(&self.issuer.key().subject_public_key_info())
    }

    /// A leaf for this key, as our CA makes it but for what the closure changes.
    pub fn leaf(
        &self,
        id: &str,
        key: &impl PublicKeyData,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let mut params = leaf_params(id);
        change(&mut params);
        params.signed_by(key, &self.issuer).unwrap().der().to_vec()
    }

    /// Leaf and authority, for a key of its own that nobody keeps.
    pub fn chain(&self, id: &str, change: impl FnOnce(&mut CertificateParams)) -> PeerCertificates {
        let leaf = self.leaf(id, &KeyPair::generate().unwrap(), change);
        certificates([leaf, self.der.clone()])
    }

    /// Give these credentials an identity.
    pub fn identify(&self, credentials: &Credentials, id: &str, change: impl FnOnce(&mut CertificateParams)) {
        let pending = credentials.new_identity().unwrap();
        let leaf = self.leaf(id, &requested_key(&pending), change);
        credentials
            .set_identity(&pending, vec![leaf, self.der.clone()])
            .unwrap();
    }
}

pub fn leaf_params(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![uri(id)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    live(&mut params, -60, 3600);
    params
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// Set the life, in seconds from now.
pub fn live(params: &mut CertificateParams, from: i64, to: i64) {
    let at = |seconds: i64| {
        let offset = Duration::from_secs(seconds.unsigned_abs());
        let now = SystemTime::now();
        if seconds < 0 { now - offset } else { now + offset }
    };
    params.not_before = at(from).into();
    params.not_after = at(to).into();
}

/// The key in a certificate request, all that an issuer takes from it.
pub struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

pub fn requested_key(pending: &PendingIdentity) -> RequestedKey {
    let (_, request) = X509CertificationRequest::from_der(pending.csr()).unwrap();
    RequestedKey(
        request
            .certification_request_info
            .subject_pki
            .subject_public_key
            .data
            .to_vec(),
    )
}

pub fn certificates(chain: impl IntoIterator<Item = Vec<u8>>) -> PeerCertificates {
    PeerCertificates::new(chain.into_iter().map(CertificateDer::from).collect())
}

/// A root, two business units and the platform, and credentials that trust them.
pub struct World {
    pub root: Authority,
    pub payments: Authority,
    pub risk: Authority,
    pub platform: Authority,
    pub credentials: Credentials,
}

impl World {
    pub fn new() -> World {
        let root = Authority::root(DOMAIN);
        let payments = root.intermediate("prod.payments");
        let risk = root.intermediate("prod.risk");
        let platform = root.intermediate("platform");
        let credentials = Credentials::new(DOMAIN).unwrap();
        let world = World {
            root,
            payments,
            risk,
            platform,
            credentials,
        };
        world.trust(&world.credentials, 1);
        world
    }

    pub fn scopes(&self) -> Vec<(Vec<u8>, String)> {
        vec![
            (self.payments.spki_sha256(), "/bu/payments/".into()),
            (self.risk.spki_sha256(), "/bu/risk/".into()),
            (self.platform.spki_sha256(), "/featward/".into()),
        ]
    }

    pub fn trust(&self, credentials: &Credentials, sequence: u64) {
        credentials
            .set_trust(NewTrust::new(
                vec![self.root.der.clone()],
                self.scopes(),
                sequence,
            ))
            .unwrap();
    }

    /// Credentials of another process with this identity and the same trust.
    pub fn process(&self, authority: &Authority, id: &str) -> Credentials {
        let credentials = Credentials::new(DOMAIN).unwrap();
        self.trust(&credentials, 1);
        authority.identify(&credentials, id, |_| {});
        credentials
    }
}
