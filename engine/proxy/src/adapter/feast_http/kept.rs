//! Which columns and views of an answer the caller may see.

use std::borrow::Cow;
use std::cell::Cell;

use ahash::AHashSet;

use super::Read;
use super::answer::filter;
use crate::fault::Fault;
use crate::refusal::Reason;

/// The names that an answer may hold: of the granted features, as Feast names their columns, and of the join keys
/// and request inputs that the caller sent itself.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    sent: AHashSet<&'a str>,
    granted: AHashSet<Cow<'a, str>>,
    views: AHashSet<&'a str>,
}

impl<'a> Kept<'a> {
    /// What remains of the answer to `read` when these features (`view:feature`) are granted.
    pub fn new(read: &'a Read<'_>, granted: impl IntoIterator<Item = &'a str>) -> Kept<'a> {
        let mut kept = Kept {
            sent: read.entities().collect(),
            granted: AHashSet::new(),
            views: AHashSet::new(),
        };
        for (view, feature) in granted.into_iter().filter_map(|name| name.split_once(':')) {
            kept.views.insert(view);
            kept.granted.insert(if read.full_feature_names() {
                Cow::Owned(format!("{view}__{feature}"))
            } else {
                Cow::Borrowed(feature)
            });
        }
        kept
    }

    /// Whether a column of this name is kept.
    pub fn column(&self, name: &str) -> bool {
        self.granted.contains(name) || self.sent.contains(name)
    }

    /// Whether the version of the view of this name is kept.
    pub fn view(&self, name: &str) -> bool {
        self.views.contains(name)
    }

    /// The answer without what is not kept. One that holds no granted column at all is a failure and no answer:
    /// Feast names the columns of a view that a service renames (`with_name`) by the new name, and a caller who is
    /// granted the features should not be told `200` with nothing in it.
    pub fn filter<'b>(&self, answer: &'b [u8]) -> Result<Cow<'b, [u8]>, Fault> {
        let answered = Cell::new(self.granted.is_empty());
        let keep = |name: &str| {
            answered.set(answered.get() || self.granted.contains(name));
            self.column(name)
        };
        let kept = filter(answer, &keep, &|name| self.view(name))?;
        if !answered.get() {
            let detail =
                "the answer holds none of the features that were asked for; does the service rename a view?";
            return Err(Fault::new(Reason::UpstreamAnswer, detail));
        }
        Ok(kept)
    }
}
