//! The outermost layer of a snapshot, taken apart without decoding what is inside. A snapshot of 100,000 bindings
//! holds millions of names; decoding one binding at a time keeps the peak of memory near the bytes themselves.

use prost::{Message, decode_length_delimiter};

use crate::error::PolicyError;
use crate::v1;

/// Field numbers of the three long lists in `Snapshot`.
const FEATURE_SETS: usize = 6;
const BINDINGS: usize = 7;
const REMOTES: usize = 8;

/// The wire types that `Snapshot` uses, the low three bits of a field's key.
const VARINT: usize = 0;
const LENGTH_DELIMITED: usize = 2;

/// A snapshot's small fields, and the bytes of its sets, bindings and remotes.
#[derive(Default)]
pub(crate) struct Envelope<'a> {
    /// The snapshot without its lists.
    pub(crate) head: v1::Snapshot,
    pub(crate) feature_sets: Vec<&'a [u8]>,
    pub(crate) bindings: Vec<&'a [u8]>,
    pub(crate) remotes: Vec<&'a [u8]>,
    /// The bytes that `head` was decoded from.
    head_bytes: Vec<u8>,
}

impl<'a> Envelope<'a> {
    /// Take a snapshot apart.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Envelope<'a>, PolicyError> {
        let mut envelope = Envelope::default();
        let (mut rest, mut last) = (bytes, 0);
        while !rest.is_empty() {
            let field = rest;
            let key = decode_length_delimiter(&mut rest)?;
            let (tag, wire_type) = (key >> 3, key & 7);
            let content = content(wire_type, &mut rest)?;
            if tag < last {
                return Err(PolicyError::Unfaithful("the snapshot".to_owned()));
            }
            last = tag;
            match (tag, wire_type) {
                (FEATURE_SETS, LENGTH_DELIMITED) => envelope.feature_sets.push(content),
                (BINDINGS, LENGTH_DELIMITED) => envelope.bindings.push(content),
                (REMOTES, LENGTH_DELIMITED) => envelope.remotes.push(content),
                _ => envelope
                    .head_bytes
                    .extend_from_slice(&field[..field.len() - rest.len()]),
            }
        }
        envelope.head = v1::Snapshot::decode(envelope.head_bytes.as_slice())?;
        Ok(envelope)
    }

    /// Refuse a head with fields that this engine does not know. Apart from `open`, so that a newer format is
    /// refused for being newer.
    pub(crate) fn check_head(&self) -> Result<(), PolicyError> {
        check_faithful(&self.head, &self.head_bytes, || "the snapshot".to_owned())
    }
}

/// Decode one entry of a list, and refuse it when writing it again gives other bytes.
pub(crate) fn entry<M: Message + Default>(
    bytes: &[u8],
    name: impl FnOnce(&M) -> String,
) -> Result<M, PolicyError> {
    let message = M::decode(bytes)?;
    check_faithful(&message, bytes, || name(&message))?;
    Ok(message)
}

fn check_faithful<M: Message>(
    message: &M,
    bytes: &[u8],
    name: impl FnOnce() -> String,
) -> Result<(), PolicyError> {
    if message.encoded_len() == bytes.len() && message.encode_to_vec() == bytes {
        Ok(())
    } else {
        Err(PolicyError::Unfaithful(name()))
    }
}

fn content<'a>(wire_type: usize, rest: &mut &'a [u8]) -> Result<&'a [u8], PolicyError> {
    match wire_type {
        VARINT => {
            decode_length_delimiter(rest)?;
            Ok(&[])
        }
        LENGTH_DELIMITED => {
            let length = decode_length_delimiter(&mut *rest)?;
            let (content, after) = rest
                .split_at_checked(length)
                .ok_or_else(|| PolicyError::Unreadable("a field is longer than what is left".to_owned()))?;
            *rest = after;
            Ok(content)
        }
        _ => Err(PolicyError::Unreadable(format!(
            "a field has wire type {wire_type}"
        ))),
    }
}
