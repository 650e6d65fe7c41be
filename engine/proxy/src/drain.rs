//! Stopping without failing anybody: listeners close, connections finish what they have, and what is still open
//! after the grace is cut.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Cut,
}

/// The side that stops.
#[derive(Debug)]
pub(crate) struct Drain {
    phase: watch::Sender<Phase>,
}

/// The side that is stopped. Stopping waits until every one of these is gone.
#[derive(Clone, Debug)]
pub(crate) struct Draining {
    phase: watch::Receiver<Phase>,
}

/// Whoever outlives the grace has been told to end; this is for their tasks to notice.
const CUT_DEADLINE: Duration = Duration::from_secs(5);

impl Drain {
    pub(crate) fn new() -> Drain {
        Drain {
            phase: watch::Sender::new(Phase::Serving),
        }
    }

    /// What a listener or connection holds as long as it lives.
    pub(crate) fn hold(&self) -> Draining {
        Draining {
            phase: self.phase.subscribe(),
        }
    }

    /// Ask everybody to finish.
    fn begin(&self) {
        self.raise(Phase::Draining);
    }

    /// Ask everybody to end now.
    pub(crate) fn cut(&self) {
        self.raise(Phase::Cut);
    }

    /// Ask everybody to finish, wait up to `grace`, then end who is left.
    pub(crate) async fn end(&self, grace: Duration) {
        self.begin();
        if timeout(grace, self.finished()).await.is_err() {
            self.end_now().await;
        }
    }

    /// End everybody now, and wait until they have.
    pub(crate) async fn end_now(&self) {
        self.cut();
        // A task that still has not ended then holds nothing that anybody waits for.
        let _ = timeout(CUT_DEADLINE, self.finished()).await;
    }

    /// Whether stopping has begun.
    pub(crate) fn has_begun(&self) -> bool {
        *self.phase.borrow() >= Phase::Draining
    }

    /// Wait until nobody holds on.
    async fn finished(&self) {
        self.phase.closed().await;
    }

    fn raise(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let raised = *current < phase;
            *current = (*current).max(phase);
            raised
        });
    }
}

impl Draining {
    /// Wait until stopping begins.
    pub(crate) async fn begun(&mut self) {
        self.reached(Phase::Draining).await;
    }

    /// Wait until everything must end.
    pub(crate) async fn cut(&mut self) {
        self.reached(Phase::Cut).await;
    }

    async fn reached(&mut self, phase: Phase) {
        // The sender lives as long as the proxy; without it there is nothing left to serve for.
        let _ = self.phase.wait_for(|current| *current >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn stopping_waits_for_everybody_who_holds_on() {
        let drain = Drain::new();
        let mut held = drain.hold();
        drain.begin();
        held.begun().await;
        let early = tokio::time::timeout(Duration::from_millis(10), drain.finished()).await;
        assert!(early.is_err());
        drop(held);
        drain.finished().await;
    }

    #[tokio::test]
    async fn cutting_is_final_and_includes_draining() {
        let drain = Drain::new();
        let mut held = drain.hold();
        drain.cut();
        drain.begin();
        held.begun().await;
        held.cut().await;
        assert!(drain.has_begun());
    }
}
