//! Who is refused although their certificates are in order, and how soon.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;
mod scene;

use std::time::{Duration, Instant};

use chains::{Authority, PRICING, SCORING, World};
use featward_proxy::credentials::{Ban, NewTrust};
use featward_proxy::peer::PeerCertificates;
use featward_proxy::verify::Cause;
use scene::policy::CONV;
use scene::{Scene, ask, post};

/// The world's trust with these bans.
fn ban(world: &World, sequence: u64, bans: &[(&str, &str, i64)]) {
    let read = |(kind, value, until): &(&str, &str, i64)| Ban::read(kind, value, *until).unwrap();
    let new = NewTrust {
        bans: bans.iter().map(read).collect(),
        ..NewTrust::new(vec![world.root.der.clone()], world.scopes(), sequence)
    };
    world.credentials.set_trust(new).unwrap();
}

fn cause(world: &World, chain: &PeerCertificates) -> Option<Cause> {
    world.credentials.judge(chain).err().map(|error| error.cause)
}

fn hex(authority: &Authority) -> String {
    let digest = authority.spki_sha256();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> i64 {
    scene::policy::now()
}

#[test]
fn a_banned_identity_is_refused_and_nobody_else() {
    let world = World::new();
    let (pricing, scoring) = (
        world.payments.chain(PRICING, |_| {}),
        world.risk.chain(SCORING, |_| {}),
    );
    ban(&world, 2, &[("identity", PRICING, 0)]);
    let error = world.credentials.judge(&pricing).unwrap_err();
    assert_eq!(error.cause, Cause::Banned);
    assert!(error.detail.contains(PRICING), "{}", error.detail);
    assert_eq!(cause(&world, &scoring), None);
    let similar = world.payments.chain(&format!("{PRICING}2"), |_| {});
    assert_eq!(cause(&world, &similar), None);
}

#[test]
fn a_banned_serial_is_one_certificate_however_it_is_written() {
    let world = World::new();
    let numbered = |serial: &[u8]| {
        world.payments.chain(PRICING, |params| {
            params.serial_number = Some(rcgen::SerialNumber::from_slice(serial));
        })
    };
    let (bad, good) = (numbered(&[0x0a, 0xbc]), numbered(&[0x0a, 0xbd]));
    for text in ["abc", "0abc", "0ABC", "00000abc"] {
        ban(&world, 2, &[("serial", text, 0)]);
        assert_eq!(cause(&world, &bad), Some(Cause::Banned), "{text}");
        assert_eq!(cause(&world, &good), None, "{text}");
    }
}

#[test]
fn a_banned_key_bans_all_below_it_wherever_it_stands() {
    let world = World::new();
    let chain = world.payments.chain(PRICING, |_| {});
    ban(&world, 2, &[("authority", &hex(&world.payments), 0)]);
    assert_eq!(cause(&world, &chain), Some(Cause::Banned));
    assert_eq!(cause(&world, &world.risk.chain(SCORING, |_| {})), None);
    ban(&world, 3, &[("authority", &hex(&world.root), 0)]);
    assert_eq!(cause(&world, &chain), Some(Cause::Banned));
}

#[test]
fn a_ban_ends_at_its_second_or_when_it_is_lifted() {
    let world = World::new();
    let chain = world.payments.chain(PRICING, |_| {});
    ban(&world, 2, &[("identity", PRICING, now() + 60)]);
    assert_eq!(cause(&world, &chain), Some(Cause::Banned));
    ban(&world, 3, &[("identity", PRICING, now())]);
    assert_eq!(cause(&world, &chain), None);
    ban(&world, 4, &[("identity", PRICING, 0)]);
    assert_eq!(cause(&world, &chain), Some(Cause::Banned));
    ban(&world, 5, &[]);
    assert_eq!(cause(&world, &chain), None);
}

#[test]
fn of_two_bans_of_the_same_the_longer_one_counts() {
    let world = World::new();
    let chain = world.payments.chain(PRICING, |_| {});
    for bans in [
        [("identity", PRICING, 0), ("identity", PRICING, 1)],
        [("identity", PRICING, 1), ("identity", PRICING, 0)],
    ] {
        ban(&world, 2, &bans);
        assert_eq!(cause(&world, &chain), Some(Cause::Banned));
    }
}

#[test]
fn a_ban_that_cannot_be_meant_is_refused() {
    for (kind, value) in [
        ("identity", "prod.payments/pricing"),
        ("identity", "spiffe://prod.acme.example"),
        ("serial", ""),
        ("serial", "000"),
        ("serial", "xyz"),
        ("authority", "abcd"),
        ("person", PRICING),
    ] {
        let error = Ban::read(kind, value, 0).unwrap_err();
        assert_eq!(error.cause, Cause::BadTrust, "{kind} {value}");
    }
}

#[test]
fn a_ban_cuts_a_live_connection_within_a_second() {
    let scene = Scene::new(|_| {});
    let mut banned = scene.pricing();
    let other = scene.caller("spiffe://prod.acme.example/bu/payments/svc/other");
    let mut spared = scene::wire::Wire::tls(scene.mtls, &other, SCORING, &["http/1.1"]);
    assert_eq!(post(&mut banned, &ask(&[CONV], 1)).status, 200);
    assert_eq!(post(&mut spared, &ask(&[CONV], 1)).status, 403);
    let begun = Instant::now();
    ban(&scene.world, 2, &[("identity", PRICING, 0)]);
    assert!(banned.is_closed());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(post(&mut spared, &ask(&[CONV], 1)).status, 403);
    assert_eq!(scene.status()["trust"]["bans"], 1);
}
