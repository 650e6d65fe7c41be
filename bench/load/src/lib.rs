//! What the load programs share.
#![forbid(unsafe_code)]

pub mod result;
pub mod trust;
