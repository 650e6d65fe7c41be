//! Which chains are accepted, and by which word the others are refused.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;

use chains::{Authority, CA, DOMAIN, PRICING, SCORING, World, certificates, live, uri};
use featward_proxy::credentials::{Credentials, NewTrust};
use featward_proxy::peer::PeerCertificates;
use featward_proxy::verify::Cause;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

fn refused(credentials: &Credentials, chain: &PeerCertificates) -> Cause {
    let error = credentials.judge(chain).expect_err("the chain must be refused");
    assert!(
        error.detail.len() > 20,
        "the sentence says what is wrong: {error}"
    );
    error.cause
}

fn cause(world: &World, change: impl FnOnce(&mut CertificateParams)) -> Cause {
    refused(&world.credentials, &world.payments.chain(PRICING, change))
}

fn extension(oid: &[u64], content: &[u8], critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(critical);
    extension
}

const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const AUTHORITY_KEY_ID: &[u64] = &[2, 5, 29, 35];

#[test]
fn an_svid_in_its_authority_s_scope_is_accepted_with_its_facts() {
    let world = World::new();
    let chain = world.payments.chain(PRICING, |params| {
        params.serial_number = Some(vec![0xfe, 1, 2].into())
    });
    let peer = world.credentials.judge(&chain).unwrap();
    assert_eq!(peer.id().as_str(), PRICING);
    assert_eq!(peer.serial(), "fe0102");
    assert_eq!(peer.authority(), hex(&world.payments.spki_sha256()));
    assert!(!peer.expired());
    assert!(peer.not_after() > peer.not_before() + 3600);
}

#[test]
fn a_root_at_the_end_of_the_chain_changes_nothing() {
    let world = World::new();
    let leaf = world
        .payments
        .leaf(PRICING, &KeyPair::generate().unwrap(), |_| {});
    let chain = certificates([leaf, world.payments.der.clone(), world.root.der.clone()]);
    assert_eq!(
        world.credentials.judge(&chain).unwrap().authority(),
        hex(&world.payments.spki_sha256())
    );
}

#[test]
fn a_stolen_authority_makes_no_identity_outside_its_scope() {
    let world = World::new();
    assert_eq!(
        refused(&world.credentials, &world.payments.chain(SCORING, |_| {})),
        Cause::OutOfScope
    );
    assert_eq!(
        refused(&world.credentials, &world.payments.chain(CA, |_| {})),
        Cause::OutOfScope
    );
}

#[test]
fn a_forged_authority_key_identifier_does_not_help_a_stolen_authority() {
    let world = World::new();
    let claimed = world.risk.issuer.key_identifier_for_test();
    let content = [
        &[0x30, 2 + claimed.len() as u8, 0x80, claimed.len() as u8],
        claimed.as_slice(),
    ]
    .concat();
    let leaf = world
        .payments
        .leaf(SCORING, &KeyPair::generate().unwrap(), |params| {
            params.use_authority_key_identifier_extension = false;
            params
                .custom_extensions
                .push(extension(AUTHORITY_KEY_ID, &content, false));
        });
    for above in [
        vec![world.payments.der.clone()],
        vec![world.risk.der.clone(), world.payments.der.clone()],
        vec![world.payments.der.clone(), world.risk.der.clone()],
    ] {
        let chain = certificates(std::iter::once(leaf.clone()).chain(above));
        assert_eq!(refused(&world.credentials, &chain), Cause::OutOfScope);
    }
}

#[test]
fn a_stolen_authority_of_the_same_name_is_told_apart_by_its_key() {
    let world = World::new();
    // Same subject as the risk authority, other key: only the signature tells which one signed.
    let twin = world.root.intermediate("prod.risk");
    let leaf = twin.leaf(SCORING, &KeyPair::generate().unwrap(), |_| {});
    let chain = certificates([leaf, world.risk.der.clone(), twin.der.clone()]);
    assert_eq!(refused(&world.credentials, &chain), Cause::OutOfScope);
}

#[test]
fn a_key_that_is_not_in_the_table_signs_nothing() {
    let world = World::new();
    let stranger = world.root.intermediate("prod.payments");
    assert_eq!(
        refused(&world.credentials, &stranger.chain(PRICING, |_| {})),
        Cause::OutOfScope
    );
}

#[test]
fn a_root_signs_no_leaf() {
    let world = World::new();
    assert_eq!(
        refused(&world.credentials, &world.root.chain(PRICING, |_| {})),
        Cause::OutOfScope
    );
}

#[test]
fn an_authority_below_a_business_unit_s_authority_is_refused() {
    let world = World::new();
    let below = world.payments.intermediate("platform");
    let leaf = below.leaf(PRICING, &KeyPair::generate().unwrap(), |_| {});
    let chain = certificates([leaf, below.der.clone(), world.payments.der.clone()]);
    assert!(world.credentials.judge(&chain).is_err());
}

