//! Observe and shadow: what passes, what is recorded, and who is counted.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use chains::PRICING;
use featward_policy::v1::{Mode, UpstreamAuth};
use http::Response;
use scene::policy::{CONV, SECRET};
use scene::{Scene, ask, post, request};
use serde_json::json;

#[test]
fn observe_passes_the_clients_own_bytes_and_the_servers_own_answer() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe);
    });
    scene.far.answer(|_| {
        Response::builder()
            .status(422)
            .header("x-own", "1")
            .body("as it is".into())
            .unwrap()
    });
    let mut wire = scene.pricing();
    let body = b" {\"features\": [\"driver:secret\"], \"entities\": {\"driver_id\": [\"7\"]}} ";
    wire.send(&request(
        "POST",
        "/get-online-features",
        &[("x-mine", "1"), ("x-forwarded-for", "1")],
        body,
    ));
    let answer = wire.read();
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.header("x-own")),
        (422, "as it is", Some("1"))
    );
    let seen = scene.far.last();
    assert_eq!(&seen.body[..], body);
    assert!(seen.headers.contains_key("x-mine") && !seen.headers.contains_key("x-forwarded-for"));
    let line = &scene.record()[0];
    assert_eq!(
        (&line["outcome"], &line["reason"], &line["applied"]),
        (&json!("unjudged"), &json!("entity-type"), &json!(false))
    );
}

#[test]
fn observe_records_what_enforcing_would_do() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe).rate(1, 60, 5);
    });
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV, SECRET], 1)).status, 200);
    assert_eq!(post(&mut wire, &ask(&[CONV], 5)).status, 200);
    assert_eq!(post(&mut wire, &ask(&[CONV], 5)).status, 200);
    let record = scene.record();
    assert_eq!(
        (&record[0]["outcome"], &record[0]["missing"]),
        (&json!("deny"), &json!([SECRET]))
    );
    assert_eq!(
        (&record[1]["outcome"], &record[1]["applied"]),
        (&json!("allow"), &json!(false))
    );
    assert_eq!(
        (&record[2]["outcome"], &record[2]["reason"]),
        (&json!("limited"), &json!("rate-limited"))
    );
    let status = scene.status();
    assert_eq!(
        status["callers"][0]["decisions"],
        json!({"allow": 1, "would-deny": 1, "would-limit": 1})
    );
    assert_eq!(status["would_refuse"][0]["identity"], PRICING);
}

#[test]
fn observe_records_a_token_that_nobody_signed_whatever_else_it_has_to_say() {
    let forged = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.";
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe).upstream_auth(UpstreamAuth::Passthrough);
    });
    let mut wire = scene.pricing();
    let mut sent = |path: &str, body: &str, token: &str| {
        wire.send(&request(
            "POST",
            path,
            &[("authorization", token)],
            body.as_bytes(),
        ));
        assert_eq!(wire.read().status, 200);
        assert_eq!(scene.far.last().headers["authorization"], token);
        let line = scene.record().pop().unwrap();
        (
            line["outcome"].clone(),
            line["reason"].clone(),
            line["applied"].clone(),
        )
    };
    let found = (json!("deny"), json!("unsigned-token"), json!(false));
    let (granted, not) = (ask(&[CONV], 1).to_string(), ask(&[SECRET], 1).to_string());
    assert_eq!(sent("/get-online-features", &granted, forged), found);
    assert_eq!(sent("/get-online-features", &not, forged), found);
    assert_eq!(sent("/get-online-features", "{", forged), found);
    assert_eq!(sent("/push", "{}", forged), found);
    assert_eq!(
        sent("/get-online-features", &granted, "Bearer opaque").0,
        json!("allow")
    );
    let status = scene.status();
    assert_eq!(status["callers"][0]["decisions"]["would-deny"], 4);
    let trouble = &status["would_refuse"][0]["newest_trouble"];
    assert_eq!(
        (&trouble["reason"], &trouble["decision"]),
        (&json!("unsigned-token"), &json!("would-deny"))
    );
}

#[test]
fn observe_passes_routes_that_enforcing_would_close() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe);
    });
    let mut wire = scene.pricing();
    wire.send(&request(
        "PUT",
        "/push?x=1",
        &[("content-type", "text/plain")],
        b"anything",
    ));
    assert_eq!(wire.read().status, 200);
    let seen = scene.far.last();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), &seen.body[..]),
        ("PUT", "/push?x=1", &b"anything"[..])
    );
    let line = &scene.record()[0];
    assert_eq!(
        (&line["outcome"], &line["reason"]),
        (&json!("unmanaged-route"), &json!("unknown-route"))
    );
    wire.send(&request("HEAD", "/health", &[], b""));
    wire.send(b"");
    scene::eventually("the second request has arrived", || scene.far.seen().len() == 2);
}

