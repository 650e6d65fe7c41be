//! SPIFFE IDs, read strictly. One identity has exactly one spelling here, so that comparing bytes is comparing
//! identities: the upper-case schemes and hosts that the standard tells parsers to fold are refused, as no
//! issuer may write them.

use std::fmt;

use thiserror::Error;

/// The scheme that every SPIFFE ID begins with.
const SCHEME: &str = "spiffe://";
/// The longest ID (SPIFFE-ID section 2.3).
const MAX_ID: usize = 2048;
/// The longest trust domain name (SPIFFE-ID section 2.3).
const MAX_TRUST_DOMAIN: usize = 255;

/// Why a text is no SPIFFE ID.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// The path is missing; a bare trust domain names no workload.
    #[error("a SPIFFE ID of a workload needs a path after its trust domain")]
    NoPath,
    /// The text does not begin with the scheme, in lower case.
    #[error("a SPIFFE ID begins with spiffe://, in lower case")]
    Scheme,
    /// A segment is empty, `.` or `..`; that covers doubled and trailing slashes.
    #[error("a SPIFFE ID's path has no empty segment, `.` or `..`, and no slash at its end")]
    Segment,
    /// A segment has a character outside letters, digits, `.`, `-` and `_`; that covers percent signs, queries
    /// and fragments.
    #[error("a SPIFFE ID's path is made of letters, digits, `.`, `-` and `_`")]
    SegmentCharacter,
    /// The text is longer than 2048 bytes.
    #[error("a SPIFFE ID has at most {MAX_ID} bytes")]
    TooLong,
    /// The trust domain is empty, too long, or has a character outside lower-case letters, digits, `.`, `-` and
    /// `_`; that covers ports and user names.
    #[error("a trust domain is 1 to {MAX_TRUST_DOMAIN} lower-case letters, digits, `.`, `-` and `_`")]
    TrustDomain,
}

