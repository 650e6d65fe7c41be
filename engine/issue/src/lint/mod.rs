//! The checker: reads the to-be-signed part of a leaf as a stranger would and says everything that is wrong with it.
//!
//! It knows the rules from the X.509-SVID standard and RFC 5280 and repeats them on purpose instead of asking the
//! template, with which it shares no code and no constant, so that one mistake in either is caught by the other.
//! [`Linter::lint`] is the only maker of [`Linted`].

mod authority;
mod extensions;
mod shape;
mod strict;

use std::fmt;

use aws_lc_rs::digest;
use x509_parser::certificate::TbsCertificate;
use x509_parser::prelude::{FromDer, X509Version};

use crate::{IssueError, Leaf};
use authority::Authority;

/// ecdsa-with-SHA256 (RFC 5758 3.2), the content of its object identifier.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// Leave to sign the to-be-signed part of one certificate once, with one authority's key. Signing consumes it.
pub struct Linted {
    tbs: Vec<u8>,
    tbs_sha256: [u8; 32],
    signer_sha256: [u8; 32],
}

impl Linted {
    /// Digest of the bytes that will be signed.
    pub fn tbs_sha256(&self) -> &[u8; 32] {
        &self.tbs_sha256
    }

    /// Digest of the SubjectPublicKeyInfo of the one key that may sign.
    pub(crate) fn signer_sha256(&self) -> &[u8; 32] {
        &self.signer_sha256
    }

    pub(crate) fn tbs(&self) -> &[u8] {
        &self.tbs
    }
}

impl fmt::Debug for Linted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linted({} bytes)", self.tbs.len())
    }
}

/// Checks the leaves of one authority.
#[derive(Clone, Debug)]
pub struct Linter {
    authority: Authority,
    prefix: String,
}

impl Linter {
    /// A checker for the authority with this certificate (DER), which may sign what lies under the SPIFFE path
    /// `prefix`. Refuses a certificate that is not an authority's.
    pub fn of(issuer: &[u8], prefix: &str) -> Result<Linter, IssueError> {
        let authority = Authority::read(issuer).map_err(|finding| IssueError::Issuer(finding.to_string()))?;
        Ok(Linter {
            authority,
            prefix: prefix.to_owned(),
        })
    }

    /// Hold the to-be-signed part of a certificate against its order. Every finding is in the error's text.
    pub fn lint(&self, tbs: Vec<u8>, leaf: &Leaf) -> Result<Linted, IssueError> {
        let mut findings = Findings::default();
        self.look(&tbs, leaf, &mut findings);
        if !findings.0.is_empty() {
            return Err(IssueError::Refused {
                spiffe_id: leaf.spiffe_id.clone(),
                findings: findings.0.join("; "),
            });
        }
        Ok(Linted {
            tbs_sha256: sha256(&tbs),
            signer_sha256: sha256(&self.authority.spki),
            tbs,
        })
    }

    fn look(&self, tbs: &[u8], leaf: &Leaf, findings: &mut Findings) {
        findings.unless(
            shape::is_leaf(tbs, &self.authority.subject),
            "it has not the shape of an SVID in DER",
        );
        match TbsCertificate::from_der(tbs) {
            Ok(([], read)) => {
                self.frame(&read, leaf, findings);
                self.validity(&read, leaf, findings);
                self.key(&read, leaf, findings);
                extensions::look(&read, leaf, &self.authority, &self.prefix, findings);
            }
            Ok(_) => findings.add("something follows it"),
            Err(_) => findings.add("it can't be read"),
        }
    }

    fn frame(&self, read: &TbsCertificate<'_>, leaf: &Leaf, findings: &mut Findings) {
        findings.unless(read.version() == X509Version::V3, "it is not X.509 version 3");
        findings.unless(
            unpadded(read.raw_serial()) == unpadded(&leaf.serial),
            "its serial number is not the one that was drawn",
        );
        findings.unless(
            read.raw_serial().first().is_some_and(|first| first & 0x80 == 0),
            "its serial number is negative",
        );
        // Boulder's floor is 64 random bits; ours are 128, and below 65 the generator is broken.
        findings.unless(
            (65..=128).contains(&read.serial.bits()),
            "its serial number has not 65 to 128 bits",
        );
        let algorithm = &read.signature;
        findings.unless(
            algorithm.algorithm.as_bytes() == ECDSA_WITH_SHA256 && algorithm.parameters.is_none(),
            "its signature algorithm is not ECDSA with SHA-256",
        );
        findings.unless(
            read.issuer().as_raw() == self.authority.subject,
            "its issuer is not the authority's subject",
        );
        findings.unless(read.subject().iter().next().is_none(), "its subject is not empty");
        findings.unless(
            read.issuer_uid.is_none() && read.subject_uid.is_none(),
            "it has a unique identifier",
        );
    }

    fn validity(&self, read: &TbsCertificate<'_>, leaf: &Leaf, findings: &mut Findings) {
        let life = read.validity();
        let (start, end) = (life.not_before.timestamp(), life.not_after.timestamp());
        findings.unless(
            (start, end) == (leaf.not_before, leaf.not_after),
            "its validity is not the ordered one",
        );
        // RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime after it.
        for time in [life.not_before, life.not_after] {
            findings.unless(
                time.is_utctime() == (time.to_datetime().year() < 2050),
                "its times are written in the wrong form",
            );
        }
        findings.unless(end > start, "it ends before it starts");
        findings.unless(end <= self.authority.not_after, "it outlives its authority");
        findings.unless(
            start >= self.authority.not_before,
            "it starts before its authority",
        );
    }

    fn key(&self, read: &TbsCertificate<'_>, leaf: &Leaf, findings: &mut Findings) {
        let key = read.public_key();
        findings.unless(authority::on_p256(key), "its key is not on P-256");
        findings.unless(key.raw == leaf.spki, "its key is not the requested one");
        findings.unless(key.raw != self.authority.spki, "its key is the authority's own");
    }
}

/// What is wrong, in the order in which it was found.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, finding: impl Into<String>) {
        self.0.push(finding.into());
    }

    fn unless(&mut self, holds: bool, finding: &str) {
        if !holds {
            self.add(finding);
        }
    }
}

fn unpadded(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    &integer[zeros..]
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
