//! The data plane: TLS, HTTP/1, HTTP/2, the stages of a request, and the sockets that carry our own gRPC.

#![forbid(unsafe_code)]

pub mod address;
pub mod credentials;
pub mod dialer;
mod drain;
mod hex;
pub mod listener;
pub mod peer;
pub mod refusal;
mod relay;
pub mod runtime;
pub mod tls;
pub mod verify;
