//! The grants: who may read what, within which limits, until when. Names and lists of all bindings share a few
//! long buffers, because 100,000 bindings with lists of their own would spend more memory on the allocator than
//! on what they say.

use ahash::AHashMap;

use crate::catalogue::{Catalogue, FeatureIndex, SetIndex};
use crate::check::{self, Place};
use crate::error::PolicyError;
use crate::overriding::Override;
use crate::span::{Span, append, append_text};
use crate::subject::{Subject, Subjects};
use crate::v1;

/// Position of a binding in the snapshot, which is its order by namespace, then name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingIndex(pub(crate) u32);

impl BindingIndex {
    /// The position as a number, for tables beside the policy's own.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// What happens to a request for more than is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnExcess {
    /// It is denied.
    Deny,
    /// It is answered without the rest.
    Strip,
}

/// A cost limit: `amount` units every `per_seconds`, `burst` at once. None of them is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Units that come back every period.
    pub amount: u64,
    /// Length of the period in seconds.
    pub per_seconds: u64,
    /// The most that one moment may take.
    pub burst: u64,
}

/// One binding, as a view into the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// `namespace/name`
    pub name: &'a str,
    /// What the grant is for, as its owner wrote it.
    pub purpose: &'a str,
    /// The set that it grants from.
    pub set: SetIndex,
    /// What it grants, in the order of names.
    pub features: &'a [FeatureIndex],
    /// Its cost limit; `None` for no limit.
    pub limit: Option<Rate>,
    /// Rows of one request; `None` for the engine's own cap.
    pub rows_per_request: Option<u64>,
    /// What happens to a request for more.
    pub on_excess: OnExcess,
    /// Unix seconds; from then on it does not apply.
    pub expires: i64,
}

/// What the decision reads of a binding, apart from the rest so that one cache line holds it.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct Terms {
    pub(crate) expires: i64,
    /// `u64::MAX` for the engine's own cap.
    pub(crate) rows_per_request: u64,
    /// The most that one request may cost; `u64::MAX` without a limit.
    pub(crate) burst: u64,
    pub(crate) on_excess: OnExcess,
}

/// All else.
#[derive(Debug)]
struct Record {
    limit: Option<Rate>,
    set: SetIndex,
    features: Span,
    subjects: Span,
    name: Span,
    purpose: Span,
}

/// All bindings of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    terms: Vec<Terms>,
    records: Vec<Record>,
    features: Vec<FeatureIndex>,
    subjects: Vec<Subject>,
    text: String,
    /// The few that somebody closed by hand, in their order; in most snapshots none.
    closed: Vec<(BindingIndex, Override)>,
}

impl Bindings {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn indices(&self) -> impl DoubleEndedIterator<Item = BindingIndex> + use<> {
        (0..self.records.len() as u32).map(BindingIndex)
    }

    #[inline]
    pub(crate) fn terms(&self, index: BindingIndex) -> &Terms {
        &self.terms[index.0 as usize]
    }

    /// Whether a binding grants what it lists.
    #[inline]
    pub(crate) fn applies(&self, index: BindingIndex, now: i64) -> bool {
        self.is_unexpired(index, now) && !self.is_closed(index, now)
    }

    /// Whether a binding has its day yet, closed by hand or not.
    #[inline]
    pub(crate) fn is_unexpired(&self, index: BindingIndex, now: i64) -> bool {
        self.terms(index).expires > now
    }

    /// Whether somebody closed a binding by hand, which has not ended.
    #[inline]
    pub(crate) fn is_closed(&self, index: BindingIndex, now: i64) -> bool {
        let closing = || {
            self.closing(index)
                .is_some_and(|closing| closing.is_in_force(now))
        };
        !self.closed.is_empty() && closing()
    }

    /// What closes a binding, or did.
    pub(crate) fn closing(&self, index: BindingIndex) -> Option<&Override> {
        let place = self.closed.binary_search_by_key(&index, |(binding, _)| *binding);
        place.ok().map(|place| &self.closed[place].1)
    }

    /// The bindings that are closed or were.
    pub(crate) fn closed(&self) -> impl Iterator<Item = BindingIndex> {
        self.closed.iter().map(|(binding, _)| *binding)
    }

    /// Where the features of a binding are.
    pub(crate) fn span(&self, index: BindingIndex) -> Span {
        self.records[index.0 as usize].features
    }

    pub(crate) fn features(&self, index: BindingIndex) -> &[FeatureIndex] {
        self.features_in(self.span(index))
    }

    /// The features that a span stands for.
    pub(crate) fn features_in(&self, span: Span) -> &[FeatureIndex] {
        &self.features[span.range()]
    }

    pub(crate) fn subjects(&self, index: BindingIndex) -> &[Subject] {
        &self.subjects[self.records[index.0 as usize].subjects.range()]
    }

