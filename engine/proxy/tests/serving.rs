//! The serving side in enforce: who gets an answer, what of it, and what the feature server sees.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use std::time::Duration;

use bytes::Bytes;
use chains::{PRICING, SCORING, World};
use featward_policy::v1;
use featward_proxy::proxy::Proxy;
use http::Response;
use scene::far::Far;
use scene::policy::{ACC, CONV, SECRET, binding};
use scene::wire::Wire;
use scene::{Scene, ask, eventually, post, request};
use serde_json::{Value, json};

#[test]
fn a_granted_request_is_answered_with_what_was_granted() {
    let scene = Scene::new(|_| {});
    let answer = post(&mut scene.pricing(), &ask(&[CONV, ACC], 3));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["metadata"]["feature_names"],
        json!(["driver_id", "conv_rate", "acc_rate"])
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("featward-request-id").unwrap().len(), 32);
}

#[test]
fn the_feature_server_gets_what_was_judged_and_not_what_was_sent() {
    let scene = Scene::new(|_| {});
    let body = br#" { "entities" : { "driver_id" : [ 1 ] }, "unknown": [1, 2], "features" : [ "driver:conv\u005frate" ] } "#;
    let mut wire = scene.pricing();
    wire.send(&request(
        "POST",
        "/get-online-features",
        &[
            ("x-forwarded-for", "1.2.3.4"),
            ("authorization", "Bearer a.b.c"),
            ("cookie", "c=1"),
        ],
        body,
    ));
    assert_eq!(wire.read().status, 200);
    let seen = scene.far.last();
    assert_eq!(seen.target, "/get-online-features");
    assert_eq!(
        seen.json(),
        json!({"features": [CONV], "entities": {"driver_id": [1]}})
    );
    for name in ["x-forwarded-for", "authorization", "cookie"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["host"], scene.far.address.to_string().as_str());
}

#[test]
fn columns_that_nobody_granted_do_not_leave() {
    let scene = Scene::new(|_| {});
    scene.far.answer_json(json!({
        "metadata": {"feature_names": ["driver_id", "conv_rate", "secret"]},
        "results": [{"values": [1]}, {"values": [0.5]}, {"values": [9.75]}],
    }));
    let answer = post(&mut scene.pricing(), &ask(&[CONV], 1));
    assert_eq!(
        answer.json(),
        json!({"metadata": {"feature_names": ["driver_id", "conv_rate"]}, "results": [{"values": [1]}, {"values": [0.5]}]})
    );
}

#[test]
fn where_the_server_and_the_catalogue_differ_the_owner_is_told() {
    let mut scene = Scene::new(|draft| {
        draft.strip();
        draft.0.feature_sets[0].services[0].features.push(SECRET.into());
    });
    let columns = |names: Value| {
        let results: Vec<Value> = names.as_array().unwrap().iter().map(|_| json!({})).collect();
        json!({"metadata": {"feature_names": names}, "results": results})
    };
    let by_service = json!({"feature_service": "activity", "entities": {"driver_id": [1]}});
    let mut wire = scene.pricing();
    scene
        .far
        .answer_json(columns(json!(["driver_id", "conv_rate", "acc_rate", "secret"])));
    assert_eq!(post(&mut wire, &by_service).status, 200);
    assert_eq!(scene.status()["drift"], json!([]), "stripped is not unlisted");
    assert!(scene.record()[0].get("unlisted").is_none());
    scene
        .far
        .answer_json(columns(json!(["driver_id", "acc_rate_v2", "conv_rate"])));
    let answer = post(&mut wire, &by_service);
    assert_eq!(
        answer.json()["metadata"]["feature_names"],
        json!(["driver_id", "conv_rate"])
    );
    let line = &scene.record()[1];
    assert_eq!(
        (&line["unlisted"], &line["unanswered"]),
        (&json!(["acc_rate_v2"]), &json!([ACC]))
    );
    let drift = &scene.status()["drift"][0];
    assert_eq!(
        (&drift["feature_set"], &drift["unlisted"], &drift["unanswered"]),
        (&json!("ml/drivers"), &json!(["acc_rate_v2"]), &json!([ACC]))
    );
    for series in ["unlisted_columns", "unanswered_features"] {
        let series = format!("featward_{series}_total{{feature_set=\"ml/drivers\"}} 1");
        assert!(scene.proxy.metrics().contains(&series), "{series}");
    }
    scene.edit(|draft| draft.0.feature_sets[0].version = "1.0.1".into());
    assert_eq!(scene.status()["drift"], json!([]), "an edit begins anew");
}

