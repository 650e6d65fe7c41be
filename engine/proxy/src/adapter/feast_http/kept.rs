//! Which columns and views of an answer the caller may see.

use std::borrow::Cow;

use ahash::AHashSet;

use super::Read;
use super::answer::filter;
use crate::fault::Fault;

/// The names that an answer may hold: of the granted features, as Feast names their columns, and of the join keys
/// and request inputs that the caller sent itself.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    columns: AHashSet<Cow<'a, str>>,
    views: AHashSet<&'a str>,
}

impl<'a> Kept<'a> {
    /// What remains of the answer to `read` when these features (`view:feature`) are granted.
    pub fn new(read: &'a Read<'_>, granted: impl IntoIterator<Item = &'a str>) -> Kept<'a> {
        let mut kept = Kept {
            columns: read.entities().map(Cow::Borrowed).collect(),
            views: AHashSet::new(),
        };
        for (view, feature) in granted.into_iter().filter_map(|name| name.split_once(':')) {
            kept.views.insert(view);
            kept.columns.insert(if read.full_feature_names() {
                Cow::Owned(format!("{view}__{feature}"))
            } else {
                Cow::Borrowed(feature)
            });
        }
        kept
    }

    /// Whether a column of this name is kept.
    pub fn column(&self, name: &str) -> bool {
        self.columns.contains(name)
    }

    /// Whether the version of the view of this name is kept.
    pub fn view(&self, name: &str) -> bool {
        self.views.contains(name)
    }

    /// The answer without what is not kept.
    pub fn filter<'b>(&self, answer: &'b [u8]) -> Result<Cow<'b, [u8]>, Fault> {
        filter(answer, &|name| self.column(name), &|name| self.view(name))
    }
}
