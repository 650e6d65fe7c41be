//! What becomes an identity and a trust, and what does not.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;

use chains::{Authority, DOMAIN, PRICING, World, requested_key};
use featward_proxy::credentials::{Credentials, NewTrust};
use featward_proxy::verify::Cause;
use rcgen::KeyPair;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

#[test]
fn a_certificate_request_says_nothing_but_the_key() {
    let pending = Credentials::new(DOMAIN).unwrap().new_identity().unwrap();
    let (rest, request) = X509CertificationRequest::from_der(pending.csr()).unwrap();
    assert!(rest.is_empty());
    assert_eq!(request.certification_request_info.subject.iter().count(), 0);
    assert!(request.certification_request_info.attributes().is_empty());
}

#[test]
fn two_identities_never_share_a_key() {
    let credentials = Credentials::new(DOMAIN).unwrap();
    assert_ne!(
        credentials.new_identity().unwrap().csr(),
        credentials.new_identity().unwrap().csr()
    );
}

#[test]
fn an_identity_is_what_its_certificate_says() {
    let world = World::new();
    let credentials = world.process(&world.payments, PRICING);
    let identity = credentials.identity().unwrap();
    assert_eq!(identity.spiffe_id, PRICING);
    assert_eq!(identity.authority.unwrap().len(), 64);
    assert_eq!(*credentials.identity_changed().borrow(), 1);
}

#[test]
fn a_refused_identity_leaves_the_old_one_in_use() {
    let world = World::new();
    let credentials = world.process(&world.payments, PRICING);
    let before = credentials.identity();
    let pending = credentials.new_identity().unwrap();
    let leaf = world
        .payments
        .leaf(PRICING, &KeyPair::generate().unwrap(), |_| {});
    let error = credentials
        .set_identity(&pending, vec![leaf, world.payments.der.clone()])
        .unwrap_err();
    assert_eq!(error.cause, Cause::KeyMismatch);
    assert_eq!(credentials.identity(), before);
    assert_eq!(*credentials.identity_changed().borrow(), 1);
}

#[test]
fn an_identity_needs_a_good_leaf_of_our_domain_and_its_signer() {
    let world = World::new();
    let pending = world.credentials.new_identity().unwrap();
    let key = requested_key(&pending);
    let good = world.payments.leaf(PRICING, &key, |_| {});
    let foreign = world
        .payments
        .leaf("spiffe://staging.acme.example/bu/payments/svc/a", &key, |_| {});
    let bad = world
        .payments
        .leaf(PRICING, &key, |params| params.key_usages.clear());
    let payments = world.payments.der.clone();
    for (chain, cause) in [
        (vec![], Cause::NoCertificate),
        (vec![good.clone()], Cause::BadSvid),
        (
            vec![good.clone(), world.risk.der.clone()],
            Cause::UnknownAuthority,
        ),
        (vec![foreign, payments.clone()], Cause::WrongTrustDomain),
        (vec![bad, payments.clone()], Cause::BadSvid),
        (vec![b"noise".to_vec(), payments.clone()], Cause::BadSvid),
    ] {
        assert_eq!(
            world.credentials.set_identity(&pending, chain).unwrap_err().cause,
            cause
        );
    }
    world
        .credentials
        .set_identity(&pending, vec![good, payments])
        .unwrap();
}

#[test]
fn a_sequence_below_the_one_in_use_is_refused() {
    let world = World::new();
    let roots = || vec![world.root.der.clone()];
    world
        .credentials
        .set_trust(NewTrust::new(roots(), world.scopes(), 7))
        .unwrap();
    let error = world
        .credentials
        .set_trust(NewTrust::new(roots(), vec![], 6))
        .unwrap_err();
    assert_eq!(error.cause, Cause::StaleSequence);
    assert_eq!(world.credentials.sequence(), 7);
    assert!(
        world
            .credentials
            .judge(&world.payments.chain(PRICING, |_| {}))
            .is_ok()
    );
}

#[test]
fn the_same_trust_again_is_no_change_of_trust() {
    let world = World::new();
    let mut changed = world.credentials.trust_changed();
    changed.mark_unchanged();
    world.trust(&world.credentials, 9);
    assert!(!changed.has_changed().unwrap());
    assert_eq!(world.credentials.sequence(), 9);
    world
        .credentials
        .set_trust(NewTrust::new(vec![world.root.der.clone()], vec![], 9))
        .unwrap();
    assert!(changed.has_changed().unwrap());
}

#[test]
fn a_trust_that_cannot_be_meant_is_refused() {
    let world = World::new();
    let key = world.payments.spki_sha256();
    let root = world.root.der.clone();
    let row = |key: &[u8], prefix: &str| (key.to_vec(), prefix.to_owned());
    for (roots, scopes) in [
        (vec![], vec![]),
        (vec![b"noise".to_vec()], vec![]),
        (vec![root.clone()], vec![row(&key[1..], "/bu/payments/")]),
        (
            vec![root.clone()],
            vec![row(&world.root.spki_sha256(), "/bu/payments/")],
        ),
        (vec![root.clone()], vec![row(&key, "/")]),
        (vec![root.clone()], vec![row(&key, "")]),
        (vec![root.clone()], vec![row(&key, "/bu/payments")]),
        (vec![root.clone()], vec![row(&key, "//")]),
        (
            vec![root.clone()],
            vec![row(&key, "/bu/payments/"), row(&key, "/bu/risk/")],
        ),
    ] {
        let error = world
            .credentials
            .set_trust(NewTrust::new(roots, scopes.clone(), 2))
            .unwrap_err();
        assert_eq!(error.cause, Cause::BadTrust, "{scopes:?}");
    }
    assert_eq!(world.credentials.sequence(), 1);
}

#[test]
fn a_root_that_is_gone_takes_its_chains_with_it() {
    let world = World::new();
    let chain = world.payments.chain(PRICING, |_| {});
    assert!(world.credentials.judge(&chain).is_ok());
    let other = Authority::root(DOMAIN);
    world
        .credentials
        .set_trust(NewTrust::new(vec![other.der], world.scopes(), 2))
        .unwrap();
    assert_eq!(
        world.credentials.judge(&chain).unwrap_err().cause,
        Cause::UnknownAuthority
    );
}

#[test]
fn nothing_that_is_printed_holds_the_key() {
    let credentials = Credentials::new(DOMAIN).unwrap();
    let pending = credentials.new_identity().unwrap();
    let printed = format!("{pending:?}");
    assert!(printed.contains("Key(P-256)"), "{printed}");
}
