//! The record: one line for each decision, there before the answer.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use chains::PRICING;
use featward_policy::v1::Mode;
use scene::policy::{CONV, SECRET};
use scene::wire::Wire;
use scene::{Scene, ask, eventually, post, request};
use serde_json::json;

#[test]
fn a_line_tells_who_asked_for_what_and_what_came_of_it() {
    let scene = Scene::new(|_| {});
    let answer = post(&mut scene.pricing(), &ask(&[CONV], 20));
    let line = scene.record().remove(0);
    assert_eq!(line["id"], answer.header("featward-request-id").unwrap());
    for (key, value) in [
        ("kind", json!("decision")),
        ("peer", json!(PRICING)),
        ("source", json!("127.0.0.1")),
        ("via", json!("mtls")),
        ("route", json!("get-online-features")),
        ("feature_sets", json!(["ml/drivers"])),
        ("features", json!([CONV])),
        ("service", json!(null)),
        ("granted", json!(1)),
        ("missing", json!([])),
        ("stripped", json!([])),
        ("rows", json!(20)),
        ("cost", json!(20)),
        ("mode", json!("enforce")),
        ("outcome", json!("allow")),
        ("applied", json!(true)),
        ("reason", json!("granted")),
        ("rule", json!("ml/pricing")),
        ("upstream_status", json!(200)),
        ("status", json!(200)),
    ] {
        assert_eq!(line[key], value, "{key}");
    }
    assert!(line["serial"].is_string() && line["policy"].as_str().unwrap().len() == 64);
    assert!(line["seconds"].as_f64().unwrap() > 0.0);
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn entity_values_stay_out_of_it() {
    let scene = Scene::new(|_| {});
    let body = json!({"features": [CONV, SECRET], "entities": {"driver_id": [987_654_321]}});
    post(&mut scene.pricing(), &body);
    assert!(!scene.record()[0].to_string().contains("987654321"));
}

#[test]
fn a_line_of_a_route_that_is_not_ours_has_its_method_and_path_and_no_query() {
    for mode in [Mode::Observe, Mode::Enforce] {
        let scene = Scene::new(|draft| {
            draft.mode(mode);
        });
        let mut wire = scene.pricing();
        let path = "p".repeat(500);
        for target in ["/push?customer=987654321", &format!("/{path}?987654321")] {
            wire.send(&request("PUT", target, &[], b""));
            wire.read();
        }
        post(&mut wire, &ask(&[CONV], 1));
        let record = scene.record();
        assert_eq!(
            (&record[0]["method"], &record[0]["path"]),
            (&json!("PUT"), &json!("/push")),
            "{mode:?}"
        );
        assert!(record[1]["path"].as_str().unwrap().len() < 300);
        assert!(!format!("{record:?}").contains("987654321"));
        assert!(record[2].get("path").is_none());
    }
}

/// Bodies that cannot be judged, and what the record says of each.
const UNREAD: &[(&str, &str)] = &[
    (
        r#"{"features":["driver:conv_rate"],"entities":{"driver_id":["SECRET"]}}"#,
        "entities.driver_id[0]: expected int64",
    ),
    (
        r#"{"entities":{"driver_id":"SECRET, expected SECRET"}}"#,
        "expected a list of values",
    ),
    (
        r#"{"features":"SECRET","entities":{}}"#,
        "expected a list of strings",
    ),
    (
        r#"{"features":["driver:conv_rate"],"entities":{"rider":["SECRET"]}}"#,
        r#""rider" is no declared entity"#,
    ),
    (
        r#"{"entities":{"driver_id":[{"SECRET":1,"SECRET":2}]}}"#,
        "a key stands twice",
    ),
    (
        "{\"entities\":{\"driver_id\":[\"SECRET\u{1}\"]}}",
        "control character",
    ),
    (r#"{"entities":{"driver_id":["SECRET\ud800"]}}"#, "line 1"),
    (
        r#"{"entities":{"driver_id":[SECRET]}}"#,
        "expected value at line 1",
    ),
    (
        r#"{"entities":{"driver_id":["SECRET"],"driver_id":[1]}}"#,
        r#""driver_id" stands twice"#,
    ),
    (
        r#"{"entities":{"driver_id":["SECRET"]},"full_feature_names":"SECRET"}"#,
        "full_feature_names: expected true or false",
    ),
    (
        r#"{"features":["driver:conv_rate"],"entities":{"driver_id":["SECRET"]}} SECRET"#,
        "line 1",
    ),
];

#[test]
fn a_line_says_why_a_body_could_not_be_read_and_tells_no_value() {
    for mode in [Mode::Observe, Mode::Shadow] {
        let scene = Scene::new(|draft| {
            draft.mode(mode);
        });
        let mut wire = scene.pricing();
        for (body, detail) in UNREAD {
            wire.send(&request("POST", "/get-online-features", &[], body.as_bytes()));
            wire.read();
            let line = scene.record().pop().unwrap();
            let told = line["detail"].as_str().unwrap_or_else(|| panic!("{line}"));
            assert!(told.contains(detail), "{body}: {told}");
            assert!(!line.to_string().contains("SECRET"), "{told}");
        }
    }
}

#[test]
fn every_refusal_has_its_line() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    post(&mut wire, &ask(&[SECRET], 1));
    wire.send(&request("POST", "/push", &[], b"{}"));
    wire.read();
    wire.send(&request("POST", "/get-online-features", &[], b"{"));
    wire.read();
    post(&mut scene.nobody(), &ask(&[CONV], 1));
    let told: Vec<_> = scene
        .record()
        .iter()
        .map(|line| (line["outcome"].to_string(), line["reason"].to_string()))
        .collect();
    let expected = [
        ("deny", "not-granted"),
        ("not-found", "unknown-route"),
        ("bad-request", "malformed-json"),
        ("deny", "identity-required"),
    ];
    assert_eq!(
        told,
        expected.map(|(outcome, reason)| (json!(outcome).to_string(), json!(reason).to_string()))
    );
}

#[test]
fn an_answer_that_cannot_be_recorded_is_not_given() {
    for (mode, status) in [(Mode::Enforce, 503), (Mode::Shadow, 503), (Mode::Observe, 200)] {
        let scene = Scene::configured(
            |draft| {
                draft.mode(mode);
            },
            |config| config["record"] = json!("/dev/full"),
        );
        let mut wire = scene.pricing();
        let answer = post(&mut wire, &ask(&[CONV], 1));
        assert_eq!(answer.status, status, "{mode:?}");
        if status == 503 {
            assert_eq!(answer.reason(), "record-failed");
        }
        assert!(
            scene.proxy.metrics().contains("featward_records_dropped_total 1"),
            "{mode:?}"
        );
        assert!(
            String::from_utf8(scene.proxy.drain_events())
                .unwrap()
                .contains("record-failed")
        );
    }
}

#[test]
fn a_full_record_is_begun_anew_and_keeps_the_one_before() {
    let scene = Scene::configured(|_| {}, |config| config["record_bytes"] = json!(8192));
    let mut wire = scene.pricing();
    let old = scene.folder.path().join("record.jsonl.1");
    let mut ids = Vec::new();
    while !old.exists() {
        let answer = post(&mut wire, &ask(&[CONV], 1));
        ids.push(answer.header("featward-request-id").unwrap().to_owned());
        assert!(ids.len() < 100, "it is never full");
    }
    let text = std::fs::read_to_string(&old).unwrap();
    assert!((4096..=8192).contains(&text.len()), "{}", text.len());
    let before = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = before.chain(scene.record()).collect();
    assert!(lines.iter().map(|line| &line["id"]).eq(&ids));
}

#[test]
fn a_caller_that_leaves_before_its_answer_leaves_its_decision_behind() {
    let scene = Scene::new(|_| {});
    scene.far.answer(|_| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        http::Response::new(bytes::Bytes::new())
    });
    let mut wire = scene.pricing();
    wire.send(&request(
        "POST",
        "/get-online-features",
        &[],
        ask(&[CONV], 1).to_string().as_bytes(),
    ));
    eventually("the request is under way", || !scene.far.seen().is_empty());
    drop(wire);
    eventually("the decision is recorded", || {
        scene
            .record()
            .iter()
            .any(|line| line["outcome"] == "allow" && line["status"].is_null())
    });
}

