//! Who is named by bindings. A SPIFFE ID written by an owner and one compiled from a service account differ in
//! rank only, so both are one *holder*; a business unit is another. The decision looks at two holders at most.

use ahash::{AHashMap, RandomState};
use hashbrown::HashTable;

use crate::check::{self, Place};
use crate::error::PolicyError;
use crate::span::{Span, append_text};
use crate::spiffe::{SpiffeId, TrustDomain};
use crate::v1;

/// How a binding names someone, in the order in which bindings are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// By a SPIFFE ID.
    SpiffeId,
    /// By a service account or workload.
    Workload,
    /// By a business unit.
    BusinessUnit,
}

impl SubjectKind {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::SpiffeId => "spiffe-id",
            SubjectKind::Workload => "workload",
            SubjectKind::BusinessUnit => "business-unit",
        }
    }
}

/// An identity or business unit that at least one binding names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HolderIndex(pub(crate) u32);

/// One subject of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) kind: SubjectKind,
    pub(crate) holder: HolderIndex,
}

/// All subjects of a snapshot.
#[derive(Debug)]
pub(crate) struct Subjects {
    trust_domain: TrustDomain,
    environment: Box<str>,
    /// Holds indices alone, and finds the names in `text`: at 100,000 identities a map with keys of its own would
    /// be three times as large and miss the cache twice as often.
    identities: HashTable<HolderIndex>,
    hasher: RandomState,
    /// By the name in SPIFFE paths, `payments`.
    units: AHashMap<Box<str>, HolderIndex>,
    /// Where each holder's name is, as the snapshot writes it.
    names: Vec<Span>,
    text: String,
}

impl Subjects {
    pub(crate) fn new(environment: &str, trust_domain: TrustDomain) -> Subjects {
        Subjects {
            trust_domain,
            environment: environment.into(),
            identities: HashTable::new(),
            hasher: RandomState::new(),
            units: AHashMap::new(),
            names: Vec::new(),
            text: String::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The identity's own holder, then its business unit's. An identity of another trust domain belongs to no
    /// business unit of ours, whatever its path says.
    pub(crate) fn holders(&self, identity: &SpiffeId) -> [Option<HolderIndex>; 2] {
        let ours = identity.trust_domain() == self.trust_domain.as_str();
        let unit = identity.business_unit().filter(|_| ours);
        [
            self.find(identity.as_str()),
            unit.and_then(|unit| self.units.get(unit).copied()),
        ]
    }

    /// The name of a holder, as the snapshot writes it.
    pub(crate) fn value(&self, holder: HolderIndex) -> &str {
        &self.text[self.names[holder.0 as usize].range()]
    }

    fn find(&self, identity: &str) -> Option<HolderIndex> {
        let hash = self.hasher.hash_one(identity);
        self.identities
            .find(hash, |holder| self.value(*holder) == identity)
            .copied()
    }

    /// Read the subjects of one binding, which are sorted by kind, then value.
    pub(crate) fn read(&mut self, at: &Place, subjects: &[v1::Subject]) -> Result<Vec<Subject>, PolicyError> {
        for group in subjects.chunk_by(|a, b| a.kind == b.kind) {
            check::sorted(at, "subjects", group, |subject| subject.value.as_str())?;
        }
        if let Some(pair) = subjects.windows(2).find(|pair| pair[0].kind > pair[1].kind) {
            let (at, list, name) = (at.describe(), "subjects", pair[1].value.clone());
            return Err(PolicyError::Unsorted { at, list, name });
        }
        subjects
            .iter()
            .map(|subject| self.read_one(at, subject))
            .collect()
    }

    fn read_one(&mut self, at: &Place, subject: &v1::Subject) -> Result<Subject, PolicyError> {
        let value = subject.value.as_str();
        match subject.kind() {
            v1::SubjectKind::SpiffeId => {
                at.spiffe_id(value)?;
                Ok(Subject {
                    kind: SubjectKind::SpiffeId,
                    holder: self.identity(value)?,
                })
            }
            v1::SubjectKind::Workload => {
                if at.spiffe_id(value)?.trust_domain() != self.trust_domain.as_str() {
                    return Err(at.invalid("workload", value, "one of this trust domain"));
                }
                Ok(Subject {
                    kind: SubjectKind::Workload,
                    holder: self.identity(value)?,
                })
            }
            v1::SubjectKind::BusinessUnit => Ok(Subject {
                kind: SubjectKind::BusinessUnit,
                holder: self.unit(at, value)?,
            }),
            v1::SubjectKind::Unspecified => Err(at.unspecified("subject kind")),
        }
    }

    fn identity(&mut self, value: &str) -> Result<HolderIndex, PolicyError> {
        if let Some(holder) = self.find(value) {
            return Ok(holder);
        }
        let holder = self.push(value)?;
        let (names, text, hasher) = (&self.names, &self.text, &self.hasher);
        let rehash = |holder: &HolderIndex| hasher.hash_one(&text[names[holder.0 as usize].range()]);
        self.identities
            .insert_unique(hasher.hash_one(value), holder, rehash);
        Ok(holder)
    }

    fn unit(&mut self, at: &Place, value: &str) -> Result<HolderIndex, PolicyError> {
        let unit = check::business_unit(at, &self.environment, value)?;
        if let Some(holder) = self.units.get(unit) {
            return Ok(*holder);
        }
        let holder = self.push(value)?;
        self.units.insert(unit.into(), holder);
        Ok(holder)
    }

    fn push(&mut self, value: &str) -> Result<HolderIndex, PolicyError> {
        let holder = HolderIndex(check::index(self.names.len(), "subjects")?);
        self.names.push(append_text(&mut self.text, value)?);
        Ok(holder)
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.names.shrink_to_fit();
        self.text.shrink_to_fit();
    }
}
