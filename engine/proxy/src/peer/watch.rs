//! Watches over one live connection: tells its task when the peer should move on, and when it must be cut off.
//!
//! The task that serves a connection selects on [`PeerWatch::next`]:
//!
//! ```text
//! let mut watch = PeerWatch::new(&credentials, &peer);
//! tokio::select! {
//!     ended = connection.as_mut() => …,
//!     verdict = watch.next() => match verdict {
//!         Verdict::Drain => connection.as_mut().graceful_shutdown(),   // and go on selecting
//!         Verdict::Cut(why) => return,                                 // dropping the connection closes it
//!     },
//! }
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::sleep;

use super::{By, Peer};
use crate::credentials::Credentials;
use crate::verify::{Cause, IdentityError};

/// What a connection's task must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The certificate's life draws to its end (80 % of it has passed): finish what is under way, take nothing
    /// new. Told once. A connection that began later than that is drained halfway to the end: its peer has no
    /// newer certificate, and asking it to come back at once would only cost handshakes.
    Drain,
    /// The peer is not trusted any more, or its life is over: close now.
    Cut(IdentityError),
}

/// The wall clock may jump (a suspended machine, NTP), so no sleep trusts it for longer than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Judges one peer again whenever trust changes or time passes.
#[derive(Debug)]
pub struct PeerWatch {
    credentials: Credentials,
    peer: Peer,
    trust: watch::Receiver<u64>,
    judged: u64,
    began: f64,
    drained: bool,
}

impl PeerWatch {
    /// Watch over this peer from now on; a change of trust since it was judged is noticed as well.
    pub fn new(credentials: &Credentials, peer: &Peer) -> PeerWatch {
        PeerWatch {
            credentials: credentials.clone(),
            peer: peer.clone(),
            trust: credentials.trust_changed(),
            judged: peer.basis().generation,
            began: now(),
            drained: peer.expired(),
        }
    }

    /// Wait for the next thing that the connection must do. May be dropped and called again at any time, as
    /// `select!` does. After `Cut` every further call answers `Cut` at once.
    pub async fn next(&mut self) -> Verdict {
        loop {
            if let Some(verdict) = self.look(now()) {
                return verdict;
            }
            let nap = sleep(self.nap());
            tokio::select! {
                () = nap => {}
                // The sender lives in `credentials`, which we hold, so this only ends on a change.
                _ = self.trust.changed() => {}
            }
        }
    }

    fn look(&mut self, now: f64) -> Option<Verdict> {
        if let Err(error) = self.judge_again() {
            return Some(Verdict::Cut(error));
        }
        if now >= self.cut_at() {
            let detail = format!("the certificate of {} has expired", self.peer.id());
            let error = IdentityError::new(Cause::Expired, detail);
            let too = |ca| ca as f64 >= self.cut_at();
            return Some(Verdict::Cut(self.credentials.clock().explained(error, too)));
        }
        if !self.drained && now >= self.drain_at() {
            self.drained = true;
            return Some(Verdict::Drain);
        }
        None
    }

    /// Only trust that changed since makes a new judgement necessary; time is compared above.
    fn judge_again(&mut self) -> Result<(), IdentityError> {
        let generation = *self.trust.borrow_and_update();
        if self.judged == generation {
            return Ok(());
        }
        self.credentials.judge_again(&self.peer)?;
        self.judged = generation;
        Ok(())
    }

    fn drain_at(&self) -> f64 {
        let (from, to) = (self.peer.not_before() as f64, self.peer.not_after() as f64);
        let most_of_life = from + 0.8 * (to - from);
        most_of_life.max(self.began.midpoint(to))
    }

    fn cut_at(&self) -> f64 {
        let grace = match self.peer.basis().by {
            By::Trust { grace } if self.peer.expired() => grace,
            _ => 0,
        };
        // The second that a certificate names as its last belongs to its life (RFC 5280 section 4.1.2.5).
        self.peer.not_after() as f64 + 1.0 + grace as f64
    }

    fn nap(&self) -> Duration {
        let next = if self.drained {
            self.cut_at()
        } else {
            self.drain_at().min(self.cut_at())
        };
        Duration::try_from_secs_f64(next - now())
            .unwrap_or(Duration::ZERO)
            .min(LONGEST_SLEEP)
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
