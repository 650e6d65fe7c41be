//! Requests that two readers could take differently: refused, with the connection closed after.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use scene::policy::CONV;
use scene::wire::Wire;
use scene::{Scene, ask, post, request};

fn body() -> String {
    ask(&[CONV], 1).to_string()
}

/// Send a head and a good body; the answer must be 400 and the last.
fn assert_refused(scene: &Scene, head: &str) {
    let mut wire = scene.pricing();
    wire.send(format!("{head}\r\n{}", body()).as_bytes());
    let answer = wire.read();
    assert_eq!(answer.status, 400, "{head}");
    assert!(wire.is_closed(), "{head}");
}

#[test]
fn ambiguous_heads_are_refused_and_end_the_connection() {
    let scene = Scene::new(|_| {});
    let length = body().len();
    for lines in [
        format!("content-length: {length}\r\n"),
        format!("host: a\r\nhost: b\r\ncontent-length: {length}\r\n"),
        format!("host: a\r\ncontent-length: {length}\r\ncontent-length: 1\r\n"),
        format!("host: a\r\ncontent-length: +{length}\r\n"),
        format!("host: a\r\ncontent-length: {length}, {length}\r\n"),
        "host: a\r\ntransfer-encoding: gzip, chunked\r\n".to_owned(),
        "host: a\r\ntransfer-encoding: identity, chunked\r\n".to_owned(),
        "host: a\r\ntransfer-encoding: gzip\r\n".to_owned(),
        "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(),
        format!("host: a\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: {length}\r\n"),
        format!("host: a\r\nupgrade: h2c\r\ncontent-length: {length}\r\n"),
        format!("host: a\r\nx: a\r\n folded\r\ncontent-length: {length}\r\n"),
        format!("host: a\r\nx: \u{fc}\r\ncontent-length: {length}\r\n"),
        format!("host: a\r\nx : a\r\ncontent-length: {length}\r\n"),
        format!("host: a/b\r\ncontent-length: {length}\r\n"),
    ] {
        assert_refused(&scene, &format!("POST /get-online-features HTTP/1.1\r\n{lines}"));
    }
    assert_refused(
        &scene,
        "POST /get-online-features HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n",
    );
    assert_refused(
        &scene,
        &format!("POST /get-online-features HTTP/2.0\r\nhost: a\r\ncontent-length: {length}\r\n"),
    );
    assert_refused(&scene, "CONNECT features:80 HTTP/1.1\r\nhost: features:80\r\n");
    assert!(scene.far.seen().is_empty());
}

/// hyper drops the Content-Length beside chunked. Ours is then the only reading, as nothing behind it is read.
#[test]
fn a_length_beside_chunked_smuggles_nothing() {
    let scene = Scene::new(|_| {});
    let inner = request("POST", "/get-online-features", &[], body().as_bytes());
    for lengths in [("content-length: 4\r\n", ""), ("", "content-length: 4\r\n")] {
        let mut wire = scene.pricing();
        let head = format!(
            "POST /get-online-features HTTP/1.1\r\nhost: a\r\n{}transfer-encoding: chunked\r\n{}\r\n",
            lengths.0, lengths.1
        );
        wire.send(&[head.as_bytes(), b"0\r\n\r\n", &inner].concat());
        assert_eq!(wire.read().reason(), "malformed-json");
        assert!(wire.is_closed());
    }
    assert!(scene.far.seen().is_empty());
}

#[test]
fn a_chunked_request_is_answered_and_is_the_last() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    let head = "POST /get-online-features HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    wire.send(format!("{head}{:x}\r\n{}\r\n0\r\n\r\n", body().len(), body()).as_bytes());
    let answer = wire.read();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(wire.is_closed());
    assert!(!scene.far.last().headers.contains_key("transfer-encoding"));
}

#[test]
fn a_body_shorter_than_it_says_reaches_nobody() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    wire.send(
        format!(
            "POST /get-online-features HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{}",
            body().len() + 5,
            body()
        )
        .as_bytes(),
    );
    drop(wire);
    assert_eq!(post(&mut scene.pricing(), &ask(&[CONV], 1)).status, 200);
    assert_eq!(scene.far.seen().len(), 1);
}

#[test]
fn headers_beyond_the_limit_are_refused() {
    let scene = Scene::with(|_| {}, serde_json::json!({"header_bytes": 8192}));
    let ports = || [scene.pricing(), scene.nobody(), Wire::tcp(scene.health)];
    for mut wire in ports() {
        wire.send(&request("GET", "/livez", &[("x", &"a".repeat(8_300))], b""));
        assert_eq!(wire.read().status, 431);
        assert!(wire.is_closed());
    }
    for mut wire in ports() {
        wire.send(&request("GET", "/livez", &[("x", &"a".repeat(8_000))], b""));
        assert_ne!(wire.read().status, 431);
    }
    assert!(scene.far.seen().is_empty());
}

#[test]
fn what_hyper_refuses_itself_is_recorded_as_well() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    wire.send(b"\x00\x01\x02 what is this\r\n\r\n");
    assert_eq!(wire.read().status, 400);
    scene::eventually("the record tells of it", || {
        scene.record().iter().any(|line| line["reason"] == "bad-framing")
    });
}
