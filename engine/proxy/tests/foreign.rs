//! Trust domains that are not ours, and issuers without a scope table.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;
mod scene;

use chains::{Authority, DOMAIN, PRICING, SCORING, World, certificates};
use featward_policy::v1;
use featward_proxy::credentials::{Ban, NewTrust};
use featward_proxy::peer::PeerCertificates;
use featward_proxy::verify::{Cause, IdentityError};
use rcgen::KeyPair;
use scene::policy::{CONV, binding};
use scene::wire::Wire;
use scene::{Scene, ask, post};

const PARTNER: &str = "partner.example";
const BUYER: &str = "spiffe://partner.example/bu/payments/svc/pricing";

/// The world's trust and these foreign domains.
fn federate(world: &World, sequence: u64, foreign: &[(&str, &[&Authority])]) -> Result<(), IdentityError> {
    let domain = |(name, roots): &(&str, &[&Authority])| {
        let roots = roots.iter().map(|root| root.der.clone()).collect();
        ((*name).to_owned(), roots)
    };
    world.credentials.set_trust(NewTrust {
        foreign: foreign.iter().map(domain).collect(),
        ..NewTrust::new(vec![world.root.der.clone()], world.scopes(), sequence)
    })
}

fn cause(world: &World, chain: &PeerCertificates) -> Option<Cause> {
    world.credentials.judge(chain).err().map(|error| error.cause)
}

/// A leaf alone, signed by a root: what an issuer with one self-signed key sends.
fn alone(root: &Authority, id: &str) -> PeerCertificates {
    certificates([root.leaf(id, &KeyPair::generate().unwrap(), |_| {})])
}

#[test]
fn a_foreign_identity_is_judged_by_the_roots_of_its_own_domain_only() {
    let (world, theirs) = (World::new(), Authority::root(PARTNER));
    federate(&world, 2, &[(PARTNER, &[&theirs])]).unwrap();
    let below = theirs.intermediate("anything");
    assert_eq!(cause(&world, &below.chain(BUYER, |_| {})), None);
    assert_eq!(cause(&world, &alone(&theirs, BUYER)), None);
    // Neither side's root makes identities of the other, or of a third.
    assert_eq!(
        cause(&world, &world.payments.chain(BUYER, |_| {})),
        Some(Cause::UnknownAuthority)
    );
    assert_eq!(
        cause(&world, &below.chain(PRICING, |_| {})),
        Some(Cause::UnknownAuthority)
    );
    let third = below.chain("spiffe://third.example/bu/payments/svc/pricing", |_| {});
    assert_eq!(cause(&world, &third), Some(Cause::WrongTrustDomain));
}

#[test]
fn a_foreign_domain_that_is_gone_or_empty_has_nobody_that_is_accepted() {
    let (world, theirs) = (World::new(), Authority::root(PARTNER));
    let chain = alone(&theirs, BUYER);
    federate(&world, 2, &[(PARTNER, &[&theirs])]).unwrap();
    assert_eq!(cause(&world, &chain), None);
    federate(&world, 3, &[(PARTNER, &[])]).unwrap();
    assert_eq!(cause(&world, &chain), Some(Cause::UnknownAuthority));
    federate(&world, 4, &[]).unwrap();
    assert_eq!(cause(&world, &chain), Some(Cause::WrongTrustDomain));
}

#[test]
fn a_key_of_ours_under_a_foreign_name_judges_nobody() {
    let world = World::new();
    federate(&world, 2, &[(PARTNER, &[&world.root, &world.payments])]).unwrap();
    let stolen = world.payments.chain(BUYER, |_| {});
    assert_eq!(cause(&world, &stolen), Some(Cause::UnknownAuthority));
    let direct = alone(&world.payments, BUYER);
    assert_eq!(cause(&world, &direct), Some(Cause::UnknownAuthority));
}

#[test]
fn what_a_foreign_domain_publishes_cannot_keep_our_own_trust_from_being_used() {
    let (world, theirs) = (World::new(), Authority::root(PARTNER));
    let new = NewTrust {
        bans: vec![Ban::read("identity", PRICING, 0).unwrap()],
        foreign: vec![(PARTNER.into(), vec![b"noise".to_vec(), theirs.der.clone()])],
        ..NewTrust::new(vec![world.root.der.clone()], world.scopes(), 2)
    };
    world.credentials.set_trust(new).unwrap();
    assert_eq!(cause(&world, &alone(&theirs, BUYER)), None);
    assert_eq!(
        cause(&world, &world.payments.chain(PRICING, |_| {})),
        Some(Cause::Banned)
    );
}

