//! The decision. It is data: what was decided, why, by which binding, and what it costs, so that the answer, the
//! record, the metrics and `explain` cannot disagree.
//!
//! Each feature is granted by the first binding that lists it and applies: those that name the SPIFFE ID, then
//! those that name the service account or workload, then those that name the business unit, and among these the
//! first by namespace and name. Grants add up. What no binding grants is denied.
//!
//! Closing a set by hand refuses what would have been answered from it, in every mode. What would have been refused
//! keeps its reason, so that closing tells nobody what there is. A binding that is closed by hand does not apply.
//!
//! A name that the catalogue does not know gives the same decision as a feature that exists and is not granted,
//! but for `feature_sets` and `mode`, which are for the record and not for the peer.

use crate::binding::{BindingIndex, OnExcess};
use crate::catalogue::{FeatureIndex, Mode, SetIndex};
use crate::overriding::Override;
use crate::policy::Policy;
use crate::spiffe::SpiffeId;
use crate::subject::HolderIndex;
use crate::table::{Entry, Readable};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks; `None` for a caller without identity.
    pub identity: Option<&'a SpiffeId>,
    /// What for.
    pub features: Features<'a>,
    /// For how many entity rows.
    pub rows: u64,
    /// Unix seconds.
    pub now: i64,
}

/// How a request names features.
#[derive(Clone, Copy, Debug)]
pub enum Features<'a> {
    /// One by one. The adapter refuses a name given twice; here it would be charged twice.
    Named(&'a [&'a str]),
    /// By a service, which the catalogue expands.
    Service(&'a str),
}

/// What becomes of a request. A policy allows or denies; the two others are the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is answered, perhaps without some features.
    Allow,
    /// It is refused, and waiting does not help.
    Deny,
    /// It is refused for now: a binding's cost limit is used up.
    Limited,
    /// It could not be judged.
    Undecided,
}

impl Outcome {
    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Allow => "allow",
            Outcome::Deny => "deny",
            Outcome::Limited => "limited",
            Outcome::Undecided => "undecided",
        }
    }
}

/// Why. The names are those of the refusal table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecisionReason {
    /// Every binding used is within its limits.
    Granted,
    /// At least one feature has no binding, and never had one that merely expired.
    NotGranted,
    /// Every missing feature has a binding for this identity that has expired.
    BindingExpired,
    /// Somebody closed by hand a set that was asked for, or what grants a missing feature.
    Closed,
    /// The caller has no identity.
    IdentityRequired,
    /// More rows than one of the bindings used allows a request.
    RowsOverLimit,
    /// More cost than a binding used can ever hold.
    CostOverBurst,
    /// Every binding of this identity says strip, and none of what it asked for is granted.
    NothingLeft,
}

impl DecisionReason {
    /// The name in records, metrics and problem types.
    pub fn as_str(self) -> &'static str {
        match self {
            DecisionReason::Granted => "granted",
            DecisionReason::NotGranted => "not-granted",
            DecisionReason::BindingExpired => "binding-expired",
            DecisionReason::Closed => "closed",
            DecisionReason::IdentityRequired => "identity-required",
            DecisionReason::RowsOverLimit => "rows-over-limit",
            DecisionReason::CostOverBurst => "cost-over-burst",
            DecisionReason::NothingLeft => "nothing-left",
        }
    }
}

/// One granted feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its place in the request, or in the service.
    pub position: u32,
    /// The feature.
    pub feature: FeatureIndex,
    /// The binding that grants it.
    pub binding: BindingIndex,
}