#[test]
fn one_feature_too_many_refuses_all_and_says_why() {
    let scene = Scene::new(|_| {});
    let answer = post(&mut scene.pricing(), &ask(&[CONV, SECRET], 1));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], "https://featward.dev/problems/not-granted");
    assert_eq!(problem["missing"], json!([SECRET]));
    assert_eq!(problem["feature_set"], "ml/drivers");
    assert_eq!(problem["owner"], "driver-ml <driver-ml@acme.example>");
    assert_eq!(
        problem["request_id"],
        answer.header("featward-request-id").unwrap()
    );
    let command =
        format!("featward request --identity {PRICING} --feature-set ml/drivers --features {SECRET}");
    assert_eq!(problem["request"], command);
    assert!(scene.far.seen().is_empty());
}

#[test]
fn a_feature_that_does_not_exist_is_refused_like_one_that_is_not_granted() {
    let scene = Scene::new(|_| {});
    let told = |feature: &str| {
        let mut problem = post(&mut scene.pricing(), &ask(&[feature], 1)).json();
        problem["request_id"] = Value::Null;
        problem.to_string().replace(feature, "X")
    };
    assert_eq!(told(SECRET), told("driver:nothing"));
}

#[test]
fn strip_answers_without_the_rest_and_says_what_is_missing() {
    let scene = Scene::new(|draft| {
        draft.strip();
    });
    let answer = post(&mut scene.pricing(), &ask(&[CONV, SECRET, ACC], 1));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("featward-stripped"), Some(SECRET));
    assert_eq!(
        answer.json()["metadata"]["feature_names"],
        json!(["driver_id", "conv_rate", "acc_rate"])
    );
    assert_eq!(scene.far.last().json()["features"], json!([CONV, ACC]));
    assert!(
        scene
            .proxy
            .metrics()
            .contains("featward_stripped_features_total{feature_set=\"ml/drivers\"} 1")
    );
}

#[test]
fn a_service_is_judged_by_its_features_and_goes_on_by_its_name() {
    let mut scene = Scene::new(|_| {});
    let body = json!({"feature_service": "activity", "entities": {"driver_id": [1]}});
    let mut wire = scene.pricing();
    let answer = post(&mut wire, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.far.last().json(), body);
    scene.edit(|draft| draft.0.bindings = vec![binding("pricing", PRICING, &[CONV])]);
    let refused = post(&mut wire, &body).json();
    assert_eq!(refused["reason"], "not-granted");
    assert_eq!(refused.get("missing"), None, "what a service holds is not told");
}

#[test]
fn an_edit_of_the_policy_takes_effect_on_the_next_request_of_an_open_connection() {
    let mut scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    scene.edit(|draft| draft.0.bindings.clear());
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 403);
    scene.edit(|draft| draft.0.bindings = vec![binding("pricing", PRICING, &[CONV])]);
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
}

#[test]
fn an_expired_binding_is_named() {
    let scene = Scene::new(|draft| draft.0.bindings[0].expires = scene::policy::now() - 1);
    let refused = post(&mut scene.pricing(), &ask(&[CONV], 1)).json();
    assert_eq!(refused["reason"], "binding-expired");
    assert_eq!(refused["rule"], "ml/pricing");
}

#[test]
fn the_cost_limit_answers_429_and_announces_short_waits_only() {
    let mut scene = Scene::new(|draft| {
        draft.rate(1, 2, 10);
    });
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 10)).status, 200);
    let soon = post(&mut wire, &ask(&[CONV], 1));
    assert_eq!((soon.status, soon.header("retry-after")), (429, Some("2")));
    let late = post(&mut wire, &ask(&[CONV], 10));
    assert_eq!((late.status, late.header("retry-after")), (429, None));
    scene.edit(|draft| draft.0.bindings[0].purpose = "another".into());
    assert_eq!(
        post(&mut wire, &ask(&[CONV], 1)).status,
        429,
        "a policy swap fills no bucket"
    );
    assert_eq!(post(&mut wire, &ask(&[CONV], 11)).reason(), "cost-over-burst");
}

