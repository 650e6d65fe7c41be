//! The data plane: TLS, HTTP/1, HTTP/2, the stages of a request, and the sockets that carry our own gRPC.

#![forbid(unsafe_code)]

pub mod adapter;
pub mod fault;
pub(crate) mod json;
pub mod refusal;