#[test]
fn observe_still_refuses_bad_framing_and_size() {
    let scene = Scene::with(
        |draft| {
            draft.mode(Mode::Observe);
        },
        json!({"body_bytes": 100}),
    );
    let mut wire = scene.pricing();
    wire.send(b"POST /push HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(wire.read().reason(), "bad-framing");
    let mut wire = scene.pricing();
    wire.send(&request("POST", "/push", &[], &[b'a'; 101]));
    assert_eq!(wire.read().reason(), "body-too-large");
    assert!(scene.far.seen().is_empty());
}

#[test]
fn every_set_that_is_asked_for_counts_what_came_of_it_and_keeps_its_counts_over_edits() {
    let mut scene = Scene::new(|draft| {
        draft.mode(Mode::Observe).admit_unidentified(3600);
        let mut other = draft.0.feature_sets[0].clone();
        other.name = "riders".into();
        other.features = vec![other.features[0].clone()];
        other.features[0].name = "rider:score".into();
        other.services.clear();
        other.mode = Mode::Enforce.into();
        draft.0.feature_sets.push(other);
    });
    let counts = |scene: &Scene| {
        let sets = scene.status()["sets"].as_array().unwrap().clone();
        let count = |set: &serde_json::Value| {
            ["answered", "refused", "would_refuse", "unidentified"].map(|key| set[key].as_u64().unwrap())
        };
        sets.iter()
            .map(|set| (set["name"].as_str().unwrap().to_owned(), count(set)))
            .collect::<Vec<_>>()
    };
    let both = |drivers, riders| {
        vec![
            ("ml/drivers".to_owned(), drivers),
            ("ml/riders".to_owned(), riders),
        ]
    };
    assert_eq!(counts(&scene), both([0; 4], [0; 4]));
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    assert_eq!(post(&mut wire, &ask(&[SECRET], 1)).status, 200);
    assert_eq!(post(&mut wire, &ask(&[CONV, "rider:score"], 1)).status, 403);
    assert_eq!(post(&mut scene.nobody(), &ask(&[CONV], 1)).status, 200);
    // It names no set, and could be for either.
    wire.send(&request("POST", "/push", &[], b"{}"));
    assert_eq!(wire.read().status, 404);
    post(&mut wire, &ask(&["rider:score"], 1));
    let told = both([3, 1, 2, 1], [0, 2, 0, 0]);
    assert_eq!(counts(&scene), told);
    scene.edit(|draft| draft.0.feature_sets[0].version = "1.0.1".into());
    assert_eq!(counts(&scene), told);
}

#[test]
fn shadow_reads_strictly_and_applies_no_decision() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Shadow);
    });
    let mut wire = scene.pricing();
    let answer = post(&mut wire, &ask(&[CONV, SECRET], 1));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["metadata"]["feature_names"],
        json!(["driver_id", "conv_rate", "secret"])
    );
    assert_eq!(scene.far.last().json()["features"], json!([CONV, SECRET]));
    wire.send(&request("POST", "/get-online-features", &[], b"{"));
    assert_eq!(wire.read().reason(), "malformed-json");
    let body = json!({"features": [SECRET], "entities": {"driver_id": ["x"]}});
    assert_eq!(post(&mut wire, &body).reason(), "entity-type");
    wire.send(&request("POST", "/push", &[], b"{}"));
    assert_eq!(wire.read().reason(), "unknown-route");
    let line = &scene.record()[0];
    assert_eq!(
        (&line["outcome"], &line["mode"], &line["applied"]),
        (&json!("deny"), &json!("shadow"), &json!(false))
    );
    assert_eq!(scene.far.seen().len(), 1);
}

#[test]
fn callers_without_identity_pass_while_the_set_admits_them_and_are_listed() {
    for mode in [Mode::Observe, Mode::Shadow] {
        let mut scene = Scene::new(|draft| {
            draft.mode(mode).admit_unidentified(3600);
        });
        let mut wire = scene.nobody();
        assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
        let status = scene.status();
        assert_eq!(status["unidentified"][0]["source"], "127.0.0.1");
        assert_eq!(
            status["unidentified"][0]["newest_trouble"]["reason"],
            "identity-required"
        );
        assert_eq!(status["would_refuse"].as_array().unwrap().len(), 1);
        let line = &scene.record()[0];
        assert_eq!(
            (&line["peer"], &line["via"], &line["source"]),
            (&json!(null), &json!("plain"), &json!("127.0.0.1"))
        );
        scene.edit(|draft| {
            draft.admit_unidentified(-1);
        });
        assert_eq!(
            post(&mut wire, &ask(&[CONV], 1)).reason(),
            "identity-required",
            "{mode:?}"
        );
    }
}

