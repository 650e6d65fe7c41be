//! The data plane: TLS, HTTP/1, HTTP/2, the stages of a request, and the sockets that carry our own gRPC.

#![forbid(unsafe_code)]

mod active;
pub mod adapter;
pub mod address;
mod admin;
mod callers;
mod clock;
mod complaints;
pub mod config;
pub mod credentials;
pub mod dialer;
mod drain;
mod drift;
mod events;
pub mod fault;
mod gather;
mod headers;
mod health;
mod hex;
pub(crate) mod json;
mod limit;
pub mod listener;
mod local;
mod metrics;
mod outbound;
pub mod peer;
pub mod proxy;
pub mod question;
mod record;
pub mod refusal;
mod relay;
mod request_id;
pub mod runtime;
mod serve;
mod set_counts;
mod sources;
mod state;
mod strangers;
mod tally;
pub mod tls;
mod token;
mod upstream;
pub mod verify;
mod visitor;
