//! A request has one reading or none, and every refusal its reason.

use super::*;

const ONE: &str = r#"{"features":["v:f"],"entities":{"driver_id":[1001]}}"#;

#[test]
fn a_request_by_features_is_read_and_written_in_one_spelling() {
    let body = r#" { "entities" : { "driver_id" : [1001, 1002] },
        "full_feature_names": false, "features": ["v:b", "v:a"] } "#;
    let request = read(body).unwrap();
    assert_eq!(request.features(), ["v:b", "v:a"]);
    assert_eq!(request.service(), None);
    assert_eq!(request.rows(), 2);
    assert_eq!(
        written(body),
        r#"{"features":["v:b","v:a"],"entities":{"driver_id":[1001,1002]}}"#
    );
}

#[test]
fn a_request_by_service_is_written_by_service_or_by_what_is_left_of_it() {
    let body = r#"{"feature_service":"s","features":[],"entities":{"driver_id":[1]},
        "full_feature_names":true,"include_feature_view_version_metadata":true}"#;
    let request = read(body).unwrap();
    assert_eq!((request.service(), request.features().len()), (Some("s"), 0));
    assert_eq!(
        written(body),
        r#"{"feature_service":"s","entities":{"driver_id":[1]},"full_feature_names":true,"include_feature_view_version_metadata":true}"#
    );
    let less = String::from_utf8(request.write(Some(&["v:f"]))).unwrap();
    assert!(less.starts_with(r#"{"features":["v:f"],"entities""#), "{less}");
    assert!(!less.contains("feature_service"));
}

#[test]
fn an_empty_or_null_service_leaves_the_features() {
    for service in [r#""""#, "null"] {
        let body =
            format!(r#"{{"feature_service":{service},"features":["v:f"],"entities":{{"driver_id":[1]}}}}"#);
        assert_eq!(read(&body).unwrap().features(), ["v:f"]);
    }
}

#[test]
fn members_that_feast_ignores_are_dropped() {
    let body = r#"{"x":{"y":[1]},"features":["v:f"],"project":"other","entities":{"driver_id":[1001]}}"#;
    assert_eq!(written(body), ONE);
}

#[test]
fn every_scalar_type_keeps_its_meaning() {
    let body = r#"{"features":["v:f"],"entities":{"driver_id":[-9223372036854775808,9223372036854775807],
        "small":[-2147483648,2147483647],"val_to_add":[0.1,3],"ratio":[1e2,-0.0],"city":["a\"\u00e9\ud83d\ude00",""],
        "active":[true,false],"blob":["AA==","x"],"since":[0,1795305600]}}"#;
    assert_eq!(
        written(body),
        concat!(
            r#"{"features":["v:f"],"entities":{"driver_id":[-9223372036854775808,9223372036854775807],"#,
            r#""small":[-2147483648,2147483647],"val_to_add":[0.1,3.0],"ratio":[100.0,-0.0],"city":["a\"é😀",""],"#,
            r#""active":[true,false],"blob":["AA==","x"],"since":[0,1795305600]}}"#
        )
    );
}

