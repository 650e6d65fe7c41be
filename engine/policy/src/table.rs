//! The decision table: for a holder and a feature, the bindings that could grant it, in the order of trial.
//!
//! Of those, only the ones are kept that outlive all tried before them: a binding that ends no later than an
//! earlier one never gets its turn. What is left rises in expiry, so that the first that still applies is found
//! by bisection, and a holder with 100,000 bindings costs no more than one with ten.
//!
//! A binding that somebody closed by hand gives its turn back when the closing ends, so that it prunes nothing. The
//! few of them stand beside their chain, each with its place in it, and are looked at one by one.

use std::mem::size_of;
use std::slice;

use ahash::AHashMap;

use crate::binding::{BindingIndex, Bindings, OnExcess};
use crate::catalogue::FeatureIndex;
use crate::check;
use crate::error::PolicyError;
use crate::span::Span;
use crate::subject::{HolderIndex, Subject, SubjectKind};

/// Set in an entry that is a chain and not a binding.
const CHAIN: u32 = 1 << 31;
/// The entry of a feature that nothing grants.
const NOTHING: Entry = Entry(u32::MAX);
/// A list indexed by feature is used where a sorted one would save less than this factor.
const DENSE_FACTOR: usize = 4;

/// The bindings to try for a feature: one binding, or a chain of them. Equal entries try the same bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(u32);

/// What all holders may read.
#[derive(Debug, Default)]
pub(crate) struct Table {
    holders: Vec<Grants>,
    /// Where the links of each chain begin and end.
    chains: Vec<(u32, u32)>,
    links: Vec<BindingIndex>,
    /// The chains with bindings that are closed by hand, or were; in most snapshots none.
    turning: Vec<(u32, Box<[Turn]>)>,
}

/// A binding that is closed by hand, or was, is tried after this many links of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Turn {
    after: usize,
    binding: BindingIndex,
}

#[derive(Debug)]
enum Grants {
    /// The only binding of this holder; its own list of features serves as the index. Most identities are such.
    One(BindingIndex, Span),
    Many(Box<Many>),
}

// 100,000 identities have one each.
const _: () = assert!(size_of::<Grants>() == 16);

#[derive(Debug)]
struct Many {
    index: Index,
    /// The last moment at which a binding with each choice applies, of those that nobody closed.
    deny_until: i64,
    strip_until: i64,
}

#[derive(Debug)]
enum Index {
    /// Features in order, and beside each its entry.
    Sorted(Box<[FeatureIndex]>, Box<[Entry]>),
    /// The entry of every feature of the catalogue.
    Dense(Box<[Entry]>),
}

/// What one holder may read.
#[derive(Clone, Copy)]
pub(crate) enum Readable<'a> {
    /// The holder does not exist.
    Nothing,
    /// These features, all by one entry.
    One(&'a [FeatureIndex], Entry),
    /// Features in order, and beside each its entry.
    Sorted(&'a [FeatureIndex], &'a [Entry]),
    /// The entry of every feature of the catalogue.
    Dense(&'a [Entry]),
}

impl Readable<'_> {
    /// The bindings to try for a feature.
    #[inline]
    pub(crate) fn entry(self, feature: FeatureIndex) -> Option<Entry> {
        match self {
            Readable::Nothing => None,
            Readable::One(features, entry) => features.binary_search(&feature).ok().map(|_| entry),
            Readable::Sorted(features, entries) => features
                .binary_search(&feature)
                .ok()
                .map(|position| entries[position]),
            Readable::Dense(entries) => Some(entries[feature.0 as usize]).filter(|entry| *entry != NOTHING),
        }
    }
}

/// One line of the snapshot read as "this holder is named, so, by this binding".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    holder: HolderIndex,
    kind: SubjectKind,
    binding: BindingIndex,
}

impl Table {
    /// Build the table of a snapshot.
    pub(crate) fn build(bindings: &Bindings, holders: usize, features: usize) -> Result<Table, PolicyError> {
        let mut edges: Vec<Edge> = Vec::with_capacity(bindings.len());
        for binding in bindings.indices() {
            let subjects = bindings.subjects(binding).iter();
            edges.extend(subjects.map(|Subject { holder, kind }| Edge {
                holder: *holder,
                kind: *kind,
                binding,
            }));
        }
        edges.sort_unstable();
        let mut builder = Builder::default();
        builder.table.holders.reserve_exact(holders);
        for group in edges.chunk_by(|a, b| a.holder == b.holder) {
            let grants = builder.grants(bindings, group, features)?;
            builder.table.holders.push(grants);
        }
        Ok(builder.table)
    }