/// The name of a trust domain, `prod.acme.example`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// Read a trust domain's name, without scheme.
    pub fn parse(text: &str) -> Result<TrustDomain, SpiffeIdError> {
        check_trust_domain(text)?;
        Ok(TrustDomain(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity of a workload, `spiffe://prod.acme.example/bu/payments/ns/pricing/sa/pricing-api`.
///
/// ```
/// use featward_policy::SpiffeId;
///
/// let id = SpiffeId::parse("spiffe://prod.acme.example/bu/payments/svc/pricing-api")?;
/// assert_eq!(id.trust_domain(), "prod.acme.example");
/// assert_eq!(id.path(), "/bu/payments/svc/pricing-api");
/// assert_eq!(id.business_unit(), Some("payments"));
/// # Ok::<(), featward_policy::SpiffeIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: Box<str>,
    path_start: usize,
}

impl SpiffeId {
    /// Read a SPIFFE ID.
    pub fn parse(text: &str) -> Result<SpiffeId, SpiffeIdError> {
        if text.len() > MAX_ID {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (trust_domain, path) = rest.split_at(slash);
        check_trust_domain(trust_domain)?;
        check_path(path)?;
        Ok(SpiffeId {
            text: text.into(),
            path_start: SCHEME.len() + slash,
        })
    }

    /// The whole ID, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of its trust domain.
    pub fn trust_domain(&self) -> &str {
        &self.text[SCHEME.len()..self.path_start]
    }

    /// The path, with its leading slash.
    pub fn path(&self) -> &str {
        &self.text[self.path_start..]
    }

    /// `payments` for an ID under `/bu/payments/`. Whether that is a business unit of ours depends on the trust
    /// domain, which the caller compares.
    pub fn business_unit(&self) -> Option<&str> {
        let (unit, _) = self.path().strip_prefix("/bu/")?.split_once('/')?;
        Some(unit)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check_trust_domain(text: &str) -> Result<(), SpiffeIdError> {
    let fits = (1..=MAX_TRUST_DOMAIN).contains(&text.len());
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if fits && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(SpiffeIdError::TrustDomain)
    }
}

fn check_path(path: &str) -> Result<(), SpiffeIdError> {
    let segments = path.strip_prefix('/').ok_or(SpiffeIdError::NoPath)?;
    segments.split('/').try_for_each(check_segment)
}

/// Check one segment of a path, which is also what a business unit's short name must be.
pub(crate) fn check_segment(segment: &str) -> Result<(), SpiffeIdError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if matches!(segment, "" | "." | "..") {
        Err(SpiffeIdError::Segment)
    } else if segment.bytes().all(allowed) {
        Ok(())
    } else {
        Err(SpiffeIdError::SegmentCharacter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_falls_into_trust_domain_path_and_business_unit() {
        let id = SpiffeId::parse("spiffe://prod.acme.example/bu/payments/ns/a/sa/b").unwrap();
        assert_eq!(id.trust_domain(), "prod.acme.example");
        assert_eq!(id.path(), "/bu/payments/ns/a/sa/b");
        assert_eq!(id.business_unit(), Some("payments"));
    }

    #[test]
    fn only_what_lies_under_a_business_unit_belongs_to_it() {
        for path in [
            "/bu/payments",
            "/featward/ca",
            "/x/bu/payments/a",
            "/bus/payments/a",
        ] {
            let id = SpiffeId::parse(&format!("spiffe://a{path}")).unwrap();
            assert_eq!(id.business_unit(), None, "{path}");
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let long_domain = format!("spiffe://{}/x", "a".repeat(256));
        let long_id = format!("spiffe://a/{}", "x".repeat(2048 - 10));
        for (text, error) in [
            ("", SpiffeIdError::Scheme),
            ("SPIFFE://a/x", SpiffeIdError::Scheme),
            ("http://a/x", SpiffeIdError::Scheme),
            (" spiffe://a/x", SpiffeIdError::Scheme),
            ("spiffe:///x", SpiffeIdError::TrustDomain),
            ("spiffe://A/x", SpiffeIdError::TrustDomain),
            ("spiffe://a:1/x", SpiffeIdError::TrustDomain),
            ("spiffe://u@a/x", SpiffeIdError::TrustDomain),
            ("spiffe://a?q/x", SpiffeIdError::TrustDomain),
            (&long_domain, SpiffeIdError::TrustDomain),
            ("spiffe://a", SpiffeIdError::NoPath),
            ("spiffe://a/", SpiffeIdError::Segment),
            ("spiffe://a/x/", SpiffeIdError::Segment),
            ("spiffe://a//x", SpiffeIdError::Segment),
            ("spiffe://a/x/../y", SpiffeIdError::Segment),
            ("spiffe://a/./y", SpiffeIdError::Segment),
            ("spiffe://a/x%2Fy", SpiffeIdError::SegmentCharacter),
            ("spiffe://a/x?q=1", SpiffeIdError::SegmentCharacter),
            ("spiffe://a/x#f", SpiffeIdError::SegmentCharacter),
            ("spiffe://a/x\0", SpiffeIdError::SegmentCharacter),
            ("spiffe://a/ü", SpiffeIdError::SegmentCharacter),
            (&long_id, SpiffeIdError::TooLong),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(error), "{text:?}");
        }
        assert!(SpiffeId::parse(&long_id[..2048]).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_the_grammar_makes_is_read_back_whole(
            domain in "[a-z0-9._-]{1,255}",
            path in "(/([a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20})){1,8}",
        ) {
            let text = format!("spiffe://{domain}{path}");
            let id = SpiffeId::parse(&text).unwrap();
            prop_assert_eq!(id.as_str(), &text);
            prop_assert_eq!(id.trust_domain(), &domain);
            prop_assert_eq!(id.path(), &path);
        }

        #[test]
        fn whatever_is_read_follows_the_grammar(text in "(spiffe://)?[a-zA-Z0-9./%?#:@_-]{0,40}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                let rebuilt = format!("spiffe://{}{}", id.trust_domain(), id.path());
                prop_assert_eq!(&rebuilt, &text);
                let lower = id.trust_domain().to_lowercase();
                prop_assert_eq!(lower, id.trust_domain());
                prop_assert!(!text.contains(['%', '?', '#', ':', '@']) || text[9..].find([':', '%', '?', '#', '@']).is_none());
                prop_assert!(id.path()[1..].split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,100}") {
            let _ = SpiffeId::parse(&text);
        }
    }
}