#[test]
fn a_scope_ends_at_a_whole_segment() {
    let world = World::new();
    let scopes = vec![(world.payments.spki_sha256(), "/bu/pay/".to_owned())];
    world
        .credentials
        .set_trust(NewTrust::new(vec![world.root.der.clone()], scopes, 2))
        .unwrap();
    assert_eq!(
        refused(&world.credentials, &world.payments.chain(PRICING, |_| {})),
        Cause::OutOfScope
    );
}

#[test]
fn another_root_of_the_same_name_is_an_unknown_authority() {
    let world = World::new();
    let other = Authority::root(DOMAIN).intermediate("prod.payments");
    assert_eq!(
        refused(&world.credentials, &other.chain(PRICING, |_| {})),
        Cause::UnknownAuthority
    );
}

#[test]
fn a_leaf_without_its_authority_is_of_an_unknown_authority() {
    let world = World::new();
    let leaf = world
        .payments
        .leaf(PRICING, &KeyPair::generate().unwrap(), |_| {});
    assert_eq!(
        refused(&world.credentials, &certificates([leaf])),
        Cause::UnknownAuthority
    );
}

#[test]
fn another_trust_domain_is_refused_though_our_own_authority_signed_it() {
    let world = World::new();
    let id = "spiffe://staging.acme.example/bu/payments/svc/pricing";
    assert_eq!(
        refused(&world.credentials, &world.payments.chain(id, |_| {})),
        Cause::WrongTrustDomain
    );
}

#[test]
fn no_certificate_is_refused() {
    let world = World::new();
    assert_eq!(
        refused(&world.credentials, &certificates([])),
        Cause::NoCertificate
    );
}

#[test]
fn nobody_is_trusted_before_trust_is_set() {
    let world = World::new();
    let credentials = Credentials::new(DOMAIN).unwrap();
    assert_eq!(
        refused(&credentials, &world.payments.chain(PRICING, |_| {})),
        Cause::NoTrust
    );
}

#[test]
fn an_expired_certificate_is_refused_and_within_the_grace_marked() {
    let world = World::new();
    let chain = world.payments.chain(PRICING, |params| live(params, -3600, -100));
    assert_eq!(refused(&world.credentials, &chain), Cause::Expired);
    assert!(world.credentials.judge_with_grace(&chain, 200).unwrap().expired());
    assert_eq!(
        world.credentials.judge_with_grace(&chain, 50).unwrap_err().cause,
        Cause::Expired
    );
}

#[test]
fn the_grace_does_not_widen_the_scope() {
    let world = World::new();
    let chain = world.payments.chain(SCORING, |params| live(params, -3600, -100));
    assert_eq!(
        world.credentials.judge_with_grace(&chain, 200).unwrap_err().cause,
        Cause::OutOfScope
    );
}

#[test]
fn a_certificate_of_the_future_is_not_yet_valid() {
    let world = World::new();
    assert_eq!(
        cause(&world, |params| live(params, 100, 3600)),
        Cause::NotYetValid
    );
}

#[test]
fn two_uris_are_a_bad_svid() {
    let world = World::new();
    assert_eq!(
        cause(&world, |params| params.subject_alt_names.push(uri(SCORING))),
        Cause::BadSvid
    );
    assert_eq!(
        cause(&world, |params| params.subject_alt_names.push(uri(PRICING))),
        Cause::BadSvid
    );
}

#[test]
fn no_uri_is_a_bad_svid() {
    let world = World::new();
    let dns = || SanType::DnsName("pricing.example".try_into().unwrap());
    assert_eq!(
        cause(&world, |params| params.subject_alt_names = vec![dns()]),
        Cause::BadSvid
    );
    assert_eq!(
        cause(&world, |params| params.subject_alt_names.clear()),
        Cause::BadSvid
    );
}

#[test]
fn a_dns_name_beside_the_uri_is_allowed() {
    let world = World::new();
    let dns = SanType::DnsName("pricing.example".try_into().unwrap());
    let chain = world
        .payments
        .chain(PRICING, |params| params.subject_alt_names.insert(0, dns));
    assert_eq!(world.credentials.judge(&chain).unwrap().id().as_str(), PRICING);
}