    pub(crate) fn view(&self, index: BindingIndex) -> Binding<'_> {
        let (terms, record) = (self.terms(index), &self.records[index.0 as usize]);
        Binding {
            name: &self.text[record.name.range()],
            purpose: &self.text[record.purpose.range()],
            set: record.set,
            features: &self.features[record.features.range()],
            limit: record.limit,
            rows_per_request: Some(terms.rows_per_request).filter(|rows| *rows != u64::MAX),
            on_excess: terms.on_excess,
            expires: terms.expires,
        }
    }
}

/// Reads bindings one after another, which must come in the order of their names.
#[derive(Default)]
pub(crate) struct BindingsReader {
    bindings: Bindings,
    /// Purposes repeat from binding to binding, so each is kept once.
    purposes: AHashMap<String, Span>,
    /// Lists of features repeat too, above all those that came from a service; found by their hash.
    lists: AHashMap<u64, Span>,
    last: (String, String),
}

impl BindingsReader {
    pub(crate) fn add(
        &mut self,
        binding: v1::Binding,
        catalogue: &Catalogue,
        subjects: &mut Subjects,
    ) -> Result<(), PolicyError> {
        let at = Place::of("binding", &binding.namespace, &binding.name)?;
        let before = (self.last.0.as_str(), self.last.1.as_str());
        check::ascending(
            "the snapshot",
            "bindings",
            before,
            (&binding.namespace, &binding.name),
        )?;
        let index = BindingIndex(check::index(self.bindings.len(), "bindings")?);
        let set = set_of(&at, &binding, catalogue)?;
        let features = catalogue.resolve(&at, set, &binding.features)?;
        let subjects = subjects.read(&at, &binding.subjects)?;
        let limit = binding.cost.map(|rate| limit(&at, rate)).transpose()?;
        self.bindings.terms.push(Terms {
            expires: expires(&at, binding.expires)?,
            rows_per_request: unless_zero(binding.rows_per_request),
            burst: limit.map_or(u64::MAX, |limit| limit.burst),
            on_excess: on_excess(&at, binding.on_excess())?,
        });
        let record = Record {
            limit,
            set,
            features: self.features(&features)?,
            subjects: append(&mut self.bindings.subjects, &subjects)?,
            name: append_text(&mut self.bindings.text, at.name())?,
            purpose: self.purpose(binding.purpose)?,
        };
        self.bindings.records.push(record);
        if let Some(closing) = Override::of_binding(&at, binding.r#override.as_ref())? {
            self.bindings.closed.push((index, closing));
        }
        self.last = (binding.namespace, binding.name);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Bindings {
        self.bindings.terms.shrink_to_fit();
        self.bindings.records.shrink_to_fit();
        self.bindings.features.shrink_to_fit();
        self.bindings.subjects.shrink_to_fit();
        self.bindings.text.shrink_to_fit();
        self.bindings
    }

    fn features(&mut self, features: &[FeatureIndex]) -> Result<Span, PolicyError> {
        let hash = self.lists.hasher().hash_one(features);
        if let Some(span) = self.lists.get(&hash)
            && self.bindings.features_in(*span) == features
        {
            return Ok(*span);
        }
        let span = append(&mut self.bindings.features, features)?;
        self.lists.insert(hash, span);
        Ok(span)
    }

    fn purpose(&mut self, purpose: String) -> Result<Span, PolicyError> {
        if let Some(span) = self.purposes.get(&purpose) {
            return Ok(*span);
        }
        let span = append_text(&mut self.bindings.text, &purpose)?;
        self.purposes.insert(purpose, span);
        Ok(span)
    }
}

fn set_of(at: &Place, binding: &v1::Binding, catalogue: &Catalogue) -> Result<SetIndex, PolicyError> {
    let set = format!("{}/{}", binding.feature_set_namespace, binding.feature_set_name);
    catalogue.set(&set).ok_or_else(|| at.unknown("feature set", &set))
}

fn expires(at: &Place, expires: i64) -> Result<i64, PolicyError> {
    if expires > 0 {
        Ok(expires)
    } else {
        Err(at.invalid("expires", expires, "a date"))
    }
}

fn unless_zero(rows: u64) -> u64 {
    if rows == 0 { u64::MAX } else { rows }
}

fn limit(at: &Place, rate: v1::Rate) -> Result<Rate, PolicyError> {
    let v1::Rate {
        amount,
        per_seconds,
        burst,
    } = rate;
    if amount == 0 || per_seconds == 0 || burst == 0 {
        let value = format!("{amount} per {per_seconds} s, burst {burst}");
        return Err(at.invalid("cost", value, "numbers above 0"));
    }
    Ok(Rate {
        amount,
        per_seconds,
        burst,
    })
}

fn on_excess(at: &Place, on_excess: v1::OnExcess) -> Result<OnExcess, PolicyError> {
    match on_excess {
        v1::OnExcess::Deny => Ok(OnExcess::Deny),
        v1::OnExcess::Strip => Ok(OnExcess::Strip),
        v1::OnExcess::Unspecified => Err(at.unspecified("on_excess")),
    }
}
