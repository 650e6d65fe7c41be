//! What we trust: the roots of our trust domain, the scope table of our issuer, who is banned, and the roots of
//! foreign domains. Immutable; a change makes a new one.

use std::collections::BTreeMap;

use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::bans::{Ban, Bans};
use super::foreign::Foreign;
use super::scopes::Scopes;
use crate::verify::{Cause, IdentityError, Issued, Svid, sha256};

/// All that is to be trusted, as an issuer says it; what is absent is no longer trusted.
#[derive(Clone, Debug, Default)]
pub struct NewTrust {
    /// The roots of our trust domain, DER.
    pub roots: Vec<Vec<u8>>,
    /// The scope table: SHA-256 of an authority's SPKI, path prefix. None for an issuer that has no table: then any
    /// chain to a root is good for any path.
    pub scopes: Option<Vec<(Vec<u8>, String)>>,
    /// Grows with every change at the issuer.
    pub sequence: u64,
    /// Who is refused in spite of good certificates.
    pub bans: Vec<Ban>,
    /// Foreign trust domains, each with its roots (DER).
    pub foreign: Vec<(String, Vec<Vec<u8>>)>,
}

impl NewTrust {
    /// Roots and a scope table, nobody banned and nobody foreign.
    pub fn new(roots: Vec<Vec<u8>>, scopes: Vec<(Vec<u8>, String)>, sequence: u64) -> NewTrust {
        NewTrust {
            roots,
            scopes: Some(scopes),
            sequence,
            ..NewTrust::default()
        }
    }
}

/// The trust in use.
#[derive(Debug)]
pub(crate) struct Trust {
    trust_domain: String,
    roots: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    scopes: Option<Scopes>,
    bans: Bans,
    foreign: Foreign,
    sequence: u64,
    generation: u64,
}

impl Trust {
    /// Read what an issuer says.
    pub(crate) fn read(trust_domain: &str, new: NewTrust) -> Result<Trust, IdentityError> {
        let roots: Vec<_> = new.roots.into_iter().map(CertificateDer::from).collect();
        let anchors = roots.iter().map(read_root).collect::<Result<Vec<_>, _>>()?;
        if anchors.is_empty() {
            return Err(bad("there are no roots, expected at least one"));
        }
        let root_key = |anchor| sha256(&webpki::spki_for_anchor(anchor));
        let root_keys: Vec<_> = anchors.iter().map(root_key).collect();
        let read = |rows| Scopes::read(rows, &root_keys);
        let scopes = new.scopes.map(read).transpose()?;
        let is_ours = |key: &[u8; 32]| {
            root_keys.contains(key) || scopes.as_ref().is_some_and(|scopes| scopes.names(key))
        };
        let foreign = Foreign::read(new.foreign, trust_domain, is_ours)?;
        Ok(Trust {
            trust_domain: trust_domain.to_owned(),
            roots,
            anchors,
            scopes,
            bans: Bans::new(new.bans),
            foreign,
            sequence: new.sequence,
            generation: 1,
        })
    }

    pub(crate) fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The roots of our own domain.
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The roots that judge identities of this domain and no other; None when we know nothing of it.
    pub(crate) fn anchors_of(&self, domain: &str) -> Option<&[TrustAnchor<'static>]> {
        if domain == self.trust_domain {
            return Some(&self.anchors);
        }
        self.foreign.anchors(domain)
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether there is a scope table.
    pub(crate) fn has_scopes(&self) -> bool {
        self.scopes.is_some()
    }

    /// How many bans there are.
    pub(crate) fn bans(&self) -> usize {
        self.bans.len()
    }

    /// The foreign domains, with how many usable roots each has.
    pub(crate) fn foreign(&self) -> BTreeMap<String, usize> {
        self.foreign.counts()
    }

    /// Count on from the trust before. The generation counts changes of content within this process: the sequence
    /// does not do for that, because the same sequence may be set again with other roots after a CA was restored.
    pub(crate) fn follow(&mut self, before: Option<&Trust>) {
        if let Some(before) = before {
            let same = self.roots == before.roots
                && self.scopes == before.scopes
                && self.bans == before.bans
                && self.foreign.same(&before.foreign);
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

    /// Refuse unless the key that signed the leaf may sign its path. The table is about our own domain only.
    pub(crate) fn check_scope(&self, issued: &Issued, svid: &Svid) -> Result<(), IdentityError> {
        match &self.scopes {
            Some(scopes) if self.is_ours(svid) => scopes.check(issued, &svid.id),
            _ => Ok(()),
        }
    }

    /// Refuse who is banned.
    pub(crate) fn check_bans(&self, issued: &Issued, svid: &Svid, now: i64) -> Result<(), IdentityError> {
        self.bans.check(issued, svid, self.is_ours(svid), now)
    }

    fn is_ours(&self, svid: &Svid) -> bool {
        svid.id.trust_domain() == self.trust_domain
    }
}

fn read_root(root: &CertificateDer<'static>) -> Result<TrustAnchor<'static>, IdentityError> {
    let anchor = webpki::anchor_from_trusted_cert(root);
    anchor
        .map(|anchor| anchor.to_owned())
        .map_err(|error| bad(format!("a root cannot be read: {error}")))
}

pub(super) fn bad(detail: impl Into<String>) -> IdentityError {
    IdentityError::new(Cause::BadTrust, detail)
}
