//! Which of our identities live connections were made with. Connections outlive a renewal, and the authority of the
//! identity that they have shown must not be taken away before them: their peers would cut off what is under way.

use std::future::pending;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Credentials, Held};

/// The identities of before that something still uses, oldest first.
#[derive(Debug, Default)]
pub(super) struct Earlier(Mutex<Vec<Weak<Held>>>);

impl Earlier {
    /// This one is not the newest any more.
    pub(super) fn add(&self, held: &Arc<Held>) {
        let mut earlier = self.0.lock();
        earlier.retain(|one| one.strong_count() > 0);
        earlier.push(Arc::downgrade(held));
    }

    /// The oldest one in use that another authority has signed than this one's.
    pub(super) fn of_another_authority(&self, newest: &Held) -> Option<Arc<Held>> {
        let earlier = self.0.lock();
        let mut used = earlier.iter().filter_map(Weak::upgrade);
        used.find(|one| one.identity.authority != newest.identity.authority)
    }
}

/// The identity that a connection was accepted with. As long as this lives, that identity is in use.
#[derive(Debug)]
pub(crate) struct Shown {
    held: Arc<Held>,
    credentials: Credentials,
    changes: watch::Receiver<u64>,
}

impl Shown {
    pub(crate) fn new(held: Arc<Held>, credentials: &Credentials) -> Shown {
        Shown {
            held,
            credentials: credentials.clone(),
            changes: credentials.identity_changed(),
        }
    }

    /// Wait until another authority signs for us than the one that had signed what was shown.
    pub(crate) async fn replaced(&mut self) {
        loop {
            self.changes.borrow_and_update();
            let newest = self.credentials.held();
            if newest.is_some_and(|newest| newest.identity.authority != self.held.identity.authority) {
                return;
            }
            if self.changes.changed().await.is_err() {
                return pending().await;
            }
        }
    }
}

impl Credentials {
    /// The serial of the SVID in use: of the newest one, or of an earlier one of another authority as long as a
    /// connection lives that was made with it. None before the first.
    ///
    /// Apps that were handed an identity are not counted; what they do with it is not seen here.
    pub fn serial_in_use(&self) -> Option<String> {
        let newest = self.held()?;
        let used = self.shared.earlier.of_another_authority(&newest);
        Some(used.unwrap_or(newest).identity.serial.clone())
    }
}