#[test]
fn one_enforcing_set_closes_unknown_routes_for_all_and_leaves_the_others_observed() {
    let scene = Scene::new(|draft| {
        let mut other = draft.0.feature_sets[0].clone();
        other.name = "riders".into();
        other.features = vec![other.features[0].clone()];
        other.features[0].name = "rider:score".into();
        other.services.clear();
        other.mode = Mode::Observe.into();
        draft.0.feature_sets.push(other);
    });
    let mut wire = scene.pricing();
    wire.send(&request("POST", "/push", &[], b"{}"));
    assert_eq!(wire.read().reason(), "unknown-route");
    assert_eq!(
        post(&mut wire, &ask(&["rider:score"], 1)).status,
        200,
        "a set in observe"
    );
    assert_eq!(
        post(&mut wire, &ask(&["rider:score", SECRET], 1)).reason(),
        "not-granted",
        "the strictest mode of those asked"
    );
}

#[test]
fn a_set_that_admits_nobody_is_not_reached_past_one_that_does() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe);
        let mut other = draft.0.feature_sets[0].clone();
        other.name = "riders".into();
        other.features = vec![other.features[0].clone()];
        other.features[0].name = "rider:score".into();
        other.services.clear();
        draft.0.feature_sets.push(other);
        draft.admit_unidentified(3600);
    });
    let mut wire = scene.nobody();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    assert_eq!(
        post(&mut wire, &ask(&["rider:score"], 1)).reason(),
        "identity-required"
    );
    assert_eq!(
        post(&mut wire, &ask(&[CONV, "rider:score"], 1)).reason(),
        "identity-required"
    );
    wire.send(&request("POST", "/push", &[], b"{}"));
    assert_eq!(wire.read().reason(), "identity-required");
    let last = scene.record().pop().unwrap();
    assert_eq!(
        (&last["outcome"], &last["applied"]),
        (&json!("deny"), &json!(true))
    );
}

#[test]
fn a_caller_leaves_the_list_once_it_is_granted_what_it_missed_and_has_come_back() {
    let mut scene = Scene::new(|draft| {
        draft.mode(Mode::Observe);
    });
    let mut wire = scene.pricing();
    let standing = |scene: &Scene| {
        let status = scene.status();
        let row = status["would_refuse"].get(0).cloned().unwrap_or_default();
        (row["standing"].clone(), row["troubles"][0]["missing"].clone())
    };
    let refused = (json!("would-be-refused"), json!([SECRET]));
    post(&mut wire, &ask(&[CONV, SECRET], 1));
    assert_eq!(standing(&scene), refused);
    scene.edit(|draft| draft.0.bindings[0].features.push(SECRET.into()));
    let (open, missing) = standing(&scene);
    assert!(
        open != refused.0 && open != json!(null),
        "granted, and not seen: {open}"
    );
    assert_eq!(missing, json!([]));
    post(&mut wire, &ask(&[CONV, SECRET], 1));
    assert_eq!(scene.status()["would_refuse"], json!([]));
    scene.edit(|draft| {
        draft.0.bindings[0].features.pop();
    });
    assert_eq!(standing(&scene), refused, "taken away again");
    post(&mut wire, &ask(&[CONV], 1));
    assert_eq!(
        standing(&scene),
        refused,
        "what else it is allowed says nothing of this"
    );
    scene.edit(|draft| draft.0.feature_sets[0].version = "1.0.1".into());
    post(&mut wire, &ask(&[CONV], 1));
    assert_eq!(standing(&scene), refused, "no edit but a grant changes that");
}

#[test]
fn a_probe_of_an_unknown_route_hides_no_missing_grant() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe);
    });
    let mut wire = scene.pricing();
    post(
        &mut wire,
        &json!({"feature_service": "nothing", "entities": {"driver_id": [1]}}),
    );
    post(&mut wire, &ask(&[SECRET], 1));
    wire.send(&request("GET", "/health", &[], b""));
    wire.read();
    let status = scene.status();
    let troubles = status["would_refuse"][0]["troubles"].as_array().unwrap();
    let reasons: Vec<_> = troubles.iter().map(|trouble| &trouble["reason"]).collect();
    assert_eq!(reasons, [&json!("unknown-route"), &json!("not-granted")]);
    assert_eq!(troubles[1]["missing"], json!([SECRET]));
}

#[test]
fn a_caller_by_service_is_listed_with_the_features_it_misses() {
    let scene = Scene::new(|draft| {
        draft.mode(Mode::Observe);
        draft.0.feature_sets[0].services[0].features.push(SECRET.into());
    });
    let body = json!({"feature_service": "activity", "entities": {"driver_id": [1]}});
    assert_eq!(post(&mut scene.pricing(), &body).status, 200);
    let status = scene.status();
    assert_eq!(
        status["would_refuse"][0]["newest_trouble"]["missing"],
        json!([SECRET])
    );
}
