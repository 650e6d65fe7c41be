//! What happened that somebody outside the engine should hear of. Bounded, because the listener may be slow or
//! gone; what did not fit is counted instead of kept.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock;

/// Enough for a burst between two looks of the agent, small enough to forget.
const CAPACITY: usize = 1024;

/// The queue that `drain_events` empties.
#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Value>,
    lost: u64,
}

impl Events {
    /// Add an event of this kind; `fields` is a JSON object.
    pub(crate) fn push(&self, kind: &'static str, mut fields: Value) {
        fields["kind"] = json!(kind);
        fields["time"] = json!(clock::now().as_secs_f64());
        let mut queue = self.queue.lock();
        if queue.waiting.len() == CAPACITY {
            queue.waiting.pop_front();
            queue.lost += 1;
        }
        queue.waiting.push_back(fields);
    }

    /// Take everything as a JSON list, oldest first; it begins with how many were lost, if any.
    pub(crate) fn drain(&self) -> Vec<u8> {
        let Queue { waiting, lost } = std::mem::take(&mut *self.queue.lock());
        let lost =
            (lost > 0).then(|| json!({"kind": "lost", "count": lost, "time": clock::now().as_secs_f64()}));
        let all: Vec<Value> = lost.into_iter().chain(waiting).collect();
        Value::from(all).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(events: &Events) -> Vec<Value> {
        serde_json::from_slice(&events.drain()).unwrap()
    }

    #[test]
    fn events_come_out_once_and_oldest_first() {
        let events = Events::default();
        events.push("first", json!({"a": 1}));
        events.push("second", json!({}));
        let all = drained(&events);
        assert_eq!(all[0]["kind"], "first");
        assert_eq!(all[0]["a"], 1);
        assert_eq!(all[1]["kind"], "second");
        assert!(drained(&events).is_empty());
    }

    #[test]
    fn a_full_queue_forgets_the_oldest_and_says_how_many() {
        let events = Events::default();
        for number in 0..CAPACITY + 3 {
            events.push("e", json!({"number": number}));
        }
        let all = drained(&events);
        assert_eq!(all.len(), CAPACITY + 1);
        assert_eq!(all[0]["kind"], "lost");
        assert_eq!(all[0]["count"], 3);
        assert_eq!(all[1]["number"], 3);
    }
}
