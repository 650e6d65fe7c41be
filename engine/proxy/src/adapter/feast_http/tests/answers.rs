//! An answer keeps what was granted, to the byte, or cannot be checked.

use std::borrow::Cow;

use super::*;

const ANSWER: &str = concat!(
    r#"{"results":[{"values":[1001]},{"values":[0.5],"note":"]}"},{"values":[null]}],"#,
    r#""metadata":{"feature_names":["driver_id","conv_rate","acc_rate"]}}"#
);

fn kept(answer: &str, keep: &[&str], views: &[&str]) -> Result<String, Reason> {
    filter(answer.as_bytes(), &|name| keep.contains(&name), &|name| {
        views.contains(&name)
    })
    .map(|kept| String::from_utf8(kept.into_owned()).unwrap())
    .map_err(|fault| fault.reason)
}

#[test]
fn an_answer_that_may_be_seen_whole_is_passed_as_it_came() {
    let answer = filter(ANSWER.as_bytes(), &|_| true, &|_| true).unwrap();
    assert!(matches!(answer, Cow::Borrowed(bytes) if bytes == ANSWER.as_bytes()));
}

#[test]
fn a_column_that_was_not_granted_is_cut_out_by_name() {
    assert_eq!(
        kept(ANSWER, &["driver_id", "acc_rate"], &[]).unwrap(),
        r#"{"results":[{"values":[1001]},{"values":[null]}],"metadata":{"feature_names":["driver_id","acc_rate"]}}"#
    );
    assert_eq!(
        kept(ANSWER, &[], &[]).unwrap(),
        r#"{"results":[],"metadata":{"feature_names":[]}}"#
    );
}

#[test]
fn the_members_may_come_in_either_order() {
    let answer =
        r#" {"metadata":{"feature_names":["a","b"]}, "status":true, "results":[ {"a":1} , {"b":2} ]} "#;
    assert_eq!(
        kept(answer, &["b"], &[]).unwrap(),
        r#"{"results":[{"b":2}],"metadata":{"feature_names":["b"]},"status":true}"#
    );
}

#[test]
fn what_is_wrong_with_an_answer_is_told_without_its_values() {
    for answer in [
        r#"{"results":[{}],"metadata":{"feature_names":["a", "SECRET, expected SECRET", 7.0625]}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":"SECRET"}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a"]},"status":"SECRET"}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a"],"feature_view_metadata":["SECRET"]}}"#,
        r#"{"results":"SECRET","metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[SECRET],"metadata":{"feature_names":["a"]}}"#,
    ] {
        let fault = filter(answer.as_bytes(), &|_| true, &|_| true).unwrap_err();
        assert_eq!(fault.reason, Reason::UpstreamAnswer);
        assert!(
            !fault.detail.contains("SECRET") && !fault.detail.contains("7.0625"),
            "{answer}: {}",
            fault.detail
        );
    }
}

#[test]
fn version_metadata_of_views_that_were_not_granted_is_cut_out() {
    let answer = concat!(
        r#"{"results":[{}],"metadata":{"feature_names":["a"],"feature_view_metadata":"#,
        r#"[{"name":"seen","version":2},{"name":"hidden"}]}}"#
    );
    assert_eq!(
        kept(answer, &["a"], &["seen"]).unwrap(),
        r#"{"results":[{}],"metadata":{"feature_names":["a"],"feature_view_metadata":[{"name":"seen","version":2}]}}"#
    );
}

#[test]
fn members_that_nobody_knows_are_dropped() {
    let plain = r#"{"results":[{}],"metadata":{"feature_names":["a"]}}"#;
    for answer in [
        r#"{"results":[{}],"metadata":{"feature_names":["a"]},"debug":{"hidden":[2]}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a"],"rows":[2]}}"#,
    ] {
        assert_eq!(kept(answer, &["a"], &[]).unwrap(), plain, "{answer}");
    }
}