#[test]
fn the_row_caps_of_binding_and_engine_both_hold() {
    let scene = Scene::with(
        |draft| draft.0.bindings[0].rows_per_request = 5,
        json!({"rows": 4}),
    );
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 4)).status, 200);
    assert_eq!(post(&mut wire, &ask(&[CONV], 5)).reason(), "rows-over-limit");
    assert_eq!(post(&mut wire, &ask(&[CONV], 6)).reason(), "rows-over-limit");
}

#[test]
fn a_request_that_cannot_be_read_is_refused_before_the_server_sees_it() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    for (body, reason) in [
        (&b"{"[..], "malformed-json"),
        (
            br#"{"features":["driver:conv_rate"],"features":[],"entities":{"driver_id":[1]}}"#,
            "duplicate-key",
        ),
        (
            br#"{"features":["driver:conv_rate"],"entities":{"driver_id":["1"]}}"#,
            "entity-type",
        ),
        (
            br#"{"features":["driver:conv_rate"],"entities":{"other":[1]}}"#,
            "unknown-entity",
        ),
        (
            br#"{"features":["driver@latest:conv_rate"],"entities":{"driver_id":[1]}}"#,
            "versioned-feature",
        ),
    ] {
        wire.send(&request("POST", "/get-online-features", &[], body));
        assert_eq!(wire.read().reason(), reason);
    }
    assert!(scene.far.seen().is_empty());
}

#[test]
fn what_a_catalogue_declares_is_told_to_those_only_who_are_granted_what_they_ask() {
    let scene = Scene::new(|draft| {
        draft.rate(1, 60, 1);
    });
    let mut wire = scene.pricing();
    let faulty = [
        (json!({"driver_id": ["x"]}), "entity-type"),
        (json!({"driver_id": [1], "other": [1]}), "unknown-entity"),
        (json!({"driver_id": [u64::MAX]}), "number-out-of-range"),
    ];
    let denied = |wire: &mut Wire, entities: &Value| {
        let mut answer = post(wire, &json!({"features": [SECRET], "entities": entities})).json();
        answer["request_id"] = Value::Null;
        answer
    };
    let plain = denied(&mut wire, &json!({"driver_id": [1]}));
    assert_eq!(plain["reason"], "not-granted");
    for (entities, reason) in &faulty {
        assert_eq!(denied(&mut wire, entities), plain, "{entities}");
        let granted = post(&mut wire, &json!({"features": [CONV], "entities": entities}));
        assert_eq!((granted.status, granted.reason().as_str()), (400, *reason));
    }
    assert_eq!(
        post(&mut wire, &ask(&[CONV], 1)).status,
        200,
        "a request that is not sent on costs nothing"
    );
}

#[test]
fn a_service_that_does_not_exist_is_refused_like_one_that_is_not_granted() {
    let scene = Scene::new(|draft| {
        let mut other = draft.0.feature_sets[0].clone();
        other.name = "riders".into();
        other.features.truncate(2);
        other.features[0].name = "rider:age".into();
        other.features[1].name = "rider:score".into();
        other.services[0].name = "riding".into();
        other.services[0].features = vec!["rider:age".into(), "rider:score".into()];
        draft.0.feature_sets.push(other);
        let mut part = binding("riding", PRICING, &["rider:score"]);
        part.feature_set_name = "riders".into();
        draft.0.bindings.push(part);
    });
    let told = |service: &str| {
        let body = json!({"feature_service": service, "entities": {"driver_id": [1]}});
        let mut problem = post(&mut scene.pricing(), &body).json();
        assert_eq!(problem["reason"], "not-granted");
        problem["request_id"] = Value::Null;
        problem.to_string().replace(service, "X")
    };
    assert_eq!(told("riding"), told("nothing"));
}

#[test]
fn only_the_adapters_route_exists() {
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    let body = ask(&[CONV], 1).to_string();
    for (method, path) in [
        ("POST", "/push"),
        ("GET", "/get-online-features"),
        ("POST", "/get-online-features/"),
        ("POST", "/get-online-features?x=1"),
        ("POST", "/get%2Donline-features"),
        ("POST", "//get-online-features"),
        ("POST", "http://features/get-online-features"),
        ("GET", "/health"),
    ] {
        wire.send(&request(method, path, &[], body.as_bytes()));
        let answer = wire.read();
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (404, "unknown-route"),
            "{method} {path}"
        );
    }
    assert!(scene.far.seen().is_empty());
}

