//! The one shape that the to-be-signed part of an SVID has, element by element (RFC 5280 4.1).

use super::strict::{END, outline};

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Whether these bytes are DER of that shape, with an issuer of the shape of `issuer`.
pub(super) fn is_leaf(tbs: &[u8], issuer: &[u8]) -> bool {
    let (Some(tags), Some(name)) = (outline(tbs), outline(issuer)) else {
        return false;
    };
    follows(&tags, &name).is_some()
}

fn follows(tags: &[u8], name: &[u8]) -> Option<()> {
    let rest = tags
        .strip_prefix(&[SEQUENCE])?
        .strip_prefix(&[VERSION, INTEGER, END])?
        .strip_prefix(&[INTEGER])?
        // The signature algorithm has no parameters.
        .strip_prefix(&[SEQUENCE, OID, END])?
        .strip_prefix(name)?;
    let rest = after_time(after_time(rest.strip_prefix(&[SEQUENCE])?)?)?.strip_prefix(&[END])?;
    let rest = rest
        // The subject is empty.
        .strip_prefix(&[SEQUENCE, END])?
        // An algorithm with a named curve, and the point.
        .strip_prefix(&[SEQUENCE, SEQUENCE, OID, OID, END, BITS, END])?
        .strip_prefix(&[EXTENSIONS, SEQUENCE])?;
    let rest = after_extensions(rest)?;
    (rest == [END, END, END]).then_some(())
}

fn after_time(tags: &[u8]) -> Option<&[u8]> {
    match tags {
        [UTC_TIME | GENERALIZED_TIME, rest @ ..] => Some(rest),
        _ => None,
    }
}

fn after_extensions(mut tags: &[u8]) -> Option<&[u8]> {
    while let [SEQUENCE, extension @ ..] = tags {
        let extension = extension.strip_prefix(&[OID])?;
        let extension = extension.strip_prefix(&[BOOLEAN]).unwrap_or(extension);
        tags = extension.strip_prefix(&[OCTETS, END])?;
    }
    Some(tags)
}