/// What a request takes from one binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The binding.
    pub binding: BindingIndex,
    /// Rows times the cost of the features that it granted. At the end of the range it stays there.
    pub cost: u64,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether enforcing it would answer or refuse.
    pub outcome: Outcome,
    /// Why.
    pub reason: DecisionReason,
    /// The binding that decided: of an allowed request the one that grants its first feature, of a refused one
    /// the one that has expired or is closed, or whose limit is passed. `None` where no binding said anything.
    pub rule: Option<BindingIndex>,
    /// What is granted, in the order of the request; also where the request as a whole is denied.
    pub granted: Vec<Grant>,
    /// Places in the request of what is not granted and refuses it. For a request by service they name features
    /// that the caller has not named, so they are for the record, and not for the peer.
    pub missing: Vec<u32>,
    /// Places in the request of what is not granted and is left out of the answer.
    pub stripped: Vec<u32>,
    /// What the bindings used are charged, in the order of the snapshot; empty unless the features pass.
    pub charges: Vec<Charge>,
    /// The sets of all features asked that are known, in the order of the snapshot.
    pub feature_sets: Vec<SetIndex>,
    /// The strictest mode of these sets, as overrides have it. What is not known could be anything, so it counts as
    /// a part of every set.
    pub mode: Mode,
    /// Whether a caller without identity passes all the same: every set asked is in observe or shadow and still
    /// admits such callers, and none is closed. False for callers with identity.
    pub unidentified_allowed: bool,
    /// When the first of the bindings used expires.
    pub expires: Option<i64>,
}

