//! Makes the CA's leaves in batches: reads requests, builds what is to be signed, checks it, and signs.
//!
//! The parts are apart so that each checks the other. [`template`] writes and decides nothing; [`lint`] reads the
//! result as a stranger would, by rules of its own, and is the only maker of [`Linted`]; a [`SigningKey`] signs
//! nothing but a `Linted`, which it consumes. So nothing that was not checked can be signed, and nothing twice.
//!
//! Roots and authorities are few and are made in Python, by a builder and a linter of the same kind.

#![forbid(unsafe_code)]

mod der;
mod error;
pub mod lint;
pub mod request;
pub mod sign;
pub mod template;

pub use error::IssueError;
pub use lint::{Linted, Linter};
pub use request::RequestError;
pub use sign::SigningKey;
pub use template::Template;

/// One certificate to be made for a workload: whose key, which identity, from when until when. Data alone: it
/// says what was ordered, and builder and checker both hold the certificate against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// SubjectPublicKeyInfo, DER, as [`request::public_key`] gives it.
    pub spki: Vec<u8>,
    /// The identity that was attested.
    pub spiffe_id: String,
    /// 128 random bits, big-endian.
    pub serial: [u8; 16],
    /// First second of validity, Unix time.
    pub not_before: i64,
    /// Last second of validity, Unix time.
    pub not_after: i64,
}

/// Build and check a batch of leaves of one authority, whose certificate is `issuer` and which may sign what lies
/// under the SPIFFE path `prefix`. One leaf that is refused refuses the batch.
pub fn prepare(issuer: &[u8], prefix: &str, leaves: &[Leaf]) -> Result<Vec<Linted>, IssueError> {
    let template = Template::of(issuer)?;
    let linter = Linter::of(issuer, prefix)?;
    leaves
        .iter()
        .map(|leaf| linter.lint(template.build(leaf)?, leaf))
        .collect()
}
