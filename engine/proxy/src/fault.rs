//! What a reader says when it refuses bytes: a reason of the table, and a sentence for whoever sent them.
//!
//! Apart from [`crate::refusal`], because a reader knows nothing of peers, rules or answers. The sentence never
//! quotes an entity value; names that the sender chose are shortened, so that nobody fills a log with them.

use std::fmt;

use crate::refusal::Reason;

/// A fault found in a request or in an upstream's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The row of the refusal table.
    pub reason: Reason,
    /// What was wrong and where, in one sentence without entity values.
    pub detail: String,
}

impl Fault {
    /// A fault of this reason.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Fault {
        Fault {
            reason,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl std::error::Error for Fault {}

/// A name that the sender chose, quoted, escaped and cut, fit to stand in a sentence.
pub(crate) fn shown(name: &str) -> String {
    let mut characters = name.chars();
    let head: String = characters.by_ref().take(SHOWN).collect();
    let more = if characters.next().is_some() { "…" } else { "" };
    format!("{head:?}{more}")
}

/// Longer than any sensible feature name, and short enough for a log line.
const SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_is_escaped_and_cut() {
        assert_eq!(shown("a\n\u{1b}[31m"), r#""a\n\u{1b}[31m""#);
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), SHOWN + 3);
    }
}