#[test]
fn an_entity_value_of_another_type_is_refused_and_never_coerced() {
    for (column, value) in [
        ("driver_id", "1001.0"),
        ("driver_id", "1e3"),
        ("driver_id", "\"1001\""),
        ("driver_id", "true"),
        ("driver_id", "null"),
        ("driver_id", "[1001]"),
        ("driver_id", "{}"),
        ("driver_id", "-0"),
        ("val_to_add", "\"NaN\""),
        ("val_to_add", "true"),
        ("city", "1"),
        ("active", "1"),
        ("active", "\"yes\""),
        ("blob", "[1]"),
        ("since", "\"2026-11-23T00:00:00Z\""),
        ("since", "1.5"),
        ("list", "1"),
    ] {
        let body = format!(r#"{{"features":["v:f"],"entities":{{"{column}":[{value}]}}}}"#);
        assert_eq!(read(&body), Err(Reason::EntityType), "{column}: {value}");
    }
}

#[test]
fn a_number_that_the_declared_type_cannot_hold_is_refused() {
    for (column, value) in [
        ("driver_id", "9223372036854775808"),
        ("driver_id", "99999999999999999999999"),
        ("driver_id", "-9223372036854775809"),
        ("small", "2147483648"),
        ("ratio", "3.5e38"),
        ("val_to_add", "1e400"),
    ] {
        let body = format!(r#"{{"features":["v:f"],"entities":{{"{column}":[{value}]}}}}"#);
        assert_eq!(read(&body), Err(Reason::NumberOutOfRange), "{column}: {value}");
    }
}

#[test]
fn the_members_have_their_types() {
    for body in [
        r#"[]"#,
        r#""x""#,
        r#"{"features":"v:f","entities":{"driver_id":[1]}}"#,
        r#"{"features":null,"entities":{"driver_id":[1]}}"#,
        r#"{"features":["v:f",1],"entities":{"driver_id":[1]}}"#,
        r#"{"features":[["v:f"]],"entities":{"driver_id":[1]}}"#,
        r#"{"feature_service":["s"],"entities":{"driver_id":[1]}}"#,
        r#"{"feature_service":1,"entities":{"driver_id":[1]}}"#,
        r#"{"features":["v:f"],"entities":[]}"#,
        r#"{"features":["v:f"],"entities":null}"#,
        r#"{"features":["v:f"],"entities":{"driver_id":1001}}"#,
        r#"{"features":["v:f"],"entities":{"driver_id":{"val":[1]}}}"#,
        r#"{"features":["v:f"],"entities":{"driver_id":[1]},"full_feature_names":"yes"}"#,
        r#"{"features":["v:f"],"entities":{"driver_id":[1]},"full_feature_names":1}"#,
        r#"{"features":["v:f"],"entities":{"driver_id":[1]},"include_feature_view_version_metadata":null}"#,
    ] {
        assert_eq!(read(body), Err(Reason::WrongType), "{body}");
    }
}

#[test]
fn a_selection_has_one_meaning_or_is_refused() {
    let entities = r#""entities":{"driver_id":[1]}"#;
    for (selection, reason) in [
        (
            r#""feature_service":"s","features":["v:f"]"#,
            Reason::AmbiguousSelection,
        ),
        (r#""features":[]"#, Reason::NoFeatures),
        (r#""feature_service":"""#, Reason::NoFeatures),
        (r#""x":1"#, Reason::NoFeatures),
        (r#""features":["v:f","v:g","v:f"]"#, Reason::DuplicateFeature),
        (r#""features":["v:f","v:\u0066"]"#, Reason::DuplicateFeature),
        (r#""features":["v@latest:f"]"#, Reason::VersionedFeature),
        (r#""features":["v@LATEST:f"]"#, Reason::VersionedFeature),
        (r#""features":["v@:f"]"#, Reason::VersionedFeature),
        (r#""features":["v@v1:f"]"#, Reason::VersionedFeature),
        (r#""features":["v\u0040v1:f"]"#, Reason::VersionedFeature),
        (r#""features":["v@x"]"#, Reason::VersionedFeature),
        (r#""features":["v:f"],"features":["v:g"]"#, Reason::DuplicateKey),
        (
            r#""feature_service":"s","feature_servic\u0065":"t""#,
            Reason::DuplicateKey,
        ),
    ] {
        let body = format!("{{{selection},{entities}}}");
        assert_eq!(read(&body), Err(reason), "{body}");
    }
}

#[test]
fn rows_are_even_declared_and_at_least_one() {
    for (entities, reason) in [
        (r#"{}"#, Reason::NoRows),
        (r#"{"driver_id":[]}"#, Reason::NoRows),
        (r#"{"driver_id":[1,2],"city":["a"]}"#, Reason::UnevenRows),
        (r#"{"driver_id":[1],"city":[]}"#, Reason::UnevenRows),
        (r#"{"driver":[1]}"#, Reason::UnknownEntity),
        (r#"{"driver_id":[1],"driver_id":[2]}"#, Reason::DuplicateKey),
        (r#"{"driver_id":[1],"driver\u005fid":[2]}"#, Reason::DuplicateKey),
        (r#"{"Driver_id":[1]}"#, Reason::UnknownEntity),
    ] {
        let body = format!(r#"{{"features":["v:f"],"entities":{entities}}}"#);
        assert_eq!(read(&body), Err(reason), "{body}");
    }
    assert_eq!(read(r#"{"features":["v:f"]}"#), Err(Reason::MissingField));
}

#[test]
fn a_row_asked_for_twice_counts_twice() {
    let body = r#"{"features":["v:f"],"entities":{"driver_id":[7,7,7]}}"#;
    assert_eq!(read(body).unwrap().rows(), 3);
}

#[test]
fn deep_nesting_is_refused_wherever_it_stands() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let extra = |levels| format!(r#"{{"x":{},{}"#, deep(levels), &ONE[1..]);
    assert!(read(&extra(7)).is_ok());
    assert_eq!(read(&extra(8)), Err(Reason::TooDeep));
    assert_eq!(read(&extra(100_000)), Err(Reason::TooDeep));
    let entity = format!(
        r#"{{"features":["v:f"],"entities":{{"driver_id":[{}]}}}}"#,
        deep(100_000)
    );
    assert_eq!(read(&entity), Err(Reason::TooDeep));
}

#[test]
fn what_the_catalogue_objects_to_waits_and_other_faults_do_not() {
    let parse = |entities: &str, columns: fn(&str) -> Option<ColumnType>| {
        let body = format!(r#"{{"features":["v:f"],"entities":{entities}}}"#);
        parse(body.as_bytes(), columns, &ParseLimits::default())
            .map(|read| (read.rows(), read.objection().map(|fault| fault.reason)))
            .map_err(|fault| fault.reason)
    };
    for (entities, objection) in [
        (
            r#"{"nobody":[1,"x",{"y":[null]}],"driver_id":[1,2,3]}"#,
            Reason::UnknownEntity,
        ),
        (r#"{"driver_id":[1,"x",[2]]}"#, Reason::EntityType),
        (r#"{"list":[1,2,3]}"#, Reason::EntityType),
        (
            r#"{"small":[1,2147483648,true],"nobody":[1,2,3]}"#,
            Reason::NumberOutOfRange,
        ),
    ] {
        assert_eq!(parse(entities, columns), Ok((3, Some(objection))), "{entities}");
    }
    for (entities, fault) in [
        (r#"{"driver_id":["x"],"nobody":[1,2]}"#, Reason::UnevenRows),
        (r#"{"driver_id":["x"],"driver_id":[1]}"#, Reason::DuplicateKey),
        (r#"{"driver_id":["x",{"y":1,"y":2}]}"#, Reason::DuplicateKey),
        (r#"{"driver_id":"x"}"#, Reason::WrongType),
        (r#"{"driver_id":["x",1e400]}"#, Reason::NumberOutOfRange),
        (r#"{"driver_id":["x",[[[[[[1]]]]]]]}"#, Reason::TooDeep),
        (r#"{"driver_id":["x",]}"#, Reason::MalformedJson),
        (r#"{"driver_id":["\ud800"]}"#, Reason::MalformedJson),
    ] {
        assert_eq!(parse(entities, columns), Err(fault), "{entities}");
        assert_eq!(
            parse(entities, |_| None),
            Err(fault),
            "{entities} where nothing is declared"
        );
    }
}

#[test]
fn a_fault_says_where_and_quotes_no_value() {
    let body = r#"{"features":["v:f"],"entities":{"driver_id":[1,"secret-value"]}}"#;
    let fault = parsed(body.as_bytes()).unwrap_err();
    assert_eq!(fault.detail, "entities.driver_id[1]: expected int64");
    let body = r#"{"features":["v:f"],"entities":{"driver_id":"secret, expected"}}"#;
    let fault = parsed(body.as_bytes()).unwrap_err();
    assert!(!fault.detail.contains("secret"), "{}", fault.detail);
    assert!(
        fault.detail.starts_with("expected a list of values"),
        "{}",
        fault.detail
    );
}
