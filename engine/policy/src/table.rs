//! The decision table: for a holder and a feature, the bindings that could grant it, in the order of trial.
//!
//! Of those, only the ones are kept that outlive all tried before them: a binding that ends no later than an
//! earlier one never gets its turn. What is left rises in expiry, so that the first that still applies is found
//! by bisection, and a holder with 100,000 bindings costs no more than one with ten.

use std::slice;

use crate::binding::{BindingIndex, Bindings, OnExcess};
use crate::catalogue::FeatureIndex;
use crate::check;
use crate::error::PolicyError;
use crate::subject::{HolderIndex, SubjectKind};

/// Set in an entry that is a position in `chains` and not a binding.
const CHAIN: u32 = 1 << 31;
/// The entry of a feature that nothing grants.
const NOTHING: BindingIndex = BindingIndex(u32::MAX);
/// A list indexed by feature is used where a sorted one would save less than this factor.
const DENSE_FACTOR: usize = 4;

/// What all holders may read.
#[derive(Debug, Default)]
pub(crate) struct Table {
    holders: Vec<Grants>,
    chains: Vec<(u32, u32)>,
    links: Vec<BindingIndex>,
}

#[derive(Debug)]
enum Grants {
    /// The only binding of this holder; its own list of features serves as the index. Most identities are such.
    One(BindingIndex),
    Many(Box<Many>),
}

#[derive(Debug)]
struct Many {
    index: Index,
    /// The last moment at which a binding with each choice applies.
    deny_until: i64,
    strip_until: i64,
}

#[derive(Debug)]
enum Index {
    /// Features in order, and beside each its entry.
    Sorted(Box<[FeatureIndex]>, Box<[BindingIndex]>),
    /// The entry of every feature of the catalogue.
    Dense(Box<[BindingIndex]>),
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
    pub(crate) fn build(
        bindings: &Bindings,
        holders: usize,
        features: usize,
    ) -> Result<Table, PolicyError> {
        let mut edges: Vec<Edge> = Vec::with_capacity(bindings.len());
        for binding in bindings.indices() {
            edges.extend(bindings.subjects(binding).iter().map(|subject| Edge {
                holder: subject.holder,
                kind: subject.kind,
                binding,
            }));
        }
        edges.sort_unstable();
        let mut table = Table {
            holders: Vec::with_capacity(holders),
            ..Table::default()
        };
        for group in edges.chunk_by(|a, b| a.holder == b.holder) {
            let grants = table.grants(bindings, group, features)?;
            table.holders.push(grants);
        }
        table.chains.shrink_to_fit();
        table.links.shrink_to_fit();
        Ok(table)
    }

    /// The bindings to try for a feature, in order; each ends later than the one before it.
    #[inline]
    pub(crate) fn candidates<'a>(
        &'a self,
        bindings: &Bindings,
        holder: HolderIndex,
        feature: FeatureIndex,
    ) -> &'a [BindingIndex] {
        let entry = match &self.holders[holder.0 as usize] {
            Grants::One(binding) => {
                return match bindings.features(*binding).binary_search(&feature) {
                    Ok(_) => slice::from_ref(binding),
                    Err(_) => &[],
                };
            }
            Grants::Many(many) => many.index.entry(feature),
        };
        match entry {
            None => &[],
            Some(entry) if entry.0 & CHAIN == 0 => slice::from_ref(entry),
            Some(entry) => {
                let (start, end) = self.chains[(entry.0 & !CHAIN) as usize];
                &self.links[start as usize..end as usize]
            }
        }
    }

    /// Until when a binding of this holder says `deny`, and until when one says `strip`.
    pub(crate) fn choices(&self, bindings: &Bindings, holder: HolderIndex) -> (i64, i64) {
        match &self.holders[holder.0 as usize] {
            Grants::One(binding) => choices(bindings, slice::from_ref(binding).iter().copied()),
            Grants::Many(many) => (many.deny_until, many.strip_until),
        }
    }

    /// The edges of a holder are in the order of trial.
    fn grants(
        &mut self,
        bindings: &Bindings,
        edges: &[Edge],
        features: usize,
    ) -> Result<Grants, PolicyError> {
        if let [edge] = edges {
            return Ok(Grants::One(edge.binding));
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
    ) -> Result<(Vec<FeatureIndex>, Vec<BindingIndex>), PolicyError> {
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
            let trials = group
                .iter()
                .map(|(_, trial)| edges[*trial as usize].binding);
            entries.push(self.entry(bindings, trials)?);
        }
        Ok((features, entries))
    }

    fn entry(
        &mut self,
        bindings: &Bindings,
        trials: impl Iterator<Item = BindingIndex>,
    ) -> Result<BindingIndex, PolicyError> {
        let start = self.links.len();
        let mut latest = i64::MIN;
        for binding in trials {
            let expires = bindings.record(binding).expires;
            if expires > latest {
                latest = expires;
                self.links.push(binding);
            }
        }
        if let [only] = self.links[start..] {
            self.links.truncate(start);
            return Ok(only);
        }
        let chain = BindingIndex(CHAIN | check::index(self.chains.len(), "grants")?);
        let end = check::index(self.links.len(), "grants")?;
        self.chains.push((check::index(start, "grants")?, end));
        Ok(chain)
    }
}

impl Index {
    #[inline]
    fn entry(&self, feature: FeatureIndex) -> Option<&BindingIndex> {
        match self {
            Index::Sorted(features, entries) => features
                .binary_search(&feature)
                .ok()
                .map(|position| &entries[position]),
            Index::Dense(entries) => {
                let entry = &entries[feature.0 as usize];
                (*entry != NOTHING).then_some(entry)
            }
        }
    }
}

fn choices(bindings: &Bindings, indices: impl Iterator<Item = BindingIndex>) -> (i64, i64) {
    let (mut deny_until, mut strip_until) = (i64::MIN, i64::MIN);
    for index in indices {
        let record = bindings.record(index);
        let until = match record.on_excess {
            OnExcess::Deny => &mut deny_until,
            OnExcess::Strip => &mut strip_until,
        };
        *until = record.expires.max(*until);
    }
    (deny_until, strip_until)
}