    /// What a holder may read.
    pub(crate) fn readable<'a>(
        &'a self,
        bindings: &'a Bindings,
        holder: Option<HolderIndex>,
    ) -> Readable<'a> {
        match holder.map(|holder| &self.holders[holder.0 as usize]) {
            None => Readable::Nothing,
            Some(Grants::One(binding, features)) => {
                Readable::One(bindings.features_in(*features), Entry(binding.0))
            }
            Some(Grants::Many(many)) => match &many.index {
                Index::Sorted(features, entries) => Readable::Sorted(features, entries),
                Index::Dense(entries) => Readable::Dense(entries),
            },
        }
    }

    /// The first binding of an entry that applies. Or else one that does not: the first that is closed by hand, or
    /// the last that did.
    pub(crate) fn first(
        &self,
        bindings: &Bindings,
        entry: Entry,
        now: i64,
    ) -> Result<BindingIndex, BindingIndex> {
        let expires = |binding: BindingIndex| bindings.terms(binding).expires;
        if entry.0 & CHAIN == 0 {
            let only = BindingIndex(entry.0);
            return if bindings.applies(only, now) {
                Ok(only)
            } else {
                Err(only)
            };
        }
        let chain = entry.0 & !CHAIN;
        let (start, end) = self.chains[chain as usize];
        let links = &self.links[start as usize..end as usize];
        let expired = links.partition_point(|binding| expires(*binding) <= now);
        let turns = self.turns(chain);
        let mut sooner = turns.iter().take_while(|turn| turn.after <= expired);
        let open = sooner.find(|turn| bindings.applies(turn.binding, now));
        match (open, links.get(expired)) {
            (Some(turn), _) => Ok(turn.binding),
            (None, Some(binding)) => Ok(*binding),
            (None, None) => Err(missed(bindings, links, turns, now)),
        }
    }

    /// Whether a binding that applies to this holder says `deny`, and whether one says `strip`.
    pub(crate) fn choices(&self, bindings: &Bindings, holder: HolderIndex, now: i64) -> (bool, bool) {
        let mut until = match &self.holders[holder.0 as usize] {
            Grants::One(binding, _) => choices(bindings, slice::from_ref(binding).iter().copied()),
            Grants::Many(many) => (many.deny_until, many.strip_until),
        };
        for binding in bindings.closed() {
            let names = || {
                let subjects = bindings.subjects(binding);
                subjects.iter().any(|subject| subject.holder == holder)
            };
            if bindings.applies(binding, now) && names() {
                note_choice(bindings, binding, &mut until);
            }
        }
        (until.0 > now, until.1 > now)
    }

    /// The turns that closed bindings would have in a chain.
    fn turns(&self, chain: u32) -> &[Turn] {
        let place = self.turning.binary_search_by_key(&chain, |(chain, _)| *chain);
        place.map_or(&[], |place| &self.turning[place].1)
    }
}

/// Builds a table, sharing chains: features that are always granted together have one.
#[derive(Default)]
struct Builder {
    table: Table,
    known: AHashMap<Trials, Entry>,
}

/// What is tried for a feature, in order: what nobody closed, and beside it the turns of what somebody did.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Trials {
    links: Vec<BindingIndex>,
    turns: Vec<Turn>,
}

impl Builder {
    /// The edges of a holder are in the order of trial.
    fn grants(
        &mut self,
        bindings: &Bindings,
        edges: &[Edge],
        features: usize,
    ) -> Result<Grants, PolicyError> {
        if let [edge] = edges {
            return Ok(Grants::One(edge.binding, bindings.span(edge.binding)));
        }
        let (deny_until, strip_until) = choices(bindings, edges.iter().map(|edge| edge.binding));
        let (listed, entries) = self.entries(bindings, edges)?;
        let index = if listed.len() * DENSE_FACTOR >= features {
            let mut dense = vec![NOTHING; features];
            for (feature, entry) in listed.iter().zip(&entries) {
                dense[feature.0 as usize] = *entry;
            }
            Index::Dense(dense.into())
        } else {
            Index::Sorted(listed.into(), entries.into())
        };
        Ok(Grants::Many(Box::new(Many {
            index,
            deny_until,
            strip_until,
        })))
    }