impl Policy {
    /// Decide a request. It depends on nothing but the policy and the request.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        match request.features {
            Features::Named(names) => {
                let find = |name: &&str| self.catalogue.feature(name);
                self.judge(request, names.iter().map(find))
            }
            Features::Service(name) => {
                let features = self.catalogue.service(name).unwrap_or_default();
                self.judge(request, features.iter().copied().map(Some))
            }
        }
    }

    /// The name at a place of a request, as in [`Decision::missing`].
    pub fn name_at<'a>(&'a self, request: &Request<'a>, position: u32) -> Option<&'a str> {
        let position = position as usize;
        match request.features {
            Features::Named(names) => names.get(position).copied(),
            Features::Service(name) => {
                let feature = self.catalogue.service(name)?.get(position)?;
                Some(&self.catalogue.feature_record(*feature).name)
            }
        }
    }

    /// The overrides in force that had a say in a decision: those of the sets asked, or of all where none of them is
    /// known, and the one that closes the binding that would have granted.
    pub fn overrides<'a>(&'a self, decision: &'a Decision, now: i64) -> impl Iterator<Item = &'a Override> {
        let all = match decision.feature_sets.is_empty() {
            true => self.catalogue.sets.as_slice(),
            false => &[],
        };
        let asked = decision.feature_sets.iter();
        let sets = asked.map(|set| self.catalogue.set_record(*set)).chain(all);
        let closed = Some(decision).filter(|decision| decision.reason == DecisionReason::Closed);
        let closing = closed.and_then(|decision| self.bindings.closing(decision.rule?));
        sets.filter_map(move |set| set.override_at(now)).chain(closing)
    }

    fn judge(
        &self,
        request: &Request<'_>,
        features: impl ExactSizeIterator<Item = Option<FeatureIndex>>,
    ) -> Decision {
        let holders = request.identity.map(|identity| self.subjects.holders(identity));
        let mut search = Search::new(self, holders.unwrap_or_default(), request.now);
        let mut decision = Decision::denied(features.len());
        let mut lapses = Lapses {
            whole: true,
            first: None,
            closed: None,
        };
        let mut elsewhere = features.len() == 0;
        for (position, feature) in (0..).zip(features) {
            let Some(feature) = feature else {
                elsewhere = true;
                lapses.whole = false;
                decision.missing.push(position);
                continue;
            };
            decision.note_set(self.catalogue.feature_record(feature).set);
            match search.find(feature) {
                Found::Granted(binding) => {
                    decision.granted.push(Grant {
                        position,
                        feature,
                        binding,
                    });
                    continue;
                }
                Found::Lapsed(binding) => {
                    let closed =
                        Some(binding).filter(|binding| self.bindings.is_unexpired(*binding, request.now));
                    lapses.first = lapses.first.or(Some(binding));
                    lapses.closed = lapses.closed.or(closed);
                }
                Found::Nothing => lapses.whole = false,
            }
            decision.missing.push(position);
        }
        let closed = self.place(&mut decision, elsewhere, request);
        match holders {
            None => decision.reason = DecisionReason::IdentityRequired,
            Some(holders) => self.conclude(&mut decision, request, holders, lapses),
        }
        if closed {
            decision.close(request.identity.is_some());
        }
        decision
    }

    /// The sets asked, and what they say of the request as a whole while they are open. Whether one is closed.
    fn place(&self, decision: &mut Decision, elsewhere: bool, request: &Request<'_>) -> bool {
        decision.feature_sets.sort_unstable();
        decision.feature_sets.dedup();
        let all = if elsewhere {
            self.catalogue.sets.as_slice()
        } else {
            &[]
        };
        let asked = decision
            .feature_sets
            .iter()
            .map(|set| self.catalogue.set_record(*set));
        let mut sets = asked.chain(all).peekable();
        let served = sets.peek().is_some();
        let (mut mode, mut admits, mut closed) = (Mode::Observe, true, false);
        for set in sets {
            mode = mode.max(set.mode_while_open(request.now));
            admits &= set.admits_unidentified(request.now);
            closed |= set.is_closed(request.now);
        }
        decision.mode = if served { mode } else { Mode::Enforce };
        decision.unidentified_allowed = request.identity.is_none() && served && admits;
        closed
    }

    /// Decide for a caller with identity, once what is granted and what is missing is known.
    fn conclude(
        &self,
        decision: &mut Decision,
        request: &Request<'_>,
        holders: [Option<HolderIndex>; 2],
        lapses: Lapses,
    ) {
        if decision.granted.is_empty() || !decision.missing.is_empty() {
            if !self.strips(&decision.granted) {
                (decision.reason, decision.rule) = self.refusal(decision, request, holders, lapses);
                return;
            }
            decision.stripped = std::mem::take(&mut decision.missing);
        }
        self.charge(decision, request.rows);
        self.limit(decision, request.rows);
    }

    /// Whether every binding used says strip; none used is nothing left, which is a denial.
    fn strips(&self, granted: &[Grant]) -> bool {
        let strip = |grant: &Grant| self.bindings.terms(grant.binding).on_excess == OnExcess::Strip;
        !granted.is_empty() && granted.iter().all(strip)
    }

    /// Why a request with missing features is denied.
    fn refusal(
        &self,
        decision: &Decision,
        request: &Request<'_>,
        holders: [Option<HolderIndex>; 2],
        lapses: Lapses,
    ) -> (DecisionReason, Option<BindingIndex>) {
        match lapses {
            Lapses { whole: false, .. } | Lapses { first: None, .. } => {}
            Lapses {
                closed: None, first, ..
            } => return (DecisionReason::BindingExpired, first),
            Lapses { closed, .. } => return (DecisionReason::Closed, closed),
        }
        if decision.granted.is_empty() && self.only_strips(holders, request.now) {
            return (DecisionReason::NothingLeft, None);
        }
        (DecisionReason::NotGranted, None)
    }

    /// Whether bindings apply to these holders, and all of them say strip. It looks at no feature, so the reason
    /// does not tell a feature that exists from one that does not.
    fn only_strips(&self, holders: [Option<HolderIndex>; 2], now: i64) -> bool {
        let choices = holders
            .into_iter()
            .flatten()
            .map(|h| self.table.choices(&self.bindings, h, now));
        let (deny, strip) = choices.reduce(|a, b| (a.0 | b.0, a.1 | b.1)).unwrap_or_default();
        strip && !deny
    }

    fn charge(&self, decision: &mut Decision, rows: u64) {
        let charges = &mut decision.charges;
        for grant in &decision.granted {
            let cost = u64::from(self.catalogue.feature_record(grant.feature).cost);
            match charges.last_mut() {
                Some(last) if last.binding == grant.binding => last.cost += cost,
                _ => charges.push(Charge {
                    binding: grant.binding,
                    cost,
                }),
            }
        }
        charges.sort_unstable_by_key(|charge| charge.binding);
        charges.dedup_by(|next, kept| {
            let same = next.binding == kept.binding;
            kept.cost += if same { next.cost } else { 0 };
            same
        });
        for charge in charges {
            charge.cost = charge.cost.saturating_mul(rows);
        }
    }

    /// Compare with the limits of the bindings used; the first in the order of the snapshot that is passed decides.
    fn limit(&self, decision: &mut Decision, rows: u64) {
        let terms = |charge: &&Charge| self.bindings.terms(charge.binding);
        let charges = decision.charges.iter();
        decision.expires = charges.clone().map(|charge| terms(&charge).expires).min();
        let narrowest = charges
            .clone()
            .min_by_key(|charge| terms(charge).rows_per_request);
        let over_rows = narrowest.filter(|charge| rows > terms(charge).rows_per_request);
        let over_burst = charges.clone().find(|charge| charge.cost > terms(charge).burst);
        (decision.outcome, decision.reason, decision.rule) = match (over_rows, over_burst) {
            (Some(over), _) => (Outcome::Deny, DecisionReason::RowsOverLimit, Some(over.binding)),
            (_, Some(over)) => (Outcome::Deny, DecisionReason::CostOverBurst, Some(over.binding)),
            (None, None) => {
                let first = decision.granted.first().map(|grant| grant.binding);
                (Outcome::Allow, DecisionReason::Granted, first)
            }
        };
    }
}

