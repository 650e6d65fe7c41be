//! The decision: a policy snapshot and a request in, a decision out. No I/O, no clock, no Python.
//!
//! [`Policy::load`] checks a snapshot whole and builds its table; [`Policy::decide`] looks a request up in it.
//! There is no other implementation of the decision: the proxy, `featward explain`, `featward check` and the
//! operator all come here.

#![forbid(unsafe_code)]

mod binding;
mod catalogue;
mod check;
mod decide;
mod envelope;
mod error;
mod explain;
mod json;
mod overriding;
mod policy;
mod span;
mod spiffe;
mod subject;
mod table;

pub use binding::{Binding, BindingIndex, OnExcess, Rate};
pub use catalogue::{
    Column, ColumnType, Endpoint, Feature, FeatureIndex, FeatureSet, Mode, SetIndex, UpstreamAuth,
};
pub use decide::{Charge, Decision, DecisionReason, Features, Grant, Outcome, Request};
pub use error::PolicyError;
pub use explain::Reader;
pub use overriding::{Override, OverrideAction};
pub use policy::{Policy, Remote};
pub use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};
pub use subject::SubjectKind;

/// The snapshot's messages, generated from `featward/policy/v1/snapshot.proto`.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated code; the .proto file is its documentation"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/featward.policy.v1.rs"));
}
