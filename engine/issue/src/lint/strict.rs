//! The outline of DER: which elements it holds, and that each is in the one form that DER allows.
//!
//! x509-parser reads more than DER. It looks at only some tags, and takes lengths that are longer than needed, defaults
//! that are written out, times without seconds: what a verifier elsewhere may refuse, or read as something else. So
//! the checker holds the outline of a certificate against the one that it must have, before it believes the values.

/// Deeper than any certificate of ours nests; bounds the recursion.
const DEEPEST: u8 = 16;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const CONSTRUCTED: u8 = 0x20;

/// Stands where a constructed element ends; no element has this tag.
pub(super) const END: u8 = 0x00;

/// The tags of one or more elements, those inside of a constructed one between its tag and [`END`]. None where
/// something is not in DER's form, as far as tag, length, BOOLEAN, INTEGER and times go.
pub(super) fn outline(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut tags = Vec::with_capacity(96);
    walk(bytes, &mut tags, DEEPEST)?;
    Some(tags)
}

fn walk(mut bytes: &[u8], tags: &mut Vec<u8>, depth: u8) -> Option<()> {
    while !bytes.is_empty() {
        let (tag, content, rest) = element(bytes)?;
        tags.push(tag);
        if tag & CONSTRUCTED != 0 {
            walk(content, tags, depth.checked_sub(1)?)?;
            tags.push(END);
        } else if !is_canonical(tag, content) {
            return None;
        }
        bytes = rest;
    }
    Some(())
}

fn is_canonical(tag: u8, content: &[u8]) -> bool {
    match tag {
        END => false,
        // X.690 11.1 and 11.5: TRUE is ff, and a default, which FALSE is wherever we meet it, is left out.
        BOOLEAN => content == [0xff],
        INTEGER => is_shortest_integer(content),
        // X.690 11.7 and 11.8, RFC 5280 4.1.2.5: seconds, no fractions, no offset.
        UTC_TIME => content.len() == 13 && content.ends_with(b"Z"),
        GENERALIZED_TIME => content.len() == 15 && content.ends_with(b"Z"),
        _ => true,
    }
}

/// X.690 8.3.2: the first nine bits are neither all zeros nor all ones.
fn is_shortest_integer(content: &[u8]) -> bool {
    match content {
        [] => false,
        [0x00, next, ..] => next & 0x80 != 0,
        [0xff, next, ..] => next & 0x80 == 0,
        _ => true,
    }
}

/// The first element's tag and content, and what follows it; None where tag or length are not in DER's form.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    // A tag number of 31 or more takes more bytes; certificates have none.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (size, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&size, rest) = rest.split_first()?;
            (usize::from(size), (size >= 0x80).then_some(rest)?)
        }
        0x82 => {
            let (size, rest) = rest.split_first_chunk::<2>()?;
            let size = u16::from_be_bytes(*size);
            (usize::from(size), (size >= 0x100).then_some(rest)?)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(size)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_has_an_outline() {
        let long = [&[0x04, 0x81, 0x80][..], &[0; 0x80]].concat();
        let longer = [&[0x04, 0x82, 0x01, 0x00][..], &[0; 0x100]].concat();
        for (bytes, tags) in [
            (&[0x30, 0x00][..], &[0x30, END][..]),
            (
                &[0x30, 0x03, 0x01, 0x01, 0xff, 0x05, 0x00],
                &[0x30, 0x01, END, 0x05],
            ),
            (&[0x02, 0x02, 0x00, 0x80], &[0x02]),
            (&[0xa0, 0x03, 0x02, 0x01, 0x02], &[0xa0, 0x02, END]),
            (b"\x17\x0d261122000000Z", &[0x17]),
            (&long, &[0x04]),
            (&longer, &[0x04]),
        ] {
            assert_eq!(outline(bytes).as_deref(), Some(tags), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_only_ber_allows_has_none() {
        let padded = [&[0x04, 0x82, 0x00, 0x80][..], &[0; 0x80]].concat();
        let nested = (0..20).fold(vec![], |inner: Vec<u8>, _| {
            [&[0x30, inner.len() as u8][..], &inner].concat()
        });
        for bytes in [
            &[0x30, 0x81, 0x00][..],
            &[0x30, 0x80, 0x00, 0x00],
            &[0x30, 0x03, 0x01, 0x01, 0x00],
            &[0x30, 0x03, 0x01, 0x01, 0x01],
            &[0x02, 0x02, 0x00, 0x7f],
            &[0x02, 0x02, 0xff, 0x80],
            &[0x02, 0x00],
            &[0x1f, 0x20, 0x00],
            &[0x00, 0x00],
            &[0x30, 0x01],
            &[0x30],
            &[0x30, 0x02, 0x04, 0x01],
            b"\x17\x0b2611220000Z",
            b"\x17\x11261122000000+0000",
            b"\x18\x1120261122000000.0Z",
            &padded,
            &nested,
        ] {
            assert_eq!(outline(bytes), None, "{bytes:02x?}");
        }
    }
}
