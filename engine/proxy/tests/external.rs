//! Identities whose key another issuer made, and identities that are handed out with their key.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;

use chains::{DOMAIN, PRICING, SCORING, World};
use featward_policy::SpiffeId;
use featward_proxy::credentials::{Credentials, NewTrust};
use featward_proxy::tls::{Acceptor, Anchor, ClientCertificate, Connector, Expect, GRPC};
use featward_proxy::verify::Cause;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::duplex;

/// Credentials that trust the world's root without a table.
fn tableless(world: &World) -> Credentials {
    let credentials = Credentials::new(DOMAIN).unwrap();
    let mut new = NewTrust::new(vec![world.root.der.clone()], vec![], 1);
    new.scopes = None;
    credentials.set_trust(new).unwrap();
    credentials
}

async fn meet(server: &Credentials, client: &Credentials) -> (String, String) {
    let acceptor = Acceptor::new(server, ClientCertificate::Required, GRPC);
    let expect = Expect {
        identity: SpiffeId::parse(SCORING).unwrap(),
        by: Anchor::Trust,
    };
    let connector = Connector::new(client, expect, true, GRPC);
    let (near, far) = duplex(64 * 1024);
    let (accepted, connected) = tokio::join!(acceptor.accept(near), connector.connect(far));
    let id = |peer: &featward_proxy::peer::Peer| peer.id().as_str().to_owned();
    (id(&accepted.unwrap().peer.unwrap()), id(&connected.unwrap().peer))
}

#[tokio::test]
async fn any_key_that_signs_a_handshake_serves_with_a_leaf_alone() {
    let world = World::new();
    let client = tableless(&world);
    world.payments.identify(&client, PRICING, |_| {});
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let server = tableless(&world);
        let leaf = world.root.leaf(SCORING, &key, |_| {});
        let identity = server
            .set_external_identity(vec![leaf], &key.serialize_der())
            .unwrap();
        assert_eq!((identity.spiffe_id.as_str(), identity.authority), (SCORING, None));
        assert_eq!(
            meet(&server, &client).await,
            (PRICING.to_owned(), SCORING.to_owned()),
            "{algorithm:?}"
        );
    }
}

#[test]
fn a_foreign_key_is_held_to_the_same_rules() {
    let world = World::new();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let leaf = world.risk.leaf(SCORING, &key, |_| {});
    let set = |chain: Vec<Vec<u8>>, key: &[u8]| world.credentials.set_external_identity(chain, key);
    let risk = world.risk.der.clone();
    for (chain, pkcs8, cause) in [
        (vec![], key.serialize_der(), Cause::NoCertificate),
        (vec![leaf.clone()], other.serialize_der(), Cause::KeyMismatch),
        (vec![leaf.clone()], b"noise".to_vec(), Cause::KeyMismatch),
        (
            vec![leaf.clone(), world.payments.der.clone()],
            key.serialize_der(),
            Cause::UnknownAuthority,
        ),
        (
            vec![world.risk.leaf("spiffe://partner.example/svc/a", &key, |_| {})],
            key.serialize_der(),
            Cause::WrongTrustDomain,
        ),
    ] {
        assert_eq!(set(chain, &pkcs8).unwrap_err().cause, cause);
    }
    let identity = set(vec![leaf, risk], &key.serialize_der()).unwrap();
    assert_eq!(identity.authority.unwrap().len(), 64);
}

#[test]
fn an_exported_identity_is_the_chain_in_use_and_its_own_key() {
    let world = World::new();
    let credentials = Credentials::new(DOMAIN).unwrap();
    assert!(credentials.export_identity().unwrap().is_none());
    world.payments.identify(&credentials, PRICING, |_| {});
    let (chain, pkcs8) = credentials.export_identity().unwrap().unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1], world.payments.der);
    // Whoever takes both is this workload: the leaf is for exactly this key.
    let taker = Credentials::new(DOMAIN).unwrap();
    let taken = taker.set_external_identity(chain, &pkcs8).unwrap();
    assert_eq!(Some(taken), credentials.identity());
    let again = taker.export_identity().unwrap().unwrap();
    assert_eq!(again.1, pkcs8);
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
    let pair = KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    assert_eq!(pair.der_bytes().len(), 65);
}

#[test]
fn nothing_that_is_printed_holds_a_foreign_key() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let leaf = world.risk.leaf(SCORING, &key, |_| {});
    world
        .credentials
        .set_external_identity(vec![leaf], &key.serialize_der())
        .unwrap();
    let printed = format!("{:?}", world.credentials);
    assert!(printed.contains("External(ExternalKey)"), "{printed}");
    let secret = format!("{:?}", &key.serialize_der()[40..60]);
    assert!(!printed.contains(secret.trim_matches(['[', ']'])));
}
