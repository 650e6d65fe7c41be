//! The roots of trust domains that are not ours. Each judges only identities of its own domain, without a scope
//! table: how a foreign domain divides its paths is its own business, and only a binding that names the whole
//! identity grants one anything.

use std::collections::BTreeMap;

use featward_policy::TrustDomain;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::trust::bad;
use crate::verify::{IdentityError, sha256};

/// Roots by trust domain.
#[derive(Debug, Default)]
pub(super) struct Foreign(BTreeMap<String, Roots>);

#[derive(Debug)]
struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl Foreign {
    /// Read the domains. A domain without roots is known, and nobody of it is accepted.
    ///
    /// A root that cannot be read, or has the key of an authority of ours, is left out instead of refusing the whole
    /// trust: the foreign domain chooses what it publishes, and must not keep our own bans and roots from being used.
    /// With a key of ours under a foreign name, a business unit's authority could sign identities of that domain.
    pub(super) fn read(
        domains: Vec<(String, Vec<Vec<u8>>)>,
        our_domain: &str,
        is_our_key: impl Fn(&[u8; 32]) -> bool,
    ) -> Result<Foreign, IdentityError> {
        let mut all = BTreeMap::new();
        for (name, roots) in domains {
            if TrustDomain::parse(&name).is_err() {
                return Err(bad(format!("{name:?} is no trust domain")));
            }
            if name == our_domain {
                return Err(bad(format!("{name} is our own trust domain, not a foreign one")));
            }
            if all.contains_key(&name) {
                return Err(bad(format!("the foreign trust domain {name} is there twice")));
            }
            all.insert(name, Roots::read(roots, &is_our_key));
        }
        Ok(Foreign(all))
    }

    /// The roots of this domain; None when we know nothing of it.
    pub(super) fn anchors(&self, domain: &str) -> Option<&[TrustAnchor<'static>]> {
        self.0.get(domain).map(|roots| roots.anchors.as_slice())
    }

    /// How many usable roots each domain has.
    pub(super) fn counts(&self) -> BTreeMap<String, usize> {
        let count = |(name, roots): (&String, &Roots)| (name.clone(), roots.anchors.len());
        self.0.iter().map(count).collect()
    }

    /// Whether nothing has changed.
    pub(super) fn same(&self, other: &Foreign) -> bool {
        let content = |all: &Foreign| {
            let one = |(name, roots): (&String, &Roots)| (name.clone(), roots.certificates.clone());
            all.0.iter().map(one).collect::<Vec<_>>()
        };
        content(self) == content(other)
    }
}

impl Roots {
    fn read(roots: Vec<Vec<u8>>, is_our_key: impl Fn(&[u8; 32]) -> bool) -> Roots {
        let certificates: Vec<_> = roots.into_iter().map(CertificateDer::from).collect();
        let anchors = certificates
            .iter()
            .filter_map(|root| webpki::anchor_from_trusted_cert(root).ok())
            .filter(|anchor| !is_our_key(&sha256(&webpki::spki_for_anchor(anchor))))
            .map(|anchor| anchor.to_owned())
            .collect();
        Roots {
            certificates,
            anchors,
        }
    }
}
