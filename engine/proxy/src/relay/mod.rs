//! Carries gRPC from one HTTP/2 connection to another, streams, trailers and cancellations included. The Listener
//! and the Dialer are both this relay with TLS on one side of it: [`Near`] is the near side, [`Lane`] the far one.

mod answer;
mod asked;
mod far;
mod lane;
mod near;
mod open;
mod state;

pub(crate) use asked::Haste;
pub(crate) use lane::{Lane, LastError, Opened, Target};
pub(crate) use near::{Limits, Near, Stamp};
