//! Why a snapshot is refused. Each variant says what the compiler that wrote the snapshot got wrong, or that the
//! engine is too old for it; a caller of the proxy never sees any of them.

use thiserror::Error;

use crate::spiffe::SpiffeIdError;

/// A snapshot, or a question to it, that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Two things that must agree do not: a feature in two sets, or a column with two types.
    #[error("{what} `{name}` is in both {first} and {second}; only one may have it")]
    Conflict {
        /// What it is: `feature`, `service`, `column`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where it was first.
        first: String,
        /// Where it is again.
        second: String,
    },
    /// The snapshot needs a newer engine.
    #[error("the snapshot needs engine {needed} and this is {ours}; upgrade the engine")]
    EngineVersion {
        /// The version that the snapshot names.
        needed: String,
        /// This engine's version.
        ours: &'static str,
    },
    /// The snapshot's layout is not one that this engine reads.
    #[error("the snapshot has format {found} and this engine reads format {expected}")]
    Format {
        /// The number in the snapshot.
        found: u32,
        /// The number that this engine reads.
        expected: u32,
    },
    /// A value is outside what its field may hold.
    #[error("{at} has {field} `{value}`, expected {expected}")]
    Invalid {
        /// The set, binding or remote.
        at: String,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it should.
        expected: &'static str,
    },
    /// A question to a policy is not the JSON that it should be.
    #[error("the request can't be read: {0}")]
    Request(String),
    /// An identity is no SPIFFE ID.
    #[error("{at} names the identity `{value}`: {source}")]
    SpiffeId {
        /// The set, binding or remote; or the request.
        at: String,
        /// The text.
        value: String,
        /// Why it is none.
        source: SpiffeIdError,
    },
    /// More features or bindings than an index can count.
    #[error("the snapshot has more {0} than the engine can count")]
    TooMany(&'static str),
    /// The bytes hold something that this engine does not know or would write otherwise. Ignoring it could read a
    /// restriction away, so it is refused.
    #[error("{0} has fields that this engine does not know, or is not written in canonical form")]
    Unfaithful(String),
    /// Something names what is not there.
    #[error("{at} names {what} `{name}`, which does not exist")]
    Unknown {
        /// The set or binding.
        at: String,
        /// What is missing: `feature set`, `feature`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The bytes are no snapshot.
    #[error("the snapshot can't be read: {0}")]
    Unreadable(String),
    /// A list is not in its order, or holds something twice. Order carries meaning: the first binding wins.
    #[error("{at}: `{name}` is out of order or there twice in {list}")]
    Unsorted {
        /// The set or binding, or the snapshot.
        at: String,
        /// The list.
        list: &'static str,
        /// The first entry that is not greater than the one before it.
        name: String,
    },
    /// A choice was left open, or has a number that this engine does not know.
    #[error("{at} leaves {field} unspecified, or has a value that this engine does not know")]
    Unspecified {
        /// The set or binding.
        at: String,
        /// The field.
        field: &'static str,
    },
}

impl From<prost::DecodeError> for PolicyError {
    fn from(error: prost::DecodeError) -> PolicyError {
        PolicyError::Unreadable(error.to_string())
    }
}
