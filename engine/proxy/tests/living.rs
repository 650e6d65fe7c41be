//! Connections that live while trust and time go on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::time::{Duration, Instant};

use chains::{DOMAIN, PRICING, SCORING, live};
use featward_proxy::credentials::{Credentials, NewTrust};
use scene::policy::CONV;
use scene::wire::Wire;
use scene::{Scene, ask, post};
use serde_json::json;

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
        .set_trust(NewTrust::new(vec![scene.world.root.der.clone()], without, 2))
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
        .set_trust(NewTrust::new(vec![scene.world.root.der.clone()], scopes, 2))
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
        .identify(&credentials, PRICING, |params| live(params, -1, 3));
    let connect = || Wire::tls(scene.mtls, &credentials, SCORING, &["http/1.1"]);
    let (mut used, mut silent) = (connect(), connect());
    let mut answers = 0;
    let last = loop {
        let answer = post(&mut used, &ask(&[CONV], 1));
        answers += 1;
        if answer.header("connection") == Some("close") {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(last.status, 200);
    assert!(
        answers > 10,
        "it was told to go after {answers} answers, long before its time"
    );
    assert!(used.is_closed());
    assert!(silent.is_closed());
}

#[test]
fn a_connection_in_steady_use_outlives_its_idle_time_again_and_again() {
    let scene = Scene::with(|_| {}, json!({"idle_seconds": 0.1, "header_seconds": 0.1}));
    let mut busy = scene.pricing();
    let begun = Instant::now();
    // Without a pause, so that the alarm for silence nearly always finds a request under way.
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(post(&mut busy, &ask(&[CONV], 1)).status, 200);
    }
}
