//! Who is named by bindings. A SPIFFE ID written by an owner and one compiled from a service account differ in
//! rank only, so both are one *holder*; a business unit is another. The decision looks at two holders at most.

use std::sync::Arc;

use ahash::AHashMap;

use crate::check::{self, Place};
use crate::error::PolicyError;
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
    identities: AHashMap<Arc<str>, HolderIndex>,
    /// By the name in SPIFFE paths, `payments`.
    units: AHashMap<Box<str>, HolderIndex>,
    /// As the snapshot writes them.
    values: Vec<Arc<str>>,
}

impl Subjects {
    pub(crate) fn new(environment: &str, trust_domain: TrustDomain) -> Subjects {
        Subjects {
            trust_domain,
            environment: environment.into(),
            identities: AHashMap::new(),
            units: AHashMap::new(),
            values: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The identity's own holder, then its business unit's. An identity of another trust domain belongs to no
    /// business unit of ours, whatever its path says.
    pub(crate) fn holders(&self, identity: &SpiffeId) -> [Option<HolderIndex>; 2] {
        let ours = identity.trust_domain() == self.trust_domain.as_str();
        let unit = identity.business_unit().filter(|_| ours);
        [
            self.identities.get(identity.as_str()).copied(),
            unit.and_then(|unit| self.units.get(unit).copied()),
        ]
    }

    /// The name of a holder, as the snapshot writes it.
    pub(crate) fn value(&self, holder: HolderIndex) -> &str {
        &self.values[holder.0 as usize]
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
        if let Some(holder) = self.identities.get(value) {
            return Ok(*holder);
        }
        let value: Arc<str> = value.into();
        let holder = self.push(value.clone())?;
        self.identities.insert(value, holder);
        Ok(holder)
    }

    fn unit(&mut self, at: &Place, value: &str) -> Result<HolderIndex, PolicyError> {
        let unit = check::business_unit(at, &self.environment, value)?;
        if let Some(holder) = self.units.get(unit) {
            return Ok(*holder);
        }
        let holder = self.push(value.into())?;
        self.units.insert(unit.into(), holder);
        Ok(holder)
    }

    fn push(&mut self, value: Arc<str>) -> Result<HolderIndex, PolicyError> {
        let holder = HolderIndex(check::index(self.values.len(), "subjects")?);
        self.values.push(value);
        Ok(holder)
    }
}
