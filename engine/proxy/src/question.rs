//! Judges one chain by one trust, asked and answered in JSON: for tools that explain what a verifier would do. It is
//! the same judgement as at a handshake, at whichever second is asked about; nothing here is kept or used.

use featward_policy::TrustDomain;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::credentials::{Ban, NewTrust, Trust};
use crate::hex;
use crate::peer::{Peer, PeerCertificates};
use crate::verify::{self, Cause, IdentityError, Svid};

/// Certificates are DER in hexadecimal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    trust_domain: String,
    roots: Vec<String>,
    /// SHA-256 of an authority's SPKI in hexadecimal, path prefix; null for an issuer without a table.
    scopes: Option<Vec<(String, String)>>,
    /// `identity`, `serial` or `authority`, whom, and the second at which it ends, 0 for until it is lifted.
    #[serde(default)]
    bans: Vec<(String, String, i64)>,
    /// Leaf first.
    chain: Vec<String>,
    /// Unix seconds.
    at: f64,
}

#[derive(Serialize)]
struct Answer {
    accepted: bool,
    cause: Option<&'static str>,
    detail: Option<String>,
    /// What the leaf claims; proven only if it is accepted.
    spiffe_id: Option<String>,
    /// SHA-256 of the public key that signed the leaf, in hexadecimal; only if it is accepted.
    authority: Option<String>,
}

/// Answer one question.
pub fn judge(question: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let question: Question = serde_json::from_slice(question)?;
    let chain = question.chain()?;
    let answer = match question.judge(&chain)? {
        Ok(peer) => Answer::accepted(&peer),
        Err(error) => Answer::refused(&error, &chain),
    };
    Ok(serde_json::to_vec(&answer)?)
}

impl Question {
    fn chain(&self) -> Result<PeerCertificates, ConfigError> {
        let chain = all(&self.chain, "chain")?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Ok(PeerCertificates::new(chain))
    }

    fn judge(&self, chain: &PeerCertificates) -> Result<Result<Peer, IdentityError>, ConfigError> {
        let new = NewTrust {
            roots: all(&self.roots, "roots")?,
            scopes: self.scopes.as_deref().map(rows).transpose()?,
            ..NewTrust::default()
        };
        Ok(self
            .bans()
            .and_then(|bans| self.trust(NewTrust { bans, ..new }))
            .and_then(|trust| verify::by_trust(chain, &trust, self.at.floor() as i64, 0)))
    }

    fn bans(&self) -> Result<Vec<Ban>, IdentityError> {
        let ban = |(kind, value, ends): &(String, String, i64)| Ban::read(kind, value, *ends);
        self.bans.iter().map(ban).collect()
    }

    fn trust(&self, new: NewTrust) -> Result<Trust, IdentityError> {
        TrustDomain::parse(&self.trust_domain).map_err(|error| {
            IdentityError::new(Cause::BadTrust, format!("{:?}: {error}", self.trust_domain))
        })?;
        Trust::read(&self.trust_domain, new)
    }
}

impl Answer {
    fn accepted(peer: &Peer) -> Answer {
        Answer {
            accepted: true,
            cause: None,
            detail: None,
            spiffe_id: Some(peer.id().as_str().to_owned()),
            authority: Some(peer.authority().to_owned()),
        }
    }

    fn refused(error: &IdentityError, chain: &PeerCertificates) -> Answer {
        let claimed = chain.leaf().and_then(|leaf| Svid::parse(leaf).ok());
        Answer {
            accepted: false,
            cause: Some(error.cause.as_str()),
            detail: Some(error.detail.clone()),
            spiffe_id: claimed.map(|svid| svid.id.as_str().to_owned()),
            authority: None,
        }
    }
}

fn rows(rows: &[(String, String)]) -> Result<Vec<(Vec<u8>, String)>, ConfigError> {
    let row = |(key, prefix): &(String, String)| Ok((one(key, "scopes")?, prefix.clone()));
    rows.iter().map(row).collect()
}

fn all(texts: &[String], field: &'static str) -> Result<Vec<Vec<u8>>, ConfigError> {
    texts.iter().map(|text| one(text, field)).collect()
}

fn one(text: &str, field: &'static str) -> Result<Vec<u8>, ConfigError> {
    hex::decode(text).ok_or_else(|| ConfigError::value(field, text, "bytes in hexadecimal"))
}
