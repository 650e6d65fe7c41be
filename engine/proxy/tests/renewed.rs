//! Connections that were made with an identity of an authority of before: until they have ended that identity is in
//! use, and what is under way on them is not lost when the authority goes away.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chains::{Authority, PRICING, SCORING};
use featward_policy::v1;
use featward_proxy::credentials::{Credentials, NewTrust};
use featward_proxy::proxy::Proxy;
use http::Response;
use prost::Message;
use scene::policy::CONV;
use scene::wire::Wire;
use scene::{Scene, ask, post};
use serde_json::{Value, json};

fn serial(credentials: &Credentials) -> String {
    credentials.identity().unwrap().serial
}

/// The next authority of the server's business unit, known to all of these.
fn next(scene: &Scene, all: &[&Credentials]) -> Authority {
    let next = scene.world.root.intermediate_named("prod.risk", "a2");
    for credentials in all {
        let mut scopes = scene.world.scopes();
        scopes.push((next.spki_sha256(), "/bu/risk/".into()));
        credentials
            .set_trust(NewTrust::new(vec![scene.world.root.der.clone()], scopes, 2))
            .unwrap();
    }
    next
}

#[test]
fn a_busy_connection_moves_to_the_new_authority_with_its_next_answer() {
    let scene = Scene::new(|_| {});
    let (caller, server) = (scene.caller(PRICING), &scene.world.credentials);
    let mut wire = Wire::tls(scene.mtls, &caller, SCORING, &["http/1.1"]);
    let answer = post(&mut wire, &ask(&[CONV], 1));
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    let before = serial(server);
    assert_eq!(server.serial_in_use(), Some(before.clone()));
    next(&scene, &[&caller, server]).identify(server, SCORING, |_| {});
    assert_ne!(serial(server), before);
    assert_eq!(
        server.serial_in_use(),
        Some(before),
        "a connection still shows it"
    );
    let answer = post(&mut wire, &ask(&[CONV], 1));
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(wire.is_closed());
    scene::eventually("nothing shows the one before", || {
        server.serial_in_use() == Some(serial(server))
    });
}

#[test]
fn an_idle_connection_is_closed_soon_after() {
    let scene = Scene::new(|_| {});
    let (caller, server) = (scene.caller(PRICING), &scene.world.credentials);
    let mut wire = Wire::tls(scene.mtls, &caller, SCORING, &["http/1.1"]);
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    next(&scene, &[&caller, server]).identify(server, SCORING, |_| {});
    let begun = Instant::now();
    assert!(wire.is_closed());
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "a request may be on its way"
    );
    scene::eventually("nothing shows the one before", || {
        server.serial_in_use() == Some(serial(server))
    });
}

#[test]
fn a_renewal_by_the_same_authority_leaves_connections_where_they_are() {
    let scene = Scene::new(|_| {});
    let server = &scene.world.credentials;
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    scene.world.risk.identify(server, SCORING, |_| {});
    assert_eq!(server.serial_in_use(), Some(serial(server)));
    thread::sleep(Duration::from_millis(2500));
    let answer = post(&mut wire, &ask(&[CONV], 1));
    assert_eq!((answer.status, answer.header("connection")), (200, None));
}

#[test]
fn a_connection_at_rest_keeps_no_identity_of_a_client_in_use() {
    let scene = Scene::new(|_| {});
    let credentials = scene.caller(PRICING);
    let (_client, address) = client(&scene, &credentials);
    assert_eq!(post(&mut Wire::tcp(address), &ask(&[CONV], 1)).status, 200);
    let before = serial(&credentials);
    let next = scene.world.root.intermediate_named("prod.payments", "a2");
    next.identify(&credentials, PRICING, |_| {});
    assert_ne!(serial(&credentials), before);
    assert_eq!(credentials.serial_in_use(), Some(serial(&credentials)));
}