#[test]
fn an_id_that_is_not_strict_is_a_bad_svid() {
    let world = World::new();
    for id in [
        "spiffe://prod.acme.example",
        "spiffe://prod.acme.example/",
        "spiffe://prod.acme.example/bu/payments/../risk/svc/x",
        "spiffe://prod.acme.example/bu/payments/svc/x/",
        "spiffe://PROD.acme.example/bu/payments/svc/x",
        "https://prod.acme.example/bu/payments/svc/x",
        "spiffe://prod.acme.example/bu/payments/svc/%78",
    ] {
        assert_eq!(
            refused(&world.credentials, &world.payments.chain(id, |_| {})),
            Cause::BadSvid,
            "{id}"
        );
    }
}

#[test]
fn a_subject_alternative_name_that_is_not_critical_needs_a_subject() {
    let world = World::new();
    let content = [
        &[0x30, 2 + PRICING.len() as u8, 0x86, PRICING.len() as u8],
        PRICING.as_bytes(),
    ]
    .concat();
    let plain = |params: &mut CertificateParams| {
        params.subject_alt_names.clear();
        params
            .custom_extensions
            .push(extension(SUBJECT_ALT_NAME, &content, false));
    };
    assert_eq!(cause(&world, plain), Cause::BadSvid);
    let named = world.payments.chain(PRICING, |params| {
        plain(params);
        params.distinguished_name.push(DnType::CommonName, "pricing");
    });
    assert_eq!(world.credentials.judge(&named).unwrap().id().as_str(), PRICING);
}

#[test]
fn a_leaf_that_is_an_authority_is_a_bad_svid() {
    let world = World::new();
    assert_eq!(
        cause(&world, |params| params.is_ca =
            IsCa::Ca(BasicConstraints::Constrained(0))),
        Cause::BadSvid
    );
}

#[test]
fn a_key_usage_must_be_there_and_critical_and_right() {
    let world = World::new();
    assert_eq!(cause(&world, |params| params.key_usages.clear()), Cause::BadSvid);
    assert_eq!(
        cause(&world, |params| params.key_usages =
            vec![KeyUsagePurpose::KeyAgreement]),
        Cause::BadSvid
    );
    for extra in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
        assert_eq!(
            cause(&world, |params| params.key_usages.push(extra)),
            Cause::BadSvid
        );
    }
    let not_critical = cause(&world, |params| {
        params.key_usages.clear();
        params
            .custom_extensions
            .push(extension(KEY_USAGE, &[3, 2, 7, 0x80], false));
    });
    assert_eq!(not_critical, Cause::BadSvid);
}

#[test]
fn an_extended_key_usage_names_both_purposes_or_is_absent() {
    let world = World::new();
    for one in [
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ] {
        assert_eq!(
            cause(&world, |params| params.extended_key_usages = vec![one]),
            Cause::BadSvid
        );
    }
    let absent = world
        .payments
        .chain(PRICING, |params| params.extended_key_usages.clear());
    assert!(world.credentials.judge(&absent).is_ok());
}

#[test]
fn an_unknown_critical_extension_is_a_bad_svid() {
    let world = World::new();
    let change = |params: &mut CertificateParams| {
        params
            .custom_extensions
            .push(extension(&[1, 2, 3, 4], &[5, 0], true))
    };
    assert_eq!(cause(&world, change), Cause::BadSvid);
}

#[test]
fn bytes_after_the_certificate_and_noise_are_bad_svids() {
    let world = World::new();
    let mut leaf = world
        .payments
        .leaf(PRICING, &KeyPair::generate().unwrap(), |_| {});
    leaf.push(0);
    assert_eq!(
        refused(
            &world.credentials,
            &certificates([leaf, world.payments.der.clone()])
        ),
        Cause::BadSvid
    );
    assert_eq!(
        refused(&world.credentials, &certificates([vec![0x30, 0x82, 1]])),
        Cause::BadSvid
    );
}

#[test]
fn a_chain_that_is_too_long_is_not_even_read() {
    let world = World::new();
    let leaf = world
        .payments
        .leaf(PRICING, &KeyPair::generate().unwrap(), |_| {});
    let chain = certificates(std::iter::once(leaf).chain(vec![world.payments.der.clone(); 8]));
    assert_eq!(refused(&world.credentials, &chain), Cause::BadSvid);
}

#[test]
fn a_changed_signature_is_refused() {
    let world = World::new();
    let mut leaf = world
        .payments
        .leaf(PRICING, &KeyPair::generate().unwrap(), |_| {});
    *leaf.last_mut().unwrap() ^= 1;
    assert!(
        world
            .credentials
            .judge(&certificates([leaf, world.payments.der.clone()]))
            .is_err()
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What rcgen writes as the authority's subject key identifier.
trait KeyIdentifier {
    fn key_identifier_for_test(&self) -> Vec<u8>;
}

impl KeyIdentifier for rcgen::Issuer<'static, KeyPair> {
    fn key_identifier_for_test(&self) -> Vec<u8> {
        CertificateParams::default().key_identifier(self.key())
    }
}
