//! Judging peers by the trust in use and by the clock: what handshakes, live connections and tools ask.

use std::sync::Arc;

use super::{Credentials, Trust};
use crate::peer::{By, Peer, PeerCertificates};
use crate::refusal::Reason;
use crate::verify::{self, Cause, Clock, IdentityError};

impl Credentials {
    /// Judge a peer's certificates by the trust in use, as of now.
    pub fn judge(&self, certificates: &PeerCertificates) -> Result<Peer, IdentityError> {
        self.judge_with_grace(certificates, 0)
    }

    /// The same, and accept (marked) what expired less than `grace` seconds ago. Never for traffic: it is there so
    /// that a workload that slept through its renewal can still ask for a new identity.
    pub fn judge_with_grace(
        &self,
        certificates: &PeerCertificates,
        grace: i64,
    ) -> Result<Peer, IdentityError> {
        let trust = self.needed_trust()?;
        self.clock()
            .judge(|now| verify::by_trust(certificates, &trust, now, grace))
    }

    /// Judge our own platform by any root that we trust and not by the scope table, which is older than the
    /// platform's newest authority when we were away for long: without this we could never hear of the new one.
    pub(crate) fn judge_platform(&self, certificates: &PeerCertificates) -> Result<Peer, IdentityError> {
        let trust = self.needed_trust()?;
        self.clock()
            .judge(|now| verify::platform(certificates, &trust, now))
    }

    /// Judge by a root's digest alone, at first contact with our own platform. Bans count if any are known.
    pub(crate) fn judge_by_root(
        &self,
        certificates: &PeerCertificates,
        root_sha256: &[u8; 32],
    ) -> Result<Peer, IdentityError> {
        let trust = self.trust();
        self.clock()
            .judge(|now| verify::by_root(certificates, root_sha256, trust.as_deref(), now))
    }

    /// Judge a peer again on the basis that it was accepted on.
    pub(crate) fn judge_again(&self, peer: &Peer) -> Result<Peer, IdentityError> {
        match peer.basis().by {
            By::Trust { grace } => {
                let grace = if peer.expired() { grace } else { 0 };
                self.judge_with_grace(peer.certificates(), grace)
            }
            By::Platform => self.judge_platform(peer.certificates()),
            By::Root(digest) => self.judge_by_root(peer.certificates(), &digest),
        }
    }

    /// Why nothing can be done in our own name now, if so: there is no identity, or its life is over.
    pub(crate) fn refused_identity(&self) -> Option<Reason> {
        let Some(held) = self.held() else {
            return Some(Reason::NoIdentity);
        };
        (self.clock().seconds() > held.identity.not_after).then_some(Reason::IdentityExpired)
    }

    /// Our identity's expiry in words, with the clocks where they are known.
    pub(crate) fn expiry_detail(&self) -> String {
        let clock = self.clock();
        let Some(held) = self.held() else {
            return "there is no identity to show yet".into();
        };
        let over = clock.seconds().saturating_sub(held.identity.not_after);
        let detail = format!(
            "our identity {} expired {over} s ago, and no newer one has come",
            held.identity.spiffe_id
        );
        match clock.words() {
            Some(words) => format!("{detail}; {words}"),
            None => detail,
        }
    }

    /// Our clock now, and what is known of the CA's.
    pub(crate) fn clock(&self) -> Clock {
        Clock::now(self.clock_offset())
    }

    fn needed_trust(&self) -> Result<Arc<Trust>, IdentityError> {
        self.trust().ok_or_else(|| {
            IdentityError::new(Cause::NoTrust, "no trust was set yet, so nobody can be trusted")
        })
    }
}