/// Looks features up for one caller. Features mostly come from the same few bindings, so that what the last one
/// found is kept for each holder.
struct Search<'a> {
    policy: &'a Policy,
    now: i64,
    holders: [(Readable<'a>, Option<Tried>); 2],
}

/// What trying an entry gave: the binding that applies, or else one that does not.
#[derive(Clone, Copy)]
struct Tried {
    entry: Entry,
    result: Result<BindingIndex, BindingIndex>,
}

/// What the bindings of a caller say of one feature.
enum Found {
    Granted(BindingIndex),
    /// Only bindings that do not apply list it: this one is closed by hand, or else all expired and this one last.
    Lapsed(BindingIndex),
    Nothing,
}

impl<'a> Search<'a> {
    fn new(policy: &'a Policy, holders: [Option<HolderIndex>; 2], now: i64) -> Search<'a> {
        let holders = holders.map(|h| (policy.table.readable(&policy.bindings, h), None));
        Search { policy, now, holders }
    }

    /// The first binding that lists the feature and applies.
    #[inline]
    fn find(&mut self, feature: FeatureIndex) -> Found {
        let Search { policy, now, holders } = self;
        let (table, bindings) = (&policy.table, &policy.bindings);
        let mut lapsed: Option<BindingIndex> = None;
        for (readable, tried) in holders {
            let Some(entry) = readable.entry(feature) else {
                continue;
            };
            let result = match tried {
                Some(tried) if tried.entry == entry => tried.result,
                _ => table.first(bindings, entry, *now),
            };
            *tried = Some(Tried { entry, result });
            let expires = |binding| bindings.terms(binding).expires;
            match result {
                Ok(binding) => return Found::Granted(binding),
                Err(last) => {
                    let better =
                        |before| !bindings.is_unexpired(before, *now) && expires(last) > expires(before);
                    lapsed = Some(lapsed.filter(|before| !better(*before)).unwrap_or(last));
                }
            }
        }
        lapsed.map_or(Found::Nothing, Found::Lapsed)
    }
}

/// What expiry and closing alone took away.
struct Lapses {
    /// Nothing is missing for another cause.
    whole: bool,
    /// The binding of the first feature that they took away.
    first: Option<BindingIndex>,
    /// The binding of the first feature that closing took away.
    closed: Option<BindingIndex>,
}

impl Decision {
    /// Where every decision starts.
    fn denied(features: usize) -> Decision {
        Decision {
            outcome: Outcome::Deny,
            reason: DecisionReason::NotGranted,
            rule: None,
            granted: Vec::with_capacity(features),
            missing: Vec::new(),
            stripped: Vec::new(),
            charges: Vec::new(),
            feature_sets: Vec::new(),
            mode: Mode::Enforce,
            unidentified_allowed: false,
            expires: None,
        }
    }

    /// Refuse what a set that is closed would have answered. It enforces in any case: nothing passes it unread.
    fn close(&mut self, identified: bool) {
        let passes = self.mode != Mode::Enforce && (identified || self.unidentified_allowed);
        if self.outcome == Outcome::Allow || passes {
            self.outcome = Outcome::Deny;
            self.reason = DecisionReason::Closed;
            self.rule = None;
            self.charges.clear();
            self.expires = None;
        }
        self.mode = Mode::Enforce;
        self.unidentified_allowed = false;
    }

    /// Features of one set mostly stand together, so that only changes are noted.
    fn note_set(&mut self, set: SetIndex) {
        if self.feature_sets.last() != Some(&set) {
            self.feature_sets.push(set);
        }
    }

    /// What the request costs in all.
    pub fn cost(&self) -> u64 {
        self.charges
            .iter()
            .fold(0, |sum, charge| sum.saturating_add(charge.cost))
    }
}
