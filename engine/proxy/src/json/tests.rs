//! Each thing that JSON readers disagree about is refused, under its own name.

use serde::de::DeserializeSeed as _;

use super::*;

fn skim(body: impl AsRef<[u8]>) -> Result<(), Reason> {
    document(body.as_ref(), |reading, source| {
        Skim { reading, levels: 4 }.deserialize(source)
    })
    .map_err(|fault| fault.reason)
}

#[test]
fn a_plain_document_is_read() {
    assert_eq!(
        skim(r#" {"a":[1,-2.5e3,true,null,"é\ud83d\ude00"],"b":{}} "#),
        Ok(())
    );
}

#[test]
fn a_key_that_stands_twice_is_refused_at_every_level() {
    for body in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":[{"a":1,"b":2,"a":3}]}"#,
    ] {
        assert_eq!(skim(body), Err(Reason::DuplicateKey), "{body}");
    }
}

#[test]
fn a_key_that_stands_twice_among_many_is_found() {
    let keys: Vec<String> = (0..100).map(|key| format!(r#""k{key}":0"#)).collect();
    assert_eq!(skim(format!("{{{}}}", keys.join(","))), Ok(()));
    for again in [0, 7, 8, 50, 99] {
        let body = format!("{{{},{}}}", keys.join(","), keys[again]);
        assert_eq!(skim(body), Err(Reason::DuplicateKey), "key {again}");
    }
}

#[test]
fn encodings_other_than_plain_utf8_are_refused() {
    let text = r#"{"a":1}"#;
    let utf16: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let wide: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let latin = b"{\"a\":\"\xe9\"}".to_vec();
    for body in [little, big, wide, marked, latin] {
        assert_eq!(skim(&body), Err(Reason::NotUtf8), "{body:?}");
    }
}

#[test]
fn depth_is_bounded_below_what_would_overflow_a_stack() {
    assert_eq!(skim("[[[[1]]]]"), Ok(()));
    assert_eq!(skim("[[[[[1]]]]]"), Err(Reason::TooDeep));
    assert_eq!(skim("[".repeat(1_000_000)), Err(Reason::TooDeep));
    let deep = document("[".repeat(1000).as_bytes(), |reading, source| {
        Skim {
            reading,
            levels: usize::MAX,
        }
        .deserialize(source)
    });
    assert_eq!(deep.unwrap_err().reason, Reason::TooDeep);
}

#[test]
fn what_is_not_json_is_refused() {
    for body in [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        "[01]",
        "[+1]",
        "[1.]",
        "[.5]",
        "[0x1]",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[\"\\ud800\"]",
        "[\"\\udc00\"]",
        "[\"\\ud800\\u0041\"]",
        "[\"\n\"]",
        "[\"\\x41\"]",
        "/* no */ 1",
        "[1 2]",
        "\u{a0}1",
        "[tru]",
    ] {
        assert_eq!(skim(body), Err(Reason::MalformedJson), "{body}");
    }
}

#[test]
fn a_number_beyond_a_double_is_refused() {
    assert_eq!(skim("[1e400]"), Err(Reason::NumberOutOfRange));
    assert_eq!(skim("[1e308]"), Ok(()));
}

#[test]
fn whatever_follows_the_document_is_refused() {
    for body in ["{} {}", "{}x", "[[]]\0", "1 2"] {
        assert_eq!(skim(body), Err(Reason::TrailingData), "{body}");
    }
}
