//! What we trust: the roots of our trust domain and the scope table, which says which authority's key may sign
//! which paths. Immutable; a change makes a new one.

use std::collections::HashMap;

use featward_policy::SpiffeId;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::hex;
use crate::verify::{Cause, IdentityError, Issued, sha256};

/// Roots and scope table of one trust domain.
#[derive(Debug)]
pub(crate) struct Trust {
    trust_domain: String,
    roots: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    scopes: HashMap<[u8; 32], String>,
    sequence: u64,
    generation: u64,
}

impl Trust {
    /// Read roots and scopes.
    pub(crate) fn read(
        trust_domain: &str,
        roots: Vec<Vec<u8>>,
        scopes: Vec<(Vec<u8>, String)>,
        sequence: u64,
    ) -> Result<Trust, IdentityError> {
        let roots: Vec<_> = roots.into_iter().map(CertificateDer::from).collect();
        let anchors = roots.iter().map(read_root).collect::<Result<Vec<_>, _>>()?;
        if anchors.is_empty() {
            return Err(bad("there are no roots, expected at least one"));
        }
        let trust_domain = trust_domain.to_owned();
        let scopes = read_scopes(scopes, &anchors)?;
        Ok(Trust {
            trust_domain,
            roots,
            anchors,
            scopes,
            sequence,
            generation: 1,
        })
    }

    pub(crate) fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Count on from the trust before. The generation counts changes of content within this process: the sequence
    /// does not do for that, because the same sequence may be set again with other roots after a CA was restored.
    pub(crate) fn follow(&mut self, before: Option<&Trust>) {
        if let Some(before) = before {
            let same = self.roots == before.roots && self.scopes == before.scopes;
            self.generation = before.generation + u64::from(!same);
        }
    }

    /// The root certificate that a verified path ends at.
    pub(crate) fn root_of(&self, issued: &Issued) -> Option<&CertificateDer<'static>> {
        let (subject, key) = &issued.anchor;
        let same = |anchor: &TrustAnchor<'_>| {
            anchor.subject.as_ref() == subject && anchor.subject_public_key_info.as_ref() == key
        };
        let at = self.anchors.iter().position(same)?;
        self.roots.get(at)
    }

    /// Refuse unless the key that signed the leaf is in the table with a prefix of the leaf's path.
    pub(crate) fn check_scope(&self, issued: &Issued, id: &SpiffeId) -> Result<(), IdentityError> {
        if issued.intermediates == 0 {
            return Err(out_of_scope(format!(
                "{id} was signed by a root, which signs only authorities"
            )));
        }
        let Some(prefix) = self.scopes.get(&issued.authority) else {
            let key = hex::encode(&issued.authority);
            return Err(out_of_scope(format!(
                "{id} was signed by the key {key}, which may sign nothing"
            )));
        };
        if id.path().starts_with(prefix.as_str()) {
            return Ok(());
        }
        Err(out_of_scope(format!(
            "{id} was signed by an authority that may sign only {prefix}"
        )))
    }
}

fn read_root(root: &CertificateDer<'static>) -> Result<TrustAnchor<'static>, IdentityError> {
    let anchor = webpki::anchor_from_trusted_cert(root);
    anchor
        .map(|anchor| anchor.to_owned())
        .map_err(|error| bad(format!("a root cannot be read: {error}")))
}

fn read_scopes(
    rows: Vec<(Vec<u8>, String)>,
    anchors: &[TrustAnchor<'_>],
) -> Result<HashMap<[u8; 32], String>, IdentityError> {
    let root_keys: Vec<_> = anchors
        .iter()
        .map(|anchor| sha256(&webpki::spki_for_anchor(anchor)))
        .collect();
    let mut scopes = HashMap::new();
    for (key, prefix) in rows {
        let Ok(key) = <[u8; 32]>::try_from(key.as_slice()) else {
            return Err(bad(format!(
                "the key of scope {prefix} has {} bytes, expected a SHA-256 of 32",
                key.len()
            )));
        };
        if root_keys.contains(&key) {
            return Err(bad(format!(
                "scope {prefix} names a root's key, which signs only authorities"
            )));
        }
        let prefix = read_prefix(&prefix)?;
        match scopes.insert(key, prefix.clone()) {
            Some(other) if other != prefix => {
                return Err(bad(format!("one key has two scopes, {other} and {prefix}")));
            }
            _ => {}
        }
    }
    Ok(scopes)
}

/// A prefix covers whole segments: `/bu/pay/` must not cover `/bu/payments/…`.
fn read_prefix(prefix: &str) -> Result<String, IdentityError> {
    let inner = prefix.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    match inner {
        Some(inner) if inner.split('/').all(|segment| !segment.is_empty()) => Ok(prefix.to_owned()),
        _ => Err(bad(format!(
            "the scope {prefix:?} is not a path prefix such as /bu/payments/"
        ))),
    }
}

fn bad(detail: impl Into<String>) -> IdentityError {
    IdentityError::new(Cause::BadTrust, detail)
}

fn out_of_scope(detail: String) -> IdentityError {
    IdentityError::new(Cause::OutOfScope, detail)
}
