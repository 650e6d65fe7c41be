//! Why a certificate was not made. Every one of these is a defect or a broken store on our side, never a caller's
//! fault: what callers may get wrong is refused by [`crate::request`] before.

use thiserror::Error;

/// A certificate was not made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueError {
    /// The authority's certificate can't be read, or is not one that may sign leaves.
    #[error("the authority's certificate can't sign leaves: {0}")]
    Issuer(String),
    /// An order can't be written down as a certificate.
    #[error("no certificate can be written for this order: {0}")]
    Order(&'static str),
    /// The checker refused what was built; holds all findings.
    #[error("the checker refused the certificate of {spiffe_id}: {findings}")]
    Refused {
        /// The identity that was ordered.
        spiffe_id: String,
        /// Every finding, joined by semicolons.
        findings: String,
    },
    /// The key is not that of the authority for which the certificate was checked.
    #[error("this permission to sign was given for another authority")]
    AnotherAuthority,
    /// The key can't be used.
    #[error("the authority's key is no ECDSA key on P-256 in PKCS #8: {0}")]
    Key(String),
    /// What was signed is not what was checked, or the signature does not hold.
    #[error("the signed certificate is not the one that was checked: {0}")]
    Signature(&'static str),
}
