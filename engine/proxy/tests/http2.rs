//! The serving side over HTTP/2: by ALPN on the mTLS port, by its preface on the plain one, and under abuse.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use bytes::Bytes;
use chains::{PRICING, SCORING};
use featward_policy::v1::Mode;
use featward_proxy::runtime;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use scene::frames as raw;
use scene::policy::{CONV, SECRET};
use scene::wire::Wire;
use scene::{Scene, ask, eventually};

type Client = SendRequest<Full<Bytes>>;

fn client(wire: Wire) -> Client {
    let io = TokioIo::new(wire.into_io());
    let (sender, connection) = runtime::handle()
        .block_on(hyper::client::conn::http2::handshake(TokioExecutor::new(), io))
        .unwrap();
    runtime::handle().spawn(connection);
    sender
}

fn pricing(scene: &Scene) -> Client {
    client(Wire::tls(scene.mtls, &scene.caller(PRICING), SCORING, &["h2"]))
}

fn asking(feature: &str) -> Request<Full<Bytes>> {
    let body = ask(&[feature], 1).to_string();
    Request::post("https://features/get-online-features")
        .body(Full::new(body.into()))
        .unwrap()
}

async fn send(client: &mut Client, request: Request<Full<Bytes>>) -> (StatusCode, serde_json::Value) {
    let answer: Response<_> = client.send_request(request).await.unwrap();
    let status = answer.status();
    assert!(answer.headers().contains_key("featward-request-id"));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[test]
fn many_requests_share_a_connection_and_are_judged_one_by_one() {
    let scene = Scene::new(|_| {});
    let client = pricing(&scene);
    runtime::handle().block_on(async {
        let calls: Vec<_> = (0..40)
            .map(|number| {
                let mut client = client.clone();
                let feature = if number % 2 == 0 { CONV } else { SECRET };
                tokio::spawn(async move { send(&mut client, asking(feature)).await.0 })
            })
            .collect();
        for (number, call) in calls.into_iter().enumerate() {
            let expected = if number % 2 == 0 {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            };
            assert_eq!(call.await.unwrap(), expected);
        }
    });
    assert_eq!(scene.far.seen().len(), 20);
}

#[test]
fn the_plain_port_knows_http_2_by_its_preface() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe).admit_unidentified(3600);
    });
    let mut client = client(scene.nobody());
    let (status, _) = runtime::handle().block_on(send(&mut client, asking(CONV)));
    assert_eq!(status, StatusCode::OK);
    assert_eq!(scene.far.last().headers["host"], "features");
}

#[test]
fn headers_beyond_the_limit_are_refused_on_both_ports() {
    let change = |draft: &mut scene::policy::Draft| {
        draft.mode(Mode::Observe).admit_unidentified(3600);
    };
    let scene = Scene::with(change, serde_json::json!({"header_bytes": 8192}));
    for mut client in [pricing(&scene), client(scene.nobody())] {
        let mut status = |size: usize| {
            let mut request = asking(CONV);
            request
                .headers_mut()
                .insert("x", "a".repeat(size).parse().unwrap());
            let answer = runtime::handle().block_on(client.send_request(request));
            answer.unwrap().status()
        };
        assert_eq!(status(7_500), StatusCode::OK);
        assert_eq!(status(8_300), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    assert_eq!(scene.far.seen().len(), 2);
}

#[test]
fn a_host_that_differs_from_the_authority_is_refused() {
    let scene = Scene::new(|_| {});
    let mut request = asking(CONV);
    request.headers_mut().insert("host", "other".parse().unwrap());
    let (status, problem) = runtime::handle().block_on(send(&mut pricing(&scene), request));
    assert_eq!(
        (status, &problem["reason"]),
        (StatusCode::BAD_REQUEST, &serde_json::json!("bad-framing"))
    );
}

#[test]
fn an_answer_to_head_says_what_get_would_be_told_and_has_no_content() {
    let scene = Scene::new(|_| {});
    let mut client = pricing(&scene);
    let mut ask = |method: &str| {
        let request = Request::builder().method(method).uri("https://features/unknown");
        let request = request.body(Full::default()).unwrap();
        runtime::handle().block_on(async {
            let (head, body) = client.send_request(request).await.unwrap().into_parts();
            (head, body.collect().await.unwrap().to_bytes())
        })
    };
    let (got, content) = ask("GET");
    let (told, nothing) = ask("HEAD");
    assert!(!content.is_empty());
    assert_eq!((told.status, nothing), (got.status, Bytes::new()));
    assert_eq!(told.headers["content-type"], got.headers["content-type"]);
    assert_eq!(told.headers["content-length"], content.len().to_string());
}

#[test]
fn stopping_says_goaway_and_finishes_what_is_under_way() {
    let scene = Scene::new(|_| {});
    scene.far.answer(|_| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        Response::new(r#"{"metadata": {"feature_names": ["conv_rate"]}, "results": [{}]}"#.into())
    });
    let mut client = pricing(&scene);
    let mut calling = client.clone();
    let call = runtime::handle().spawn(async move { send(&mut calling, asking(CONV)).await.0 });
    eventually("the request is under way", || !scene.far.seen().is_empty());
    scene.proxy.stop(std::time::Duration::from_secs(10));
    assert_eq!(runtime::handle().block_on(call).unwrap(), StatusCode::OK);
    assert!(
        runtime::handle()
            .block_on(client.send_request(asking(CONV)))
            .is_err()
    );
}

#[test]
fn headers_of_a_connection_have_no_place_in_http_2() {
    const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];
    for header in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("te", "gzip"),
    ] {
        let scene = Scene::new(|_| {});
        let mut wire = raw::connect(&scene);
        wire.send(&raw::head(1, &[header]));
        let (kind, _, payload) = raw::next(&mut wire, &[raw::SETTINGS, 8]).expect("an answer");
        assert!(
            kind == raw::RST_STREAM || kind == raw::GOAWAY,
            "{header:?}: frame {kind}"
        );
        assert!(
            payload.ends_with(&PROTOCOL_ERROR) || payload[4..].starts_with(&PROTOCOL_ERROR),
            "{header:?}"
        );
        assert!(scene.far.seen().is_empty());
    }
}

#[test]
fn a_flood_of_resets_ends_the_connection() {
    let scene = Scene::new(|_| {});
    let mut wire = raw::connect(&scene);
    for number in 0..2_000 {
        let stream = 2 * number + 1;
        let reset = raw::frame(raw::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        wire.send(&[raw::head(stream, &[]), reset].concat());
    }
    let mut goaway = false;
    while let Some((kind, ..)) = raw::next(&mut wire, &[]) {
        goaway |= kind == raw::GOAWAY;
    }
    assert!(goaway);
    assert!(scene.far.seen().is_empty());
    let mut other = pricing(&scene);
    assert_eq!(
        runtime::handle().block_on(send(&mut other, asking(CONV))).0,
        StatusCode::OK
    );
}