#[test]
fn refused_handshakes_are_recorded_and_cannot_fill_the_disk() {
    let scene = Scene::new(|_| {});
    for _ in 0..150 {
        let mut wire = Wire::tcp(scene.mtls);
        wire.send(b"GET / HTTP/1.1\r\n\r\n");
        while wire.try_read().is_some() {}
    }
    eventually("all are counted", || {
        let metrics = scene.proxy.metrics();
        metrics.contains("featward_connections_refused_total{listener=\"mtls\",reason=\"protocol\"} 150")
    });
    let lines = scene.record();
    assert!((100..150).contains(&lines.len()), "{}", lines.len());
    assert!(
        lines
            .iter()
            .all(|line| line["kind"] == "handshake" && line["source"] == "127.0.0.1")
    );
}

#[test]
fn refusals_of_callers_without_identity_cannot_fill_the_disk() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.nobody();
    for _ in 0..150 {
        assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 403);
    }
    let lines = scene.record().len();
    assert!((100..150).contains(&lines), "{lines}");
    let dropped = format!("featward_records_dropped_total {}", 150 - lines);
    assert!(scene.proxy.metrics().contains(&dropped));
    assert_eq!(post(&mut scene.pricing(), &ask(&[SECRET], 1)).status, 403);
    assert_eq!(scene.record().len(), lines + 1);
}
