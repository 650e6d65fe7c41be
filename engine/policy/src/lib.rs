//! The decision: a policy snapshot and a request in, a decision out. No I/O, no clock, no Python.

#![forbid(unsafe_code)]

/// The snapshot's messages, generated from `featward/policy/v1/snapshot.proto`.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated code; the .proto file is its documentation"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/featward.policy.v1.rs"));
}
