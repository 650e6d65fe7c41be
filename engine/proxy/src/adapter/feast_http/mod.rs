//! `feast-http/v1`: Feast's HTTP feature server, `POST /get-online-features`.
//!
//! Feast reads requests generously: duplicate keys, other encodings, coerced entity values, version aliases. Here a
//! request has one reading or none, and what goes on to Feast is written anew from that reading. Answers are
//! columns, named in `metadata.feature_names`; the ones that were not granted are cut out.

mod answer;
mod headers;
mod kept;
mod read;
mod request;

#[cfg(test)]
mod tests;

pub use answer::filter;
pub use headers::check_headers;
pub use kept::{Differing, Kept, Narrowed};
pub use read::{ParseLimits, parse};
pub use request::Read;

pub use crate::fault::Fault;

/// The adapter's name in a FeatureSet's endpoints.
pub const NAME: &str = "feast-http/v1";