#[test]
fn sizes_are_limited_in_both_directions() {
    let scene = Scene::with(|_| {}, json!({"body_bytes": 1000, "answer_bytes": 5000}));
    let large = post(&mut scene.pricing(), &ask(&[CONV], 1000));
    assert_eq!((large.status, large.reason().as_str()), (413, "body-too-large"));
    scene.far.answer(|_| Response::new(Bytes::from(vec![b' '; 5001])));
    assert_eq!(
        post(&mut scene.pricing(), &ask(&[CONV], 1)).reason(),
        "upstream-answer"
    );
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let scene = Scene::with(|_| {}, json!({"body_seconds": 0.1}));
    let mut wire = scene.pricing();
    wire.send(b"POST /get-online-features HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{");
    let answer = wire.read();
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body-timeout"));
    assert!(wire.is_closed());
}

#[test]
fn a_head_that_drips_is_cut_off_and_an_idle_connection_is_not() {
    let scene = Scene::with(|_| {}, json!({"header_seconds": 0.2, "idle_seconds": 20}));
    let mut dripping = scene.pricing();
    let mut idle = scene.pricing();
    assert_eq!(post(&mut idle, &ask(&[CONV], 1)).status, 200);
    dripping.send(b"POST /get-online-features HT");
    assert!(dripping.is_closed());
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(post(&mut idle, &ask(&[CONV], 1)).status, 200);
}

#[test]
fn a_silent_connection_is_closed_after_the_idle_time() {
    let scene = Scene::with(|_| {}, json!({"idle_seconds": 0.2}));
    let mut used = scene.pricing();
    assert_eq!(post(&mut used, &ask(&[CONV], 1)).status, 200);
    assert!(used.is_closed());
    assert!(scene.nobody().is_closed());
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let scene = Scene::with(|_| {}, json!({"connections": 1}));
    let mut first = scene.pricing();
    assert_eq!(post(&mut first, &ask(&[CONV], 1)).status, 200);
    let mut second = Wire::tcp(scene.mtls);
    assert!(second.is_closed());
    assert_eq!(post(&mut first, &ask(&[CONV], 1)).status, 200);
}

#[test]
fn what_the_server_says_when_it_fails_does_not_leave() {
    let scene = Scene::new(|_| {});
    scene.far.answer(|_| {
        Response::builder()
            .status(500)
            .body("secret: Feature view x does not exist".into())
            .unwrap()
    });
    let answer = post(&mut scene.pricing(), &ask(&[CONV], 1));
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream-error"));
    assert!(!answer.text().contains("secret"));
    scene.far.answer(|_| Response::new("not json".into()));
    assert_eq!(
        post(&mut scene.pricing(), &ask(&[CONV], 1)).reason(),
        "upstream-answer"
    );
}

#[test]
fn what_the_server_does_not_accept_is_no_failure_that_anybody_tries_again() {
    for mode in [v1::Mode::Enforce, v1::Mode::Shadow] {
        let scene = Scene::new(|draft| {
            draft.mode(mode);
        });
        let mut wire = scene.pricing();
        let mut answered = |status: u16| {
            let body = "secret: Feature view x does not exist";
            scene
                .far
                .answer(move |_| Response::builder().status(status).body(body.into()).unwrap());
            let answer = post(&mut wire, &ask(&[CONV], 1));
            assert!(!answer.text().contains("secret"));
            (answer.status, answer.reason())
        };
        for status in [400, 401, 403, 404, 422] {
            assert_eq!(answered(status), (422, "upstream-refused".to_owned()), "{status}");
        }
        for status in [302, 408, 429, 500, 503] {
            assert_eq!(answered(status), (502, "upstream-error".to_owned()), "{status}");
        }
        let line = &scene.record()[3];
        assert_eq!(
            (&line["outcome"], &line["upstream_status"], &line["status"]),
            (&json!("allow"), &json!(404), &json!(422))
        );
        let status = scene.status();
        assert_eq!(
            status["callers"][0]["decisions"],
            json!({"upstream-refused": 5, "upstream-failed": 5})
        );
    }
}

