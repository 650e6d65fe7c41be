//! Writes JSON values into a buffer, in one canonical spelling.
//!
//! serde_json's writer would do, but it returns errors that a buffer never has; these four functions cannot fail.

use std::io::Write as _;

/// Writes `"text"`, escaping what RFC 8259 section 7 says must be escaped and nothing else.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    // Every byte is looked at, without an early end: so the compiler looks at sixteen at a time.
    if bytes.iter().fold(true, |all, byte| all & is_plain(*byte)) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, bytes);
    }
    out.push(b'"');
}

fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if is_plain(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(br#"\""#),
            b'\\' => out.extend_from_slice(br"\\"),
            _ => {
                let digit = |nibble: u8| HEX[usize::from(nibble)];
                out.extend_from_slice(br"\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
}

/// Writes an integer.
pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a finite number so that reading it gives the same bits; always with a point or an exponent, so that
/// Python reads a float.
pub(crate) fn number(out: &mut Vec<u8>, value: f64) {
    debug_assert!(value.is_finite(), "the readers let no other number in");
    // Writing into a Vec cannot fail. `{:?}` is Rust's shortest form that reads back as the same number.
    let _ = write!(out, "{value:?}");
}

/// Writes `[a,b]`, each item by `item`.
pub(crate) fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, item: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, value) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, value);
    }
    out.push(b']');
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn any_string_reads_back_as_itself(text in any::<String>()) {
            let json = written(|out| super::text(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn any_finite_number_reads_back_with_the_same_bits(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let json = written(|out| super::number(out, value));
            prop_assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), bits);
            prop_assert!(json.contains(['.', 'e']), "Python would read {} as an int", json);
        }

        #[test]
        fn any_integer_reads_back_as_itself(value in any::<i64>()) {
            let json = written(|out| super::integer(out, value));
            prop_assert_eq!(serde_json::from_str::<i64>(&json).unwrap(), value);
        }
    }

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_left_alone() {
        let json = written(|out| super::text(out, "a\u{0}\n\"\\\u{7f}é\u{2028}z"));
        assert_eq!(json, "\"a\\u0000\\u000a\\\"\\\\\u{7f}é\u{2028}z\"");
    }
}
