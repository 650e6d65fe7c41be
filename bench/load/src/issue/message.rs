//! The few fields of `featward.identity.v1` that the load needs.

use bytes::Bytes;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct UnixEvidence {}

#[derive(Clone, PartialEq, Message)]
pub struct Evidence {
    #[prost(message, optional, tag = "2")]
    pub unix: Option<UnixEvidence>,
}

#[derive(Clone, PartialEq, Message)]
pub struct WatchIdentityRequest {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub csrs: Vec<Bytes>,
    #[prost(message, optional, tag = "2")]
    pub evidence: Option<Evidence>,
    #[prost(uint64, tag = "3")]
    pub acknowledged_sequence: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Svid {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub chain: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Trust {
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct WatchIdentityResponse {
    #[prost(message, repeated, tag = "1")]
    pub svids: Vec<Svid>,
    #[prost(message, optional, tag = "2")]
    pub trust: Option<Trust>,
}
