//! How a request ended, in the words that the metrics, the table of callers and the record share.

use crate::refusal::Kind;

/// The end of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tally {
    /// Granted, and answered.
    Allow,
    /// Refused by policy.
    Denied,
    /// Refused for now.
    Limited,
    /// No such route.
    NotFound,
    /// Not readable in exactly one way.
    BadRequest,
    /// Could not be judged or recorded.
    Undecided,
    /// Granted, and the feature server failed.
    UpstreamFailed,
    /// Granted, and not accepted by the feature server.
    UpstreamRefused,
    /// Passed only because its feature set does not enforce.
    WouldDeny,
    /// Passed only because its feature set does not enforce limits.
    WouldLimit,
    /// Passed unread, in observe mode.
    Unjudged,
    /// Passed on a route that enforcing would close, in observe mode.
    UnmanagedRoute,
}

impl Tally {
    /// How many there are.
    pub(crate) const COUNT: usize = Tally::ALL.len();
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: &'static [Tally] = &[
        Tally::Allow,
        Tally::Denied,
        Tally::Limited,
        Tally::NotFound,
        Tally::BadRequest,
        Tally::Undecided,
        Tally::UpstreamFailed,
        Tally::UpstreamRefused,
        Tally::WouldDeny,
        Tally::WouldLimit,
        Tally::Unjudged,
        Tally::UnmanagedRoute,
    ];

    /// The name in metrics and reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Tally::Allow => "allow",
            Tally::Denied => "deny",
            Tally::Limited => "limited",
            Tally::NotFound => "not-found",
            Tally::BadRequest => "bad-request",
            Tally::Undecided => "undecided",
            Tally::UpstreamFailed => "upstream-failed",
            Tally::UpstreamRefused => "upstream-refused",
            Tally::WouldDeny => "would-deny",
            Tally::WouldLimit => "would-limit",
            Tally::Unjudged => "unjudged",
            Tally::UnmanagedRoute => "unmanaged-route",
        }
    }

    /// Whether enforcing would have refused what passed.
    pub(crate) fn would_refuse(self) -> bool {
        matches!(
            self,
            Tally::WouldDeny | Tally::WouldLimit | Tally::Unjudged | Tally::UnmanagedRoute
        )
    }
}

impl From<Kind> for Tally {
    fn from(kind: Kind) -> Tally {
        match kind {
            Kind::BadRequest => Tally::BadRequest,
            Kind::Denied => Tally::Denied,
            Kind::Limited => Tally::Limited,
            Kind::NotFound => Tally::NotFound,
            Kind::Undecided => Tally::Undecided,
            Kind::UpstreamFailed => Tally::UpstreamFailed,
            Kind::UpstreamRefused => Tally::UpstreamRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tally_has_its_own_place_and_name() {
        for (place, tally) in Tally::ALL.iter().enumerate() {
            assert_eq!(*tally as usize, place);
            assert_eq!(
                Tally::ALL
                    .iter()
                    .filter(|other| other.as_str() == tally.as_str())
                    .count(),
                1
            );
        }
    }
}