#[test]
fn a_foreign_domain_that_is_ours_or_there_twice_or_no_name_is_refused() {
    let (world, theirs) = (World::new(), Authority::root(PARTNER));
    let roots: &[&Authority] = &[&theirs];
    for foreign in [
        vec![(DOMAIN, roots)],
        vec![(PARTNER, roots), (PARTNER, roots)],
        vec![("spiffe://partner.example", roots)],
        vec![("", roots)],
    ] {
        assert_eq!(federate(&world, 2, &foreign).unwrap_err().cause, Cause::BadTrust);
    }
    assert_eq!(world.credentials.sequence(), 1);
}

#[test]
fn bans_hold_for_foreign_identities_and_keys_and_not_for_their_serials() {
    let (world, theirs) = (World::new(), Authority::root(PARTNER));
    let leaf = theirs.leaf(BUYER, &KeyPair::generate().unwrap(), |params| {
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x0a, 0xbc]));
    });
    let chain = certificates([leaf]);
    let key: String = theirs
        .spki_sha256()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for (kind, value, expected) in [
        ("identity", BUYER, Some(Cause::Banned)),
        ("authority", key.as_str(), Some(Cause::Banned)),
        ("serial", "abc", None),
    ] {
        let new = NewTrust {
            bans: vec![Ban::read(kind, value, 0).unwrap()],
            foreign: vec![(PARTNER.into(), vec![theirs.der.clone()])],
            ..NewTrust::new(vec![world.root.der.clone()], world.scopes(), 2)
        };
        world.credentials.set_trust(new).unwrap();
        assert_eq!(cause(&world, &chain), expected, "{kind}");
    }
}

#[test]
fn without_a_table_any_chain_to_a_root_is_good_for_any_path() {
    let world = World::new();
    let (alone, crossed) = (alone(&world.root, PRICING), world.risk.chain(PRICING, |_| {}));
    assert_eq!(cause(&world, &alone), Some(Cause::OutOfScope));
    assert_eq!(cause(&world, &crossed), Some(Cause::OutOfScope));
    let mut new = NewTrust::new(vec![world.root.der.clone()], vec![], 2);
    new.scopes = None;
    world.credentials.set_trust(new).unwrap();
    assert_eq!(cause(&world, &alone), None);
    assert_eq!(cause(&world, &crossed), None);
    let stranger = Authority::root(DOMAIN).chain(PRICING, |_| {});
    assert_eq!(cause(&world, &stranger), Some(Cause::UnknownAuthority));
    world.trust(&world.credentials, 3);
    assert_eq!(cause(&world, &crossed), Some(Cause::OutOfScope));
}

#[test]
fn a_foreign_identity_passes_tls_and_reads_only_what_names_it_whole() {
    let mut scene = Scene::new(|draft| {
        let mut unit = binding("a-whole-unit", PRICING, &[CONV]);
        unit.subjects[0].kind = v1::SubjectKind::BusinessUnit.into();
        unit.subjects[0].value = "prod.payments".into();
        draft.0.bindings = vec![unit];
    });
    let theirs = Authority::root(PARTNER);
    federate(&scene.world, 2, &[(PARTNER, &[&theirs])]).unwrap();
    let buyer = featward_proxy::credentials::Credentials::new(PARTNER).unwrap();
    buyer
        .set_trust(NewTrust {
            foreign: vec![(DOMAIN.into(), vec![scene.world.root.der.clone()])],
            ..NewTrust::new(vec![theirs.der.clone()], vec![], 1)
        })
        .unwrap();
    theirs.intermediate("issuer").identify(&buyer, BUYER, |_| {});
    let mut wire = Wire::tls(scene.mtls, &buyer, SCORING, &["http/1.1"]);
    // The same path in our own domain has the unit's features; a foreign one belongs to no unit.
    assert_eq!(post(&mut scene.pricing(), &ask(&[CONV], 1)).status, 200);
    let refused = post(&mut wire, &ask(&[CONV], 1));
    assert_eq!((refused.status, refused.reason().as_str()), (403, "not-granted"));
    let record = scene.record();
    assert_eq!(record.last().unwrap()["peer"], BUYER);
    let mut named = binding("with-partner", BUYER, &[CONV]);
    named.subjects[0].kind = v1::SubjectKind::SpiffeId.into();
    scene.edit(|draft| draft.0.bindings.push(named));
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    assert_eq!(scene.status()["trust"]["foreign"]["partner.example"], 1);
}