#[test]
fn a_request_under_way_keeps_the_identity_of_its_client_in_use() {
    let scene = Scene::new(|_| {});
    let credentials = scene.caller(PRICING);
    let (_client, address) = client(&scene, &credentials);
    let slow = Slow::new(&scene);
    let asking = thread::spawn(move || post(&mut Wire::tcp(address), &ask(&[CONV], 1)).status);
    slow.begun();
    let before = serial(&credentials);
    let next = scene.world.root.intermediate_named("prod.payments", "a2");
    next.identify(&credentials, PRICING, |_| {});
    assert_eq!(credentials.serial_in_use(), Some(before));
    slow.go_on();
    assert_eq!(asking.join().unwrap(), 200);
    scene::eventually("nothing shows the one before", || {
        credentials.serial_in_use() == Some(serial(&credentials))
    });
}

#[test]
fn a_read_whose_server_lost_its_authority_meanwhile_is_asked_again() {
    let scene = Scene::new(|_| {});
    let (credentials, server) = (scene.caller(PRICING), &scene.world.credentials);
    let (_client, address) = client(&scene, &credentials);
    let mut app = Wire::tcp(address);
    assert_eq!(
        post(&mut app, &ask(&[CONV], 1)).status,
        200,
        "it leaves a connection in the pool"
    );
    let slow = Slow::new(&scene);
    let asking = thread::spawn(move || {
        let answer = post(&mut app, &ask(&[CONV], 1));
        (answer.status, answer.text())
    });
    slow.begun();
    let next = next(&scene, &[&credentials, server]);
    next.identify(server, SCORING, |_| {});
    let mut scopes = scene.world.scopes();
    scopes.retain(|(_, prefix)| prefix != "/bu/risk/");
    scopes.push((next.spki_sha256(), "/bu/risk/".into()));
    credentials
        .set_trust(NewTrust::new(vec![scene.world.root.der.clone()], scopes, 3))
        .unwrap();
    slow.begun();
    slow.go_on();
    slow.go_on();
    let (status, text) = asking.join().unwrap();
    assert_eq!(status, 200, "{text}");
}

#[test]
fn a_server_that_lost_its_authority_and_has_no_other_is_refused() {
    let scene = Scene::new(|_| {});
    let credentials = scene.caller(PRICING);
    let (_client, address) = client(&scene, &credentials);
    let mut app = Wire::tcp(address);
    assert_eq!(post(&mut app, &ask(&[CONV], 1)).status, 200);
    let slow = Slow::new(&scene);
    let asking = thread::spawn(move || {
        let answer = post(&mut app, &ask(&[CONV], 1));
        (answer.status, answer.reason())
    });
    slow.begun();
    let mut scopes = scene.world.scopes();
    scopes.retain(|(_, prefix)| prefix != "/bu/risk/");
    credentials
        .set_trust(NewTrust::new(vec![scene.world.root.der.clone()], scopes, 2))
        .unwrap();
    assert_eq!(asking.join().unwrap(), (502, "server-not-trusted".into()));
    slow.go_on();
}

/// A client's sidecar before the scene's server, and where its app calls it.
fn client(scene: &Scene, credentials: &Credentials) -> (Proxy, SocketAddr) {
    let config = json!({"outbound": [{"feature_set": "drivers", "listen": "127.0.0.1:0"}]});
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

/// A feature server that answers each request when it is told to.
struct Slow {
    begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

impl Slow {
    fn new(scene: &Scene) -> Slow {
        let (began, begun) = mpsc::channel();
        let (go_on, going) = mpsc::channel();
        let going = std::sync::Mutex::new(going);
        scene.far.answer(move |_| {
            began.send(()).unwrap();
            let _ = going.lock().unwrap().recv();
            let answer = json!({"metadata": {"feature_names": ["driver_id", "conv_rate"]}, "results": [
                {"values": [1], "statuses": ["PRESENT"], "event_timestamps": ["1970-01-01T00:00:00Z"]},
                {"values": [0.5], "statuses": ["PRESENT"], "event_timestamps": ["1970-01-01T00:00:00Z"]},
            ]});
            Response::new(Bytes::from(answer.to_string()))
        });
        Slow { begun, go_on }
    }

    /// Wait until a request has come.
    fn begun(&self) {
        self.begun.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    fn go_on(&self) {
        self.go_on.send(()).unwrap();
    }
}