#[test]
fn each_failure_of_the_server_is_an_event_with_the_callers_request_id() {
    let failing = |mode| {
        let scene = Scene::new(|draft| {
            draft.mode(mode);
        });
        scene
            .far
            .answer(|_| Response::builder().status(500).body("secret".into()).unwrap());
        let answer = post(&mut scene.pricing(), &ask(&[CONV], 1));
        let events: Vec<Value> = serde_json::from_slice(&scene.proxy.drain_events()).unwrap();
        let mut failures = events
            .into_iter()
            .filter(|event| event["kind"] == "upstream-failed");
        let event = failures.next().unwrap();
        assert_eq!(event["id"], answer.header("featward-request-id").unwrap());
        assert_eq!(
            (&event["reason"], &event["upstream_status"], &event["feature_set"]),
            (&json!("upstream-error"), &json!(500), &json!("ml/drivers"))
        );
        assert_eq!(event["peer"], PRICING);
        assert!(!event.to_string().contains("secret") && failures.next().is_none());
        answer.status
    };
    assert_eq!(failing(v1::Mode::Enforce), 502);
    assert_eq!(failing(v1::Mode::Observe), 500);
}

#[test]
fn a_server_that_is_not_there_is_unreachable_and_not_a_refusal() {
    let scene = Scene::new(|draft| draft.0.feature_sets[0].endpoints[0].port = 1);
    let answer = post(&mut scene.pricing(), &ask(&[CONV], 1));
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "upstream-unreachable")
    );
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let scene = Scene::with(|_| {}, json!({"upstream_seconds": 0.2}));
    scene.far.answer(|_| {
        std::thread::sleep(std::time::Duration::from_millis(600));
        Response::new(Bytes::new())
    });
    let answer = post(&mut scene.pricing(), &ask(&[CONV], 1));
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (504, "upstream-timeout")
    );
}

#[test]
fn connections_to_the_server_are_kept_and_used_again() {
    let scene = Scene::new(|_| {});
    let (mut one, mut two) = (scene.pricing(), scene.pricing());
    for _ in 0..5 {
        assert_eq!(post(&mut one, &ask(&[CONV], 1)).status, 200);
        assert_eq!(post(&mut two, &ask(&[CONV], 1)).status, 200);
    }
    assert_eq!(scene.far.connections(), 1);
}

#[test]
fn a_kept_connection_that_the_server_has_closed_fails_no_request() {
    let scene = Scene::new(|_| {});
    scene.far.answer(|_| {
        let answer = json!({"metadata": {"feature_names": ["driver_id", "conv_rate"]}, "results": [{}, {}]});
        Response::builder()
            .header("connection", "close")
            .body(answer.to_string().into())
            .unwrap()
    });
    let mut wire = scene.pricing();
    for _ in 0..5 {
        assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    }
    assert_eq!(scene.far.connections(), 5);
}

#[test]
fn callers_without_identity_are_refused_in_enforce_whatever_the_set_allows() {
    let scene = Scene::new(|draft| {
        draft.admit_unidentified(3600);
    });
    let answer = post(&mut scene.nobody(), &ask(&[CONV], 1));
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (403, "identity-required")
    );
    let told: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        told,
        ["detail", "reason", "request_id", "status", "title", "type"]
    );
    assert!(scene.far.seen().is_empty());
}

#[test]
fn before_the_first_policy_nothing_is_decided() {
    let world = chains::World::new();
    world.risk.identify(&world.credentials, SCORING, |_| {});
    let proxy = featward_proxy::proxy::Proxy::new(
        world.credentials.clone(),
        br#"{"serve": {"listen": "127.0.0.1:0"}}"#,
    )
    .unwrap();
    let bound: Value = serde_json::from_slice(&proxy.start().unwrap()).unwrap();
    let address = bound["serve"]["listen"].as_str().unwrap().parse().unwrap();
    let client = world.process(&world.payments, PRICING);
    let answer = post(
        &mut Wire::tls(address, &client, SCORING, &["http/1.1"]),
        &ask(&[CONV], 1),
    );
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no-policy"));
}

