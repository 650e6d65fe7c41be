//! Connections that live while trust and time go on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::time::Duration;

use chains::{DOMAIN, PRICING, SCORING, live};
use featward_proxy::credentials::Credentials;
use scene::policy::CONV;
use scene::wire::Wire;
use scene::{Scene, ask, post};

#[test]
fn a_peer_that_is_no_longer_trusted_is_cut_off() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    let without = scene
        .world
        .scopes()
        .into_iter()
        .filter(|(_, prefix)| prefix != "/bu/payments/")
        .collect();
    scene
        .world
        .credentials
        .set_trust(vec![scene.world.root.der.clone()], without, 2)
        .unwrap();
    assert!(wire.is_closed());
    scene::eventually("it is counted", || {
        scene.proxy.metrics().contains("reason=\"no-longer-trusted\"} 1")
    });
}

#[test]
fn a_change_of_trust_that_leaves_the_peer_in_place_leaves_its_connection_open() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    let mut scopes = scene.world.scopes();
    scopes.push((vec![7; 32], "/bu/new/".into()));
    scene
        .world
        .credentials
        .set_trust(vec![scene.world.root.der.clone()], scopes, 2)
        .unwrap();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
}

#[test]
fn late_in_a_certificates_life_answers_close_and_at_its_end_the_connection_is_cut() {
    let scene = Scene::new(|_| {});
    let credentials = Credentials::new(DOMAIN).unwrap();
    scene.world.trust(&credentials, 1);
    scene
        .world
        .payments
        .identify(&credentials, PRICING, |params| live(params, -60, 3));
    let connect = || Wire::tls(scene.mtls, &credentials, SCORING, &["http/1.1"]);
    let (mut used, mut silent) = (connect(), connect());
    let answer = post(&mut used, &ask(&[CONV], 1));
    // 80 % of its life passed before we met, which the connection hears of at once or a moment later.
    std::thread::sleep(Duration::from_millis(50));
    let last = match answer.header("connection") {
        Some("close") => answer,
        _ => post(&mut used, &ask(&[CONV], 1)),
    };
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(used.is_closed());
    assert!(silent.is_closed());
}
