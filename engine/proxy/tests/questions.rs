//! The judgement as a tool asks for it.

#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]

mod chains;

use chains::{Authority, DOMAIN, PRICING, World, live};
use featward_proxy::question::judge;
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs() as i64
}

/// A question about pricing's chain, which this authority signed.
fn question(world: &World, authority: &Authority) -> Value {
    let chain = authority.chain(PRICING, |params| live(params, -60, 3600));
    let chain: Vec<_> = chain.all().iter().map(|one| hex(one)).collect();
    let scopes: Vec<_> = world
        .scopes()
        .iter()
        .map(|(key, prefix)| json!([hex(key), prefix]))
        .collect();
    json!({"trust_domain": DOMAIN, "roots": [hex(&world.root.der)], "scopes": scopes, "chain": chain, "at": now()})
}

fn answer(question: &Value) -> Value {
    serde_json::from_slice(&judge(question.to_string().as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_good_chain_is_accepted_with_who_it_is_and_who_signed() {
    let world = World::new();
    assert_eq!(
        answer(&question(&world, &world.payments)),
        json!({
            "accepted": true, "cause": null, "detail": null, "spiffe_id": PRICING,
            "authority": hex(&world.payments.spki_sha256()),
        })
    );
}

#[test]
fn a_refusal_has_the_cause_of_a_handshake() {
    let world = World::new();
    let good = || question(&world, &world.payments);
    let changed = |field: &str, value: Value| {
        let mut question = good();
        question[field] = value;
        question
    };
    for (question, cause) in [
        (question(&world, &world.risk), "out-of-scope"),
        (changed("at", json!(now() + 7200)), "expired"),
        (changed("at", json!(now() as f64 - 7200.5)), "not-yet-valid"),
        (
            changed("roots", json!([hex(&Authority::root(DOMAIN).der)])),
            "unknown-authority",
        ),
        (
            changed("trust_domain", json!("staging.acme.example")),
            "wrong-trust-domain",
        ),
        (changed("chain", json!([])), "no-certificate"),
        (changed("chain", json!(["00ff"])), "bad-svid"),
        (changed("roots", json!([])), "bad-trust"),
        (changed("trust_domain", json!("Not A Domain")), "bad-trust"),
        (changed("bans", json!([["identity", PRICING, 0]])), "banned"),
        (
            changed(
                "bans",
                json!([["authority", hex(&world.payments.spki_sha256()), now() + 60]]),
            ),
            "banned",
        ),
        (changed("bans", json!([["nobody", PRICING, 0]])), "bad-trust"),
    ] {
        let answer = answer(&question);
        assert_eq!(
            (&answer["accepted"], &answer["cause"]),
            (&json!(false), &json!(cause))
        );
        assert!(!answer["detail"].as_str().unwrap().is_empty());
        assert_eq!(answer["authority"], Value::Null);
    }
    assert_eq!(answer(&question(&world, &world.risk))["spiffe_id"], PRICING);
}

#[test]
fn a_ban_that_is_over_at_that_second_is_none() {
    let world = World::new();
    let mut question = question(&world, &world.payments);
    question["bans"] = json!([
        ["identity", PRICING, now() - 1],
        ["identity", format!("{PRICING}2"), 0]
    ]);
    assert_eq!(answer(&question)["accepted"], true);
}

#[test]
fn without_a_table_the_root_decides() {
    let world = World::new();
    let mut question = question(&world, &world.risk);
    question["scopes"] = Value::Null;
    assert_eq!(answer(&question)["accepted"], true);
}

#[test]
fn a_question_that_cannot_be_read_is_an_error() {
    let world = World::new();
    let good = question(&world, &world.payments);
    for (field, value) in [
        ("chain", json!(["xyz"])),
        ("chain", json!(["abc"])),
        ("roots", json!("00")),
        ("scopes", json!([["zz", "/bu/payments/"]])),
        ("at", Value::Null),
        ("more", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(judge(bad.to_string().as_bytes()).is_err(), "{field}");
    }
    assert!(judge(b"{").is_err());
}