#[test]
fn upstream_auth_decides_which_token_goes_on() {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "own-token\n").unwrap();
    let mut scene = Scene::configured(|_| {}, |config| config["upstream_token"] = json!(token.path()));
    let mut wire = scene.pricing();
    let body = ask(&[CONV], 1).to_string();
    let mut sent = |token: &str| {
        wire.send(&request(
            "POST",
            "/get-online-features",
            &[("authorization", token)],
            body.as_bytes(),
        ));
        wire.read()
    };
    let seen = |scene: &Scene| {
        scene
            .far
            .last()
            .headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(sent("Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln").status, 200);
    assert_eq!(seen(&scene), None);
    scene.edit(|draft| {
        draft.upstream_auth(v1::UpstreamAuth::Passthrough);
    });
    assert_eq!(sent("Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln").status, 200);
    assert_eq!(
        seen(&scene).as_deref(),
        Some("Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln")
    );
    let before = scene.far.seen().len();
    assert_eq!(sent("Bearer eyJhbGciOiJub25lIn0.e30.").reason(), "unsigned-token");
    assert_eq!(scene.far.seen().len(), before);
    scene.edit(|draft| {
        draft.upstream_auth(v1::UpstreamAuth::Token);
    });
    assert_eq!(sent("Bearer eyJhbGciOiJub25lIn0.e30.").status, 200);
    assert_eq!(seen(&scene).as_deref(), Some("Bearer own-token"));
}

#[test]
fn probes_are_answered_and_nothing_else() {
    let scene = Scene::new(|_| {});
    let get = |path: &str| {
        let mut wire = Wire::tcp(scene.health);
        wire.send(&request("GET", path, &[], b""));
        wire.read()
    };
    for path in ["/startedz", "/livez", "/readyz"] {
        assert_eq!(get(path).status, 200, "{path}: {}", get(path).text());
    }
    post(&mut scene.pricing(), &ask(&[CONV], 1));
    let metrics = get("/metrics").text();
    let line = "featward_requests_total{feature_set=\"ml/drivers\",operation=\"get-online-features\",decision=\"allow\",reason=\"granted\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert_eq!(get("/status").status, 404);
    let mut wire = Wire::tcp(scene.health);
    wire.send(&request("POST", "/readyz", &[], b""));
    assert_eq!(wire.read().status, 405);
}

#[test]
fn startedz_waits_for_identity_only_when_told() {
    for hold in [false, true] {
        let world = World::new();
        let config = json!({"health": "127.0.0.1:0", "hold": hold}).to_string();
        let proxy = Proxy::new(world.credentials.clone(), config.as_bytes()).unwrap();
        let bound: Value = serde_json::from_slice(&proxy.start().unwrap()).unwrap();
        let health = bound["health"].as_str().unwrap().parse().unwrap();
        let started = || {
            let mut wire = Wire::tcp(health);
            wire.send(&request("GET", "/startedz", &[], b""));
            let answer = wire.read();
            (answer.status, answer.text())
        };
        let before = if hold {
            (503, "no identity yet\n")
        } else {
            (200, "started\n")
        };
        assert_eq!(started(), (before.0, before.1.to_owned()));
        world.risk.identify(&world.credentials, SCORING, |_| {});
        assert_eq!(started(), (200, "started\n".to_owned()));
        proxy.stop(Duration::ZERO);
    }
}

#[test]
fn the_feature_server_that_the_configuration_names_is_asked_instead_of_the_sets() {
    // The scene's own server is started after its configuration is written, so another one stands in for it.
    let far = Far::start();
    let at = far.address.to_string();
    let mut scene = Scene::configured(|_| {}, |config| config["serve"]["upstream"] = json!(at));
    assert_eq!(post(&mut scene.pricing(), &ask(&[CONV], 1)).status, 200);
    scene.edit(|draft| draft.0.feature_sets[0].endpoints[0].port = 1);
    assert_eq!(post(&mut scene.pricing(), &ask(&[CONV], 1)).status, 200);
    assert_eq!((far.seen().len(), scene.far.seen().len()), (2, 0));
    assert_eq!(far.last().headers["host"], at);
    scene.edit(|draft| draft.0.feature_sets[0].endpoints.clear());
    assert_eq!(
        post(&mut scene.pricing(), &ask(&[CONV], 1)).reason(),
        "upstream-unreachable",
        "it has no endpoint that we can read"
    );
}