#[test]
fn an_answer_that_cannot_be_checked_is_a_failure_of_the_upstream() {
    for answer in [
        "",
        "null",
        "[]",
        r#""{}""#,
        r#"{"detail":"no"}"#,
        r#"{"results":[{}]}"#,
        r#"{"metadata":{"feature_names":[]}}"#,
        r#"{"results":[{}],"metadata":{}}"#,
        r#"{"results":[{},{}],"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a","b"]}}"#,
        r#"{"results":[{},{}],"metadata":{"feature_names":["a","a"]}}"#,
        r#"{"results":[{},{}],"metadata":{"feature_names":["a","\u0061"]}}"#,
        r#"{"results":[{}],"results":[{}],"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a"],"feature_names":["a"]}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a"]}}{}"#,
        r#"{"results":[{},],"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[NaN],"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a"],"feature_view_metadata":[{"version":1}]}}"#,
        r#"{"results":[{}],"metadata":{"feature_names":["a"],"feature_view_metadata":[{"name":"a","name":"b"}]}}"#,
        r#"{"results":{"a":1},"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":0,"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[{}],"metadata":1}"#,
        r#"{"results":[{}],"metadata":[["a"]]}"#,
        r#"{"results":[{"a":"],"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[{],"metadata":{"feature_names":["a"]}}"#,
        r#"{"results":[{}}],"metadata":{"feature_names":["a"]}}"#,
    ] {
        assert_eq!(
            kept(answer, &["a"], &["a"]),
            Err(Reason::UpstreamAnswer),
            "{answer}"
        );
    }
    let latin = filter(
        b"{\"results\":[{\"\xe9\":1}],\"metadata\":{\"feature_names\":[\"a\"]}}",
        &|_| true,
        &|_| true,
    );
    assert_eq!(latin.unwrap_err().reason, Reason::UpstreamAnswer);
}

#[test]
fn kept_names_follow_the_request() {
    let body = r#"{"features":["v:f","v:g"],"entities":{"driver_id":[1]}}"#;
    let request = read(body).unwrap();
    let kept = Kept::new(&request, ["v:f"]);
    assert!(kept.column("f") && kept.column("driver_id") && kept.view("v"));
    assert!(!kept.column("g") && !kept.column("v__f") && !kept.column("city") && !kept.view("w"));

    let full = body.replace("]}}", r#"]},"full_feature_names":true}"#);
    let request = read(&full).unwrap();
    let kept = Kept::new(&request, ["v:f"]);
    assert!(kept.column("v__f") && kept.column("driver_id"));
    assert!(!kept.column("f") && !kept.column("v__g"));
}

#[test]
fn an_answer_without_any_granted_column_is_a_failure_of_the_upstream() {
    let body = r#"{"features":["v:f","v:g"],"entities":{"driver_id":[1]},"full_feature_names":true}"#;
    let request = read(body).unwrap();
    let kept = Kept::new(&request, ["v:f", "v:g"]);
    let answer = |names: &str| {
        let names: Vec<&str> = names.split(' ').collect();
        let results = vec!["{}"; names.len()].join(",");
        let names = names.join(r#"",""#);
        format!(r#"{{"results":[{results}],"metadata":{{"feature_names":["{names}"]}}}}"#)
    };
    let fault = kept
        .filter(answer("driver_id renamed__f").as_bytes(), |_| false)
        .unwrap_err();
    assert_eq!(fault.reason, Reason::UpstreamAnswer);
    let text = answer("driver_id v__g city new");
    let told = kept
        .filter(text.as_bytes(), |name| name == "city")
        .unwrap()
        .differing;
    assert_eq!(
        (told.unlisted_total, told.unlisted, told.unanswered),
        (1, vec!["new".to_owned()], vec!["v:f"])
    );
    let mut kept = kept.clone();
    kept.leave_out(["v:h"]);
    let text = answer("v__f v__h v__g");
    assert!(
        kept.filter(text.as_bytes(), |_| false)
            .unwrap()
            .differing
            .is_empty()
    );
    assert!(
        Kept::new(&request, [])
            .filter(answer("driver_id").as_bytes(), |_| false)
            .is_ok()
    );
}
