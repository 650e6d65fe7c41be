//! The labels of the series. What can be named from outside, a feature set, comes from the policy; everything else is
//! one of our own words.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;

/// How a request of a feature set ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Ended {
    pub(super) feature_set: Arc<str>,
    pub(super) operation: &'static str,
    pub(super) decision: &'static str,
    pub(super) reason: &'static str,
}

/// One of our sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Socket {
    pub(crate) listener: &'static str,
}

/// Why a connection of a socket ended before its first request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Unwelcome {
    pub(super) listener: &'static str,
    pub(super) reason: &'static str,
}

/// A feature set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Set {
    pub(super) feature_set: Arc<str>,
}

/// How a local app's request of a feature set ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Called {
    pub(super) feature_set: Arc<str>,
    pub(super) result: &'static str,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Digest {
    pub(super) digest: String,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Purpose {
    pub(super) purpose: &'static str,
}

/// How a renewal of the identity ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Renewal {
    pub(super) result: &'static str,
}