#[test]
fn a_server_that_is_down_makes_the_sidecar_unready() {
    let scene = Scene::new(|draft| draft.0.feature_sets[0].endpoints[0].port = 1);
    let mut wire = Wire::tcp(scene.health);
    wire.send(&request("GET", "/readyz", &[], b""));
    assert_eq!(wire.read().status, 503);
}

#[test]
fn what_the_agent_counts_is_among_the_series() {
    let scene = Scene::new(|_| {});
    let has = |line: &str| {
        let text = scene.proxy.metrics();
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    };
    has("featward_policy_age_seconds 0");
    has("featward_policy_edits_refused_total 0");
    let told = json!({
        "policy": {"refused_edits": 2, "confirmed_at": scene::policy::now() as f64 - 3599.5},
        "identity": {"renewals": 3, "failed_renewals": 4},
    });
    scene.proxy.set_agent_status(told.to_string().as_bytes()).unwrap();
    let age = |age: u64| format!("featward_policy_age_seconds {age}");
    let text = scene.proxy.metrics();
    assert!(text.contains(&age(3599)) || text.contains(&age(3600)), "{text}");
    has("featward_policy_edits_refused_total 2");
    has("featward_identity_renewals_total{result=\"renewed\"} 3");
    has("featward_identity_renewals_total{result=\"failed\"} 4");
}

#[test]
fn the_admin_socket_tells_who_called_and_is_for_our_own_user() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    post(&mut wire, &ask(&[CONV], 1));
    post(&mut wire, &ask(&[SECRET], 1));
    scene.proxy.set_agent_status(br#"{"pid": 7}"#).unwrap();
    let path = scene.folder.path().join("admin.sock");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let mut wire = Wire::unix(&path);
    wire.send(&request("GET", "/status", &[], b""));
    let status = wire.read().json();
    assert_eq!(status["identity"]["spiffe_id"], SCORING);
    assert_eq!(status["policy"]["feature_sets"][0]["mode"], "enforce");
    assert_eq!(status["callers"][0]["identity"], PRICING);
    assert_eq!(status["callers"][0]["decisions"], json!({"allow": 1, "deny": 1}));
    assert_eq!(status["callers"][0]["newest_trouble"]["missing"], json!([SECRET]));
    assert_eq!(status["agent"], json!({"pid": 7}));
    assert_eq!(
        status["policy"]["digest"],
        scene.proxy.set_policy(&scene.draft.bytes()).unwrap()
    );
}

#[test]
fn stopping_lets_requests_under_way_end_and_then_closes() {
    let scene = Scene::new(|_| {});
    scene.far.answer(|_| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        Response::new(
            json!({"metadata": {"feature_names": ["conv_rate"]}, "results": [{}]})
                .to_string()
                .into(),
        )
    });
    let mut wire = scene.pricing();
    wire.send(&request(
        "POST",
        "/get-online-features",
        &[],
        ask(&[CONV], 1).to_string().as_bytes(),
    ));
    eventually("the request is under way", || !scene.far.seen().is_empty());
    scene.proxy.stop(std::time::Duration::from_secs(10));
    let answer = wire.read();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(wire.is_closed());
    assert!(std::net::TcpStream::connect(scene.mtls).is_err());
}

#[test]
fn a_client_that_sends_far_too_much_can_still_read_why_it_was_refused() {
    let scene = Scene::with(|_| {}, json!({"body_bytes": 1000}));
    for path in ["/get-online-features", "/push"] {
        let mut wire = scene.pricing();
        let sent = wire.try_send(&request("POST", path, &[], &vec![b' '; 4 << 20]));
        assert!(sent.is_ok(), "{path}: {sent:?}");
        assert!([404, 413].contains(&wire.read().status), "{path}");
    }
}

