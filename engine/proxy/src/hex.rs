//! Lower-case hexadecimal, as digests and serial numbers are written in headers, records and configurations.

/// Write bytes as lower-case hexadecimal.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

/// Read a SHA-256 digest; None unless the text is exactly 64 hexadecimal digits.
pub(crate) fn decode_sha256(text: &str) -> Option<[u8; 32]> {
    decode(text)?.try_into().ok()
}

/// Read bytes; None unless the text is hexadecimal digits, two for each byte.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect()
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_the_round_trip() {
        let digest: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
        assert_eq!(decode_sha256(&encode(&digest)), Some(digest));
    }

    #[test]
    fn anything_but_64_digits_is_no_digest() {
        for text in [
            "",
            "ab",
            &"g".repeat(64),
            &"+f".repeat(32),
            &"a".repeat(63),
            &"a".repeat(65),
        ] {
            assert_eq!(decode_sha256(text), None, "{text}");
        }
    }
}
