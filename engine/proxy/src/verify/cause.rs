//! Why an identity, a chain or a trust is refused: one word for records and metrics, one sentence for people.

use std::fmt;

/// The word for why an identity is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The peer sent no certificate where one is required.
    NoCertificate,
    /// No path leads from the certificate to a root that we trust.
    UnknownAuthority,
    /// The SPIFFE ID is of another trust domain.
    WrongTrustDomain,
    /// The key that signed the certificate may not sign this path, or may sign nothing.
    OutOfScope,
    /// The certificate, or one above it, is past its life.
    Expired,
    /// The certificate, or one above it, is not valid yet.
    NotYetValid,
    /// The certificate would be in time by the CA's clock: ours is wrong.
    ClockSkew,
    /// The identity, the certificate, or a key above it is banned.
    Banned,
    /// The certificate breaks the X.509-SVID rules.
    BadSvid,
    /// The certificate is good, and of somebody else than was expected.
    WrongIdentity,
    /// Nothing can be judged, because no trust was set yet.
    NoTrust,
    /// The certificate is for another key.
    KeyMismatch,
    /// The trust is older than the one in use.
    StaleSequence,
    /// The trust itself cannot be used.
    BadTrust,
}

impl Cause {
    /// The word, as in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::NoCertificate => "no-certificate",
            Cause::UnknownAuthority => "unknown-authority",
            Cause::WrongTrustDomain => "wrong-trust-domain",
            Cause::OutOfScope => "out-of-scope",
            Cause::Expired => "expired",
            Cause::NotYetValid => "not-yet-valid",
            Cause::ClockSkew => "clock-skew",
            Cause::Banned => "banned",
            Cause::BadSvid => "bad-svid",
            Cause::WrongIdentity => "wrong-identity",
            Cause::NoTrust => "no-trust",
            Cause::KeyMismatch => "key-mismatch",
            Cause::StaleSequence => "stale-sequence",
            Cause::BadTrust => "bad-trust",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An identity or a trust that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({cause})")]
pub struct IdentityError {
    /// The word.
    pub cause: Cause,
    /// The sentence: what was wrong, with which value, what was expected.
    pub detail: String,
}

impl IdentityError {
    pub(crate) fn new(cause: Cause, detail: impl Into<String>) -> IdentityError {
        IdentityError {
            cause,
            detail: detail.into(),
        }
    }
}
