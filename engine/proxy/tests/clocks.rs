//! Certificates that are early, late, or right by somebody else's clock, and identities that have expired.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::net::SocketAddr;
use std::time::Duration;

use chains::{DOMAIN, PRICING, SCORING, World, live};
use featward_policy::v1;
use featward_proxy::credentials::Credentials;
use featward_proxy::proxy::Proxy;
use featward_proxy::verify::{Cause, IdentityError};
use prost::Message;
use scene::policy::CONV;
use scene::wire::{Answer, Wire};
use scene::{Scene, ask, post};
use serde_json::{Value, json};

fn judged(offset: Option<f64>, life: (i64, i64)) -> Result<(), IdentityError> {
    let world = World::new();
    world.credentials.set_clock_offset(offset);
    let chain = world
        .payments
        .chain(PRICING, |params| live(params, life.0, life.1));
    world.credentials.judge(&chain).map(|_| ())
}

#[test]
fn a_refusal_for_time_says_whose_clock_is_wrong() {
    for (offset, life, cause) in [
        (Some(120.0), (-3600, -60), Cause::ClockSkew),
        (Some(-120.0), (60, 3600), Cause::ClockSkew),
        (Some(30.0), (-3600, -60), Cause::Expired),
        (Some(-120.0), (-3600, -60), Cause::Expired),
        (None, (-3600, -60), Cause::Expired),
        (None, (60, 3600), Cause::NotYetValid),
    ] {
        let error = judged(offset, life).unwrap_err();
        assert_eq!(error.cause, cause, "{offset:?} {life:?}");
        let seconds = if life.0 > 0 {
            "valid in 60 s"
        } else {
            "expired 60 s ago"
        };
        assert!(error.detail.contains(seconds), "{}", error.detail);
        let both = error.detail.contains("our clock shows") && error.detail.contains("the CA's, which shows");
        assert_eq!(both, offset.is_some(), "{}", error.detail);
    }
}

#[test]
fn the_cas_clock_neither_accepts_nor_refuses_anybody() {
    assert!(judged(Some(1e9), (-60, 60)).is_ok());
    assert!(judged(Some(-1e9), (-60, 60)).is_ok());
    assert!(judged(Some(120.0), (-3600, -60)).is_err());
}

#[test]
fn an_offset_that_is_no_number_is_none() {
    let credentials = Credentials::new(DOMAIN).unwrap();
    for (set, known) in [
        (Some(1.5), Some(1.5)),
        (Some(f64::NAN), None),
        (Some(f64::INFINITY), None),
        (None, None),
    ] {
        credentials.set_clock_offset(set);
        assert_eq!(credentials.clock_offset(), known);
    }
}

#[test]
fn a_refused_handshake_is_recorded_as_skew_with_both_clocks() {
    let scene = Scene::new(|_| {});
    scene.world.credentials.set_clock_offset(Some(120.0));
    let late = credentials(&scene, (-3600, -60));
    let mut wire = Wire::tls(scene.mtls, &late, SCORING, &["http/1.1"]);
    assert!(wire.is_closed());
    scene::eventually("it is recorded", || {
        scene
            .record()
            .iter()
            .any(|line| line["kind"] == "handshake" && line.to_string().contains("clock-skew"))
    });
    let metrics = scene.proxy.metrics();
    assert!(metrics.contains("featward_clock_offset_seconds 120"), "{metrics}");
    assert_eq!(scene.status()["clock_offset_seconds"], 120.0);
}

/// Credentials of pricing with this life.
fn credentials(scene: &Scene, life: (i64, i64)) -> Credentials {
    let credentials = Credentials::new(DOMAIN).unwrap();
    scene.world.trust(&credentials, 1);
    scene
        .world
        .payments
        .identify(&credentials, PRICING, |params| live(params, life.0, life.1));
    credentials
}

/// A client's sidecar before the scene's server; its proxy and its plain port.
fn client(scene: &Scene, credentials: &Credentials) -> (Proxy, SocketAddr) {
    let config =
        json!({"outbound": [{"feature_set": "drivers", "listen": "127.0.0.1:0"}], "health": "127.0.0.1:0"});
    let proxy = Proxy::new(credentials.clone(), config.to_string().as_bytes()).unwrap();
    let bound: Value = serde_json::from_slice(&proxy.start().unwrap()).unwrap();
    let mut snapshot = scene.draft.0.clone();
    snapshot.workload = PRICING.into();
    snapshot.feature_sets.clear();
    snapshot.bindings.clear();
    snapshot.remotes = vec![v1::Remote {
        namespace: "ml".into(),
        name: "drivers".into(),
        address: scene.mtls.to_string(),
        spiffe_id: SCORING.into(),
    }];
    proxy.set_policy(&snapshot.encode_to_vec()).unwrap();
    (
        proxy,
        bound["outbound"]["drivers"].as_str().unwrap().parse().unwrap(),
    )
}

fn call(app: SocketAddr) -> Answer {
    post(&mut Wire::tcp(app), &ask(&[CONV], 1))
}

#[test]
fn an_expired_identity_refuses_as_such_and_heals_with_the_next_one() {
    let scene = Scene::new(|_| {});
    let ours = credentials(&scene, (-3600, -60));
    let (proxy, app) = client(&scene, &ours);
    let answer = call(app);
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (503, "identity-expired")
    );
    assert_eq!(answer.header("featward-refused-by"), Some("outbound"));
    assert_eq!(answer.header("retry-after"), None);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("expired 60 s ago") && detail.contains(PRICING),
        "{detail}"
    );
    let status: Value = serde_json::from_slice(&proxy.status()).unwrap();
    assert_eq!(status["identity_refused"], "identity-expired");
    assert!(proxy.metrics().contains("featward_identity_runway_seconds 0"));
    // Nothing of it reached the server, not even a handshake.
    assert!(scene.record().is_empty());
    scene.world.payments.identify(&ours, PRICING, |_| {});
    assert_eq!(call(app).status, 200);
    let status: Value = serde_json::from_slice(&proxy.status()).unwrap();
    assert_eq!(status["identity_refused"], Value::Null);
}

#[test]
fn an_identity_that_expires_on_kept_connections_refuses_too() {
    let scene = Scene::new(|_| {});
    let ours = credentials(&scene, (-60, 2));
    let (_proxy, app) = client(&scene, &ours);
    let mut wire = Wire::tcp(app);
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    let mut last = post(&mut wire, &ask(&[CONV], 1));
    while last.status == 200 {
        std::thread::sleep(Duration::from_millis(20));
        last = post(&mut wire, &ask(&[CONV], 1));
    }
    assert_eq!((last.status, last.reason().as_str()), (503, "identity-expired"));
}

#[test]
fn a_server_whose_identity_has_expired_is_not_ready() {
    let scene = Scene::new(|_| {});
    let ready = || {
        let mut probe = Wire::tcp(scene.health);
        probe.send(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = probe.read();
        (answer.status, answer.text())
    };
    assert_eq!(ready().0, 200);
    scene
        .world
        .risk
        .identify(&scene.world.credentials, SCORING, |params| {
            live(params, -3600, -60)
        });
    assert_eq!(ready(), (503, "the identity has expired\n".into()));
}