#[test]
fn more_requests_at_once_than_the_limit_are_told_to_come_again() {
    let scene = Scene::with(|_| {}, json!({"connections": 2}));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    scene.far.answer(move |_| {
        // In place, because it shares its runtime with the proxy that is to answer a third request meanwhile.
        tokio::task::block_in_place(|| held.lock().unwrap().recv().unwrap_err());
        Response::new(Bytes::new())
    });
    let (mut one, mut two) = (scene.pricing(), scene.pricing());
    let body = ask(&[CONV], 1).to_string();
    let bytes = request("POST", "/get-online-features", &[], body.as_bytes());
    // One after the other: of so few places a caller has only one to wait for a body in.
    one.send(&bytes);
    eventually("one is under way", || scene.far.seen().len() == 1);
    two.send(&bytes);
    eventually("both are under way", || scene.far.seen().len() == 2);
    let mut scene = scene;
    scene.edit(|draft| {
        draft.mode(v1::Mode::Observe).admit_unidentified(60);
    });
    let answer = post(&mut scene.nobody(), &ask(&[CONV], 1));
    assert_eq!((answer.status, answer.reason().as_str()), (503, "overloaded"));
    drop(release);
}

/// A server that answers the first request of each connection with this status and hangs up on the second.
fn impatient(
    status: &'static str,
) -> (
    std::net::TcpListener,
    std::sync::Arc<parking_lot::Mutex<Vec<String>>>,
) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let seen = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (accepting, told) = (listener.try_clone().unwrap(), std::sync::Arc::clone(&seen));
    std::thread::spawn(move || {
        for stream in accepting.incoming() {
            let (mut stream, told) = (stream.unwrap(), std::sync::Arc::clone(&told));
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                for number in 0..2 {
                    let Ok(size @ 1..) = stream.read(&mut buffer) else {
                        return;
                    };
                    told.lock().push(
                        String::from_utf8_lossy(&buffer[..size])
                            .lines()
                            .next()
                            .unwrap()
                            .to_owned(),
                    );
                    let body = r#"{"metadata":{"feature_names":["conv_rate"]},"results":[{}]}"#;
                    if number == 0 {
                        write!(
                            stream,
                            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
                            body.len()
                        )
                        .unwrap();
                    }
                }
            });
        }
    });
    (listener, seen)
}

#[test]
fn a_read_is_sent_again_when_a_kept_connection_turns_out_to_be_closed() {
    let (server, seen) = impatient("200 OK");
    let port = server.local_addr().unwrap().port();
    let scene = Scene::new(|draft| draft.0.feature_sets[0].endpoints[0].port = port.into());
    let mut wire = scene.pricing();
    for _ in 0..3 {
        assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    }
    assert_eq!(seen.lock().len(), 5, "two of them twice");
}

#[test]
fn a_read_is_sent_again_in_observe_too_whether_or_not_it_could_be_judged() {
    for body in [
        ask(&[CONV], 1),
        json!({"features": [CONV], "entities": {"driver_id": ["x"]}}),
    ] {
        let (server, seen) = impatient("200 OK");
        let port = server.local_addr().unwrap().port();
        let scene = Scene::new(|draft| {
            draft.mode(v1::Mode::Observe);
            draft.0.feature_sets[0].endpoints[0].port = port.into();
        });
        let mut wire = scene.pricing();
        for _ in 0..3 {
            assert_eq!(post(&mut wire, &body).status, 200);
        }
        assert_eq!(seen.lock().len(), 5, "two of them twice");
    }
}

#[test]
fn a_connection_on_which_the_server_failed_serves_nobody_else() {
    let (server, seen) = impatient("500 Internal Server Error");
    let port = server.local_addr().unwrap().port();
    let scene = Scene::new(|draft| {
        draft.mode(v1::Mode::Observe);
        draft.0.feature_sets[0].endpoints[0].port = port.into();
    });
    let (mut one, mut other) = (scene.pricing(), scene.pricing());
    for _ in 0..2 {
        assert_eq!(post(&mut one, &ask(&[CONV], 1)).status, 500);
        other.send(&request("POST", "/push", &[], b"{}"));
        assert_eq!(other.read().status, 500, "the server's own, and not 502");
    }
    assert_eq!(seen.lock().len(), 4);
}

#[test]
fn what_may_be_a_write_is_never_sent_twice() {
    let (server, seen) = impatient("200 OK");
    let port = server.local_addr().unwrap().port();
    let scene = Scene::new(|draft| {
        draft.mode(v1::Mode::Observe);
        draft.0.feature_sets[0].endpoints[0].port = port.into();
    });
    let mut wire = scene.pricing();
    for status in [200, 502] {
        wire.send(&request("POST", "/push", &[], b"{}"));
        assert_eq!(wire.read().status, status);
    }
    assert_eq!(seen.lock().len(), 2);
}
