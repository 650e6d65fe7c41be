//! Decisions by hand reach open connections with the next request, and end without anybody's help.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says that it failed")]

mod chains;
mod scene;

use featward_policy::v1::{Mode, Override, OverrideAction};
use scene::policy::{CONV, SECRET, now};
use scene::{Scene, ask, eventually, post, request};
use serde_json::json;

fn by_hand(action: OverrideAction, seconds: i64) -> Option<Override> {
    Some(Override {
        action: action.into(),
        until: now() + seconds,
        name: "incident-7".into(),
    })
}

#[test]
fn a_relaxed_set_answers_on_an_open_connection_and_ends_by_itself() {
    let mut scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    let secret = ask(&[CONV, SECRET], 1);
    assert_eq!(post(&mut wire, &secret).reason(), "not-granted");
    scene.edit(|draft| {
        draft.0.feature_sets[0].r#override = by_hand(OverrideAction::Relax, 2);
    });
    assert_eq!(post(&mut wire, &secret).status, 200);
    let line = scene.record().pop().unwrap();
    assert_eq!(
        (&line["mode"], &line["applied"], &line["overrides"]),
        (&json!("shadow"), &json!(false), &json!(["incident-7"]))
    );
    let set = &scene.status()["policy"]["feature_sets"][0];
    assert_eq!(
        (&set["mode"], &set["override"]["action"]),
        (&json!("shadow"), &json!("relax"))
    );
    let wire = std::cell::RefCell::new(wire);
    eventually("it ends", || post(&mut wire.borrow_mut(), &secret).status == 403);
    let set = &scene.status()["policy"]["feature_sets"][0];
    assert_eq!(
        (&set["mode"], &set["override"]),
        (&json!("enforce"), &json!(null))
    );
    assert_eq!(scene.record().pop().unwrap()["overrides"], json!(null));
}

#[test]
fn a_closed_set_refuses_in_observe_too() {
    let mut scene = Scene::new(|draft| {
        draft.mode(Mode::Observe).admit_unidentified(3600);
    });
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[SECRET], 1)).status, 200);
    let seen = scene.far.seen().len();
    scene.edit(|draft| {
        draft.0.feature_sets[0].r#override = by_hand(OverrideAction::Close, 2);
    });
    let answer = post(&mut wire, &ask(&[SECRET], 1));
    assert_eq!((answer.status, answer.reason().as_str()), (403, "closed"));
    let told = answer.json();
    assert_eq!(told["owner"], "driver-ml <driver-ml@acme.example>");
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .contains("closed by hand until 20"),
        "{told}"
    );
    assert_eq!(told.get("request"), None, "no binding helps");
    let mut nobody = scene.nobody();
    assert_eq!(post(&mut nobody, &ask(&[CONV], 1)).reason(), "closed");
    // What observe lets pass unread could be anything.
    wire.send(&request("POST", "/push", &[], b"{}"));
    assert_eq!(wire.read().reason(), "unknown-route");
    wire.send(&request("POST", "/get-online-features", &[], b"{"));
    assert_eq!(wire.read().reason(), "malformed-json");
    assert_eq!(scene.far.seen().len(), seen, "nothing reached the feature server");
    let line = &scene.record()[1];
    assert_eq!(
        (&line["outcome"], &line["applied"]),
        (&json!("deny"), &json!(true))
    );
    let wire = std::cell::RefCell::new(wire);
    eventually("it opens", || {
        post(&mut wire.borrow_mut(), &ask(&[SECRET], 1)).status == 200
    });
}

#[test]
fn a_closed_binding_grants_nothing_until_its_time_is_over() {
    let mut scene = Scene::new(|_| {});
    let mut wire = scene.pricing();
    assert_eq!(post(&mut wire, &ask(&[CONV], 1)).status, 200);
    scene.edit(|draft| {
        draft.0.bindings[0].r#override = by_hand(OverrideAction::Close, 2);
    });
    let answer = post(&mut wire, &ask(&[CONV], 1));
    assert_eq!((answer.status, answer.reason().as_str()), (403, "closed"));
    assert_eq!(answer.json()["rule"], "ml/pricing");
    assert_eq!(scene.record().pop().unwrap()["overrides"], json!(["incident-7"]));
    let wire = std::cell::RefCell::new(wire);
    eventually("it grants again", || {
        post(&mut wire.borrow_mut(), &ask(&[CONV], 1)).status == 200
    });
}
