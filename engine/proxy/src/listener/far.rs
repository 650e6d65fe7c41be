//! The connections to the gRPC server: one for each caller, or a few that all callers share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::relay::{Lane, LastError, Target};

/// The gRPC server as a listener's callers reach it.
pub(super) struct FarSide {
    target: Arc<Target>,
    last_error: Arc<LastError>,
    /// Empty when each caller has its own.
    shared: Box<[Arc<Lane>]>,
    next: AtomicUsize,
}

impl FarSide {
    /// The server at this socket, by this many connections for all; 0 means one for each caller.
    pub(super) fn new(socket: PathBuf, connections: usize) -> FarSide {
        let (target, last_error) = (Arc::new(Target::Unix(socket)), Arc::new(LastError::default()));
        let lane = |_| Arc::new(Lane::shared(target.clone(), last_error.clone()));
        FarSide {
            shared: (0..connections).map(lane).collect(),
            target,
            last_error,
            next: AtomicUsize::new(0),
        }
    }

    /// What carries the calls of one more caller; shared lanes take turns.
    pub(super) fn lane(&self) -> Arc<Lane> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match self.shared.get(turn.checked_rem(self.shared.len()).unwrap_or(0)) {
            Some(lane) => lane.clone(),
            None => Arc::new(Lane::new(self.target.clone(), self.last_error.clone())),
        }
    }
}