    /// Every feature that these edges list, with its entry.
    fn entries(
        &mut self,
        bindings: &Bindings,
        edges: &[Edge],
    ) -> Result<(Vec<FeatureIndex>, Vec<Entry>), PolicyError> {
        let mut trials: Vec<(FeatureIndex, u32)> = Vec::new();
        for (trial, edge) in edges.iter().enumerate() {
            let listed = bindings.features(edge.binding).iter();
            trials.extend(listed.map(|feature| (*feature, trial as u32)));
        }
        trials.sort_unstable();
        let groups = || trials.chunk_by(|a, b| a.0 == b.0);
        let mut features = Vec::with_capacity(groups().count());
        let mut entries = Vec::with_capacity(features.capacity());
        for group in groups() {
            features.push(group[0].0);
            let trials = group.iter().map(|(_, trial)| edges[*trial as usize].binding);
            entries.push(self.entry(bindings, trials)?);
        }
        Ok((features, entries))
    }

    fn entry(
        &mut self,
        bindings: &Bindings,
        trials: impl Iterator<Item = BindingIndex>,
    ) -> Result<Entry, PolicyError> {
        let mut latest = i64::MIN;
        let mut kept = Trials::default();
        for binding in trials {
            let expires = bindings.terms(binding).expires;
            if expires <= latest {
                continue;
            }
            if bindings.closing(binding).is_some() {
                let after = kept.links.len();
                kept.turns.push(Turn { after, binding });
            } else {
                latest = expires;
                kept.links.push(binding);
            }
        }
        match (&kept.links[..], &kept.turns[..]) {
            ([only], []) => Ok(Entry(only.0)),
            ([], [only]) => Ok(Entry(only.binding.0)),
            _ => self.chain(kept),
        }
    }

    fn chain(&mut self, trials: Trials) -> Result<Entry, PolicyError> {
        if let Some(entry) = self.known.get(&trials) {
            return Ok(*entry);
        }
        let chain = check::index(self.table.chains.len(), "grants")?;
        let start = check::index(self.table.links.len(), "grants")?;
        self.table.links.extend(&trials.links);
        let end = check::index(self.table.links.len(), "grants")?;
        self.table.chains.push((start, end));
        if !trials.turns.is_empty() {
            let turns = trials.turns.as_slice().into();
            self.table.turning.push((chain, turns));
        }
        let entry = Entry(CHAIN | chain);
        self.known.insert(trials, entry);
        Ok(entry)
    }
}

/// Of bindings of which none applies: the first that is closed, or else the first of those that end last.
fn missed(bindings: &Bindings, links: &[BindingIndex], turns: &[Turn], now: i64) -> BindingIndex {
    let closed = turns
        .iter()
        .find(|turn| bindings.terms(turn.binding).expires > now);
    if let Some(turn) = closed {
        return turn.binding;
    }
    let (before, after) = turns.split_at(turns.partition_point(|turn| turn.after < links.len()));
    let turn = |turn: &Turn| turn.binding;
    let all = before.iter().map(turn).chain(links.last().copied());
    // Links rise in expiry, so that the last stands for all.
    all.chain(after.iter().map(turn))
        .reduce(|first, next| {
            let later = bindings.terms(next).expires > bindings.terms(first).expires;
            if later { next } else { first }
        })
        .expect("a chain holds something")
}

fn choices(bindings: &Bindings, indices: impl Iterator<Item = BindingIndex>) -> (i64, i64) {
    let mut until = (i64::MIN, i64::MIN);
    for index in indices.filter(|index| bindings.closing(*index).is_none()) {
        note_choice(bindings, index, &mut until);
    }
    until
}

fn note_choice(bindings: &Bindings, index: BindingIndex, until: &mut (i64, i64)) {
    let terms = bindings.terms(index);
    let until = match terms.on_excess {
        OnExcess::Deny => &mut until.0,
        OnExcess::Strip => &mut until.1,
    };
    *until = terms.expires.max(*until);
}
