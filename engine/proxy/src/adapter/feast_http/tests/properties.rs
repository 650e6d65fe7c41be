//! Properties over many requests: written and read again, read by a slow reader instead, and broken at random.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// A valid request as a `Value`, in any order of members and with members that Feast ignores.
fn request() -> impl Strategy<Value = Value> {
    let name = "[a-zé]{1,6}:[a-z_]{1,8}";
    let selection = prop_oneof![
        vec(name, 1..6).prop_map(|mut features| {
            features.sort();
            features.dedup();
            json!({ "features": features })
        }),
        "[a-z\"\\\\]{1,10}".prop_map(|service| json!({ "feature_service": service })),
        "[a-z]{1,10}".prop_map(|service| json!({ "features": [], "feature_service": service })),
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (selection, 1..5usize)
        .prop_flat_map(move |(selection, rows)| (Just(selection), entities(rows), flags, "[a-z]{0,3}"))
        .prop_map(|(mut selection, entities, (full, versions, extra), key)| {
            let members = selection.as_object_mut().unwrap();
            members.insert("entities".to_owned(), entities);
            members.insert("full_feature_names".to_owned(), full.into());
            members.insert(
                "include_feature_view_version_metadata".to_owned(),
                versions.into(),
            );
            if extra {
                members.insert(key, json!([{ "a": [1.5, null] }]));
            }
            selection
        })
}

fn entities(rows: usize) -> impl Strategy<Value = Value> {
    let finite = any::<f64>().prop_filter("JSON has no other numbers", |value| value.is_finite());
    (
        vec(any::<i64>(), rows),
        vec(finite, rows),
        vec(any::<String>(), rows),
        vec(any::<bool>(), rows),
        1..16u8,
    )
        .prop_map(|(integers, numbers, texts, booleans, chosen)| {
            let mut columns = Map::new();
            let all = [
                ("driver_id", json!(integers)),
                ("val_to_add", json!(numbers)),
                ("city", json!(texts)),
                ("active", json!(booleans)),
            ];
            for (index, (name, values)) in all.into_iter().enumerate() {
                if chosen & (1 << index) != 0 {
                    columns.insert(name.to_owned(), values);
                }
            }
            Value::Object(columns)
        })
}

/// What the body for Feast must say, by a reader that shares nothing with the fast one.
fn slow(request: &Value) -> Value {
    let mut expected = Map::new();
    match request.get("feature_service") {
        Some(service) => expected.insert("feature_service".to_owned(), service.clone()),
        None => expected.insert("features".to_owned(), request["features"].clone()),
    };
    expected.insert("entities".to_owned(), request["entities"].clone());
    for flag in ["full_feature_names", "include_feature_view_version_metadata"] {
        if request[flag] == true {
            expected.insert(flag.to_owned(), Value::Bool(true));
        }
    }
    Value::Object(expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_reads_back_as_what_was_read(request in request(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_string_pretty(&request) } else { serde_json::to_string(&request) }.unwrap();
        let first = read(&body).unwrap();
        let again = String::from_utf8(first.write(None)).unwrap();
        prop_assert_eq!(&read(&again).unwrap(), &first);
        prop_assert_eq!(read(&again).unwrap().write(None), again.clone().into_bytes());
    }

    #[test]
    fn the_slow_reader_agrees(request in request()) {
        let body = request.to_string();
        let first = read(&body).unwrap();
        let sent: Value = serde_json::from_slice(&first.write(None)).unwrap();
        prop_assert_eq!(sent, slow(&request));
        let rows = request["entities"].as_object().unwrap().values().next().unwrap().as_array().unwrap().len();
        prop_assert_eq!(first.rows(), rows as u64);
    }

    #[test]
    fn random_bytes_are_refused_without_panic(body in vec(any::<u8>(), 0..200)) {
        prop_assert!(parsed(&body).is_err());
        prop_assert!(filter(&body, &|_| true, &|_| true).is_err());
    }

    /// A broken request is refused, or it says exactly what the slow reader makes of it.
    #[test]
    fn a_mutated_request_is_refused_or_read_as_any_reader_would(
        request in request(),
        edits in vec((any::<prop::sample::Index>(), edit()), 1..4),
    ) {
        let mut body = request.to_string().into_bytes();
        for (at, edit) in edits {
            edit.apply(&mut body, at);
        }
        if let Ok(first) = parsed(&body) {
            let value: Value = serde_json::from_slice(&body).unwrap();
            let sent: Value = serde_json::from_slice(&first.write(None)).unwrap();
            let mut expected = slow(&without_empty_service(value));
            widen(&mut expected);
            prop_assert_eq!(sent, expected);
        }
    }

    #[test]
    fn the_filter_keeps_exactly_the_columns_that_it_should(
        names in prop::collection::hash_set("[a-zé\"]{1,5}", 0..8),
        kept in prop::collection::hash_set("[a-zé\"]{1,5}", 0..8),
        chosen in any::<u8>(),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let keep = |name: &str| {
            kept.contains(name) || names.iter().position(|other| other == name).is_some_and(|at| chosen & (1 << at) != 0)
        };
        let results: Vec<Value> = names.iter().map(|name| json!({"values": [name, 1.5, null]})).collect();
        let answer = json!({"metadata": {"feature_names": names}, "results": results}).to_string();
        let filtered = filter(answer.as_bytes(), &keep, &|_| false).unwrap();
        let filtered: Value = serde_json::from_slice(&filtered).unwrap();
        let left: Vec<&String> = names.iter().filter(|name| keep(name)).collect();
        prop_assert_eq!(&filtered["metadata"]["feature_names"], &json!(left));
        for (at, name) in left.iter().enumerate() {
            prop_assert_eq!(&filtered["results"][at]["values"][0], &json!(name));
        }
    }
}

fn without_empty_service(mut value: Value) -> Value {
    if value["feature_service"] == "" || value["feature_service"].is_null() {
        value.as_object_mut().unwrap().remove("feature_service");
    }
    value
}

/// A column of doubles is sent as floats, however its numbers were written.
fn widen(expected: &mut Value) {
    if let Some(Value::Array(values)) = expected["entities"].get_mut("val_to_add") {
        for value in values {
            *value = json!(value.as_f64().unwrap());
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Delete,
    Flip(u8),
    Insert(&'static str),
    Repeat(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let pieces = vec![
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "0",
        "-",
        "1e9",
        ".5",
        "null",
        "true",
        "\\u0000",
        "\\ud800",
        "@v1",
        "\"features\":[],",
        "\"entities\":{},",
        "\u{feff}",
        "\u{0}",
        " ",
        "NaN",
        "//",
        "1,",
        "\"feature_service\":\"\",",
    ];
    prop_oneof![
        Just(Edit::Delete),
        (1..=255u8).prop_map(Edit::Flip),
        prop::sample::select(pieces).prop_map(Edit::Insert),
        (1..40usize).prop_map(Edit::Repeat),
    ]
}

impl Edit {
    fn apply(self, body: &mut Vec<u8>, at: prop::sample::Index) {
        if body.is_empty() {
            return;
        }
        let at = at.index(body.len());
        match self {
            Edit::Delete => {
                body.remove(at);
            }
            Edit::Flip(bits) => body[at] ^= bits,
            Edit::Insert(piece) => {
                body.splice(at..at, piece.bytes());
            }
            Edit::Repeat(length) => {
                let piece = body[at..body.len().min(at + length)].to_vec();
                body.splice(at..at, piece);
            }
        }
    }
}
