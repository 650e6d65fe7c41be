//! Writes DER: tag, shortest length, content (X.690 10.1). For the modules that write; the checker has its
//! own reading of all this.

/// ecdsa-with-SHA256 (RFC 5758 3.2), which has no parameters.
pub(crate) const ECDSA_WITH_SHA256: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];
/// A P-256 key up to its point, which is 65 bytes: 04, x, y (RFC 5480 2).
pub(crate) const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// One element around its parts.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(size + 6);
    out.push(tag);
    push_length(&mut out, size);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

fn push_length(out: &mut Vec<u8>, size: usize) {
    let bytes = size.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    match &bytes[zeros..] {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_its_shortest_form() {
        for (size, head) in [
            (0, &[4, 0][..]),
            (1, &[4, 1]),
            (0x7f, &[4, 0x7f]),
            (0x80, &[4, 0x81, 0x80]),
            (0xff, &[4, 0x81, 0xff]),
            (0x100, &[4, 0x82, 1, 0]),
            (0x1_0000, &[4, 0x83, 1, 0, 0]),
        ] {
            let made = element(4, &[&vec![7; size]]);
            assert_eq!(&made[..head.len()], head);
            assert_eq!(made.len(), head.len() + size);
        }
    }
}
