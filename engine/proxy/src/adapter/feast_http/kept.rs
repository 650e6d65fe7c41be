//! Which columns and views of an answer the caller may see.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use ahash::{AHashMap, AHashSet};

use super::Read;
use super::answer::filter;
use crate::fault::Fault;
use crate::refusal::Reason;

/// The names that an answer may hold: of the granted features, as Feast names their columns, and of the join keys
/// and request inputs that the caller sent itself.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    full: bool,
    sent: AHashSet<&'a str>,
    /// The column of each granted feature, and its place in `features`.
    granted: AHashMap<Cow<'a, str>, usize>,
    features: Vec<&'a str>,
    left_out: AHashSet<Cow<'a, str>>,
    views: AHashSet<&'a str>,
}

/// A narrowed answer, and how it differs from what was to be expected of the feature server.
#[derive(Debug)]
pub struct Narrowed<'k, 'b> {
    /// What the caller gets.
    pub answer: Cow<'b, [u8]>,
    /// Mostly nothing.
    pub differing: Differing<'k>,
}

/// Where an answer and the catalogue differ.
#[derive(Debug, Default)]
pub struct Differing<'k> {
    /// How many columns were cut out that nobody asked for and nothing explains.
    pub unlisted_total: u64,
    /// The first of them by name.
    pub unlisted: Vec<String>,
    /// The granted features (`view:feature`) that the answer has no column of.
    pub unanswered: Vec<&'k str>,
}

/// So many unlisted columns are named.
const NAMED: usize = 20;

impl Differing<'_> {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.unlisted_total == 0 && self.unanswered.is_empty()
    }

    fn add(&mut self, column: &str) {
        self.unlisted_total += 1;
        if self.unlisted.len() < NAMED {
            self.unlisted.push(column.to_owned());
        }
    }
}

impl<'a> Kept<'a> {
    /// What remains of the answer to `read` when these features (`view:feature`) are granted.
    pub fn new(read: &'a Read<'_>, granted: impl IntoIterator<Item = &'a str>) -> Kept<'a> {
        let mut kept = Kept {
            full: read.full_feature_names(),
            sent: read.entities().collect(),
            granted: AHashMap::new(),
            features: Vec::new(),
            left_out: AHashSet::new(),
            views: AHashSet::new(),
        };
        for name in granted {
            let Some((view, column)) = kept.column_of(name) else {
                continue;
            };
            kept.views.insert(view);
            kept.granted.insert(column, kept.features.len());
            kept.features.push(name);
        }
        kept
    }

    /// Expect the columns of these features as well, which are not granted and are cut out.
    pub fn leave_out(&mut self, features: impl IntoIterator<Item = &'a str>) {
        for name in features {
            self.left_out
                .extend(self.column_of(name).map(|(_, column)| column));
        }
    }

    /// The view of a feature, and the column that Feast answers it in.
    fn column_of(&self, name: &'a str) -> Option<(&'a str, Cow<'a, str>)> {
        let (view, feature) = name.split_once(':')?;
        let column = if self.full {
            Cow::Owned(format!("{view}__{feature}"))
        } else {
            Cow::Borrowed(feature)
        };
        Some((view, column))
    }

    /// Whether a column of this name is kept.
    pub fn column(&self, name: &str) -> bool {
        self.granted.contains_key(name) || self.sent.contains(name)
    }

    /// Whether the version of the view of this name is kept.
    pub fn view(&self, name: &str) -> bool {
        self.views.contains(name)
    }

    /// The answer without what is not kept. One that holds no granted column at all is a failure and no answer:
    /// Feast names the columns of a view that a service renames (`with_name`) by the new name, and a caller who is
    /// granted the features should not be told `200` with nothing in it. `listed` says of a column that is cut out
    /// whether the catalogue knows it all the same.
    pub fn filter<'b>(
        &self,
        answer: &'b [u8],
        listed: impl Fn(&str) -> bool,
    ) -> Result<Narrowed<'_, 'b>, Fault> {
        let answered = vec![Cell::new(false); self.features.len()];
        let differing = RefCell::new(Differing::default());
        let keep = |name: &str| {
            if let Some(place) = self.granted.get(name) {
                answered[*place].set(true);
                return true;
            }
            let sent = self.sent.contains(name);
            if !sent && !self.left_out.contains(name) && !listed(name) {
                differing.borrow_mut().add(name);
            }
            sent
        };
        let answer = filter(answer, &keep, &|name| self.view(name))?;
        let mut differing = differing.into_inner();
        if !answered.iter().all(Cell::get) {
            let unanswered = self.features.iter().zip(&answered);
            let unanswered = unanswered.filter(|(_, answered)| !answered.get());
            differing.unanswered = unanswered.map(|(name, _)| *name).collect();
        }
        if !answered.is_empty() && differing.unanswered.len() == answered.len() {
            let detail =
                "the answer holds none of the features that were asked for; does the service rename a view?";
            return Err(Fault::new(Reason::UpstreamAnswer, detail));
        }
        Ok(Narrowed { answer, differing })
    }
}
