//! What an attacker tried, and must not get: kept apart from the tests of what the proxy is for.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::time::Duration;

use bytes::Bytes;
use featward_policy::v1::{self, Mode};
use scene::policy::CONV;
use scene::wire::Wire;
use scene::{Scene, ask, eventually, post, request};
use serde_json::json;

#[test]
fn a_request_under_way_outlives_the_idle_time_of_its_connection() {
    let scene = Scene::with(|_| {}, json!({"idle_seconds": 0.4, "header_seconds": 0.4}));
    scene.far.answer(|_| {
        std::thread::sleep(Duration::from_millis(1_000));
        http::Response::new(Bytes::from_static(
            br#"{"metadata": {"feature_names": ["conv_rate"]}, "results": [{}]}"#,
        ))
    });
    let answer = post(&mut scene.pricing(), &ask(&[CONV], 1));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn long_names_fill_neither_the_record_nor_the_table_of_callers() {
    let scene = Scene::new(|_| {});
    let long = "x".repeat(900_000);
    post(&mut scene.pricing(), &ask(&[&long], 1));
    post(
        &mut scene.pricing(),
        &json!({"feature_service": long, "entities": {"driver_id": [1]}}),
    );
    assert_eq!(scene.record().len(), 2);
    for line in scene.record() {
        assert!(line.to_string().len() < 2_000, "{} bytes", line.to_string().len());
    }
    assert!(scene.status().to_string().len() < 20_000);
}

#[test]
fn sockets_that_say_nothing_leave_room_for_callers_from_elsewhere() {
    let scene = Scene::with(|_| {}, json!({"connections": 64}));
    let silent: Vec<_> = (0..80).map(|_| Wire::tcp(scene.mtls)).collect();
    eventually("the surplus is closed", || {
        let metrics = scene.proxy.metrics();
        metrics.contains("reason=\"too-many-handshakes\"} 48")
    });
    assert!(!scene.proxy.metrics().contains("too-many-connections"));
    drop(silent);
}

#[test]
fn bodies_that_one_caller_does_not_send_keep_no_other_caller_out() {
    let scene = Scene::with(|_| {}, json!({"connections": 16}));
    let other = scene.caller("spiffe://prod.acme.example/bu/risk/svc/other");
    let silent: Vec<_> = (0..8)
        .map(|_| {
            let mut wire = Wire::tls(scene.mtls, &other, chains::SCORING, &["http/1.1"]);
            wire.send(b"POST /get-online-features HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{");
            wire
        })
        .collect();
    eventually("four are told to come again", || {
        scene
            .record()
            .iter()
            .filter(|line| line["reason"] == "overloaded")
            .count()
            == 4
    });
    assert_eq!(post(&mut scene.pricing(), &ask(&[CONV], 1)).status, 200);
    drop(silent);
}

#[test]
fn a_grant_that_is_taken_away_while_the_body_comes_is_gone() {
    let mut scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    let body = ask(&[CONV], 1).to_string();
    let whole = request("POST", "/get-online-features", &[], body.as_bytes());
    let (first, rest) = whole.split_at(whole.len() - 5);
    wire.send(first);
    eventually("the head is read", || {
        scene.proxy.metrics().contains("listener=\"mtls\"} 1")
    });
    std::thread::sleep(Duration::from_millis(200));
    scene.edit(|draft| draft.0.bindings.clear());
    wire.send(rest);
    let answer = wire.read();
    assert_eq!((answer.status, answer.reason().as_str()), (403, "not-granted"));
    assert_eq!(scene.record()[0]["policy"], scene.status()["policy"]["digest"]);
}

#[test]
fn an_observed_set_is_no_way_to_the_features_of_an_enforced_one_by_a_service() {
    for mode in [Mode::Observe, Mode::Shadow] {
        let scene = Scene::new(|draft| {
            let mut other = draft.0.feature_sets[0].clone();
            other.name = "riders".into();
            other.mode = mode.into();
            other.features = vec![v1::Feature {
                name: "rider:age".into(),
                ..other.features[0].clone()
            }];
            other.services = vec![v1::Service {
                name: "wide".into(),
                features: vec!["rider:age".into()],
            }];
            draft.0.feature_sets.push(other);
        });
        // In Feast the service holds more than the manifest says, of a set that is enforced.
        scene.far.answer_json(json!({
            "metadata": {"feature_names": ["driver_id", "age", "secret"]},
            "results": [{"values": [1]}, {"values": [30]}, {"values": [9.75]}],
        }));
        let wide = json!({"feature_service": "wide", "entities": {"driver_id": [1]}});
        let answer = post(&mut scene.pricing(), &wide);
        assert_eq!(
            answer.json()["metadata"]["feature_names"],
            json!(["driver_id", "age"]),
            "{mode:?}"
        );
    }
}

#[test]
fn probes_get_through_to_a_health_port_that_somebody_else_fills() {
    let scene = Scene::with(|_| {}, json!({"connections": 64}));
    let silent: Vec<_> = (0..80).map(|_| Wire::tcp(scene.health)).collect();
    eventually("the surplus is closed", || {
        scene
            .proxy
            .metrics()
            .contains("listener=\"health\",reason=\"too-many-connections\"} 48")
    });
    let stream = featward_proxy::runtime::handle().block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(scene.health).await.unwrap()
    });
    let mut probe = Wire::over(stream);
    probe.send(&request("GET", "/livez", &[], b""));
    assert_eq!(probe.read().status, 200);
    drop(silent);
}

#[test]
fn one_identity_that_keeps_connections_open_leaves_half_of_the_places_to_others() {
    let scene = Scene::with(|_| {}, json!({"connections": 32}));
    let other = scene.caller("spiffe://prod.acme.example/bu/risk/svc/other");
    let parked: Vec<_> = (0..20)
        .map(|_| Wire::tls(scene.mtls, &other, chains::SCORING, &["http/1.1"]))
        .collect();
    eventually("the surplus is closed", || {
        scene.proxy.metrics().contains("too-many-of-one-caller\"} 4")
    });
    assert_eq!(post(&mut scene.pricing(), &ask(&[CONV], 1)).status, 200);
    drop(parked);
}
