//! Checks that every part of a snapshot shares: where something is, in words; lists in their order; counts that
//! fit an index.

use std::fmt::Display;

use crate::error::PolicyError;
use crate::spiffe::{SpiffeId, SpiffeIdError, check_segment};

/// The set, binding or remote that is being read.
pub(crate) struct Place {
    what: &'static str,
    name: String,
}

impl Place {
    /// A namespaced object. Its two names are joined by a slash from here on, so neither may hold one.
    pub(crate) fn of(what: &'static str, namespace: &str, name: &str) -> Result<Place, PolicyError> {
        let place = Place {
            what,
            name: format!("{namespace}/{name}"),
        };
        for part in [namespace, name] {
            if part.is_empty() || part.contains('/') {
                return Err(place.invalid("name", part, "a name without slashes"));
            }
        }
        Ok(place)
    }

    /// `namespace/name`
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.what, self.name)
    }

    pub(crate) fn invalid(
        &self,
        field: &'static str,
        value: impl Display,
        expected: &'static str,
    ) -> PolicyError {
        PolicyError::Invalid {
            at: self.describe(),
            field,
            value: value.to_string(),
            expected,
        }
    }

    pub(crate) fn unspecified(&self, field: &'static str) -> PolicyError {
        PolicyError::Unspecified {
            at: self.describe(),
            field,
        }
    }

    pub(crate) fn unknown(&self, what: &'static str, name: &str) -> PolicyError {
        PolicyError::Unknown {
            at: self.describe(),
            what,
            name: name.to_owned(),
        }
    }

    pub(crate) fn spiffe_id(&self, value: &str) -> Result<SpiffeId, PolicyError> {
        SpiffeId::parse(value).map_err(|source| spiffe_error(self.describe(), value, source))
    }
}

pub(crate) fn spiffe_error(at: String, value: &str, source: SpiffeIdError) -> PolicyError {
    PolicyError::SpiffeId {
        at,
        value: value.to_owned(),
        source,
    }
}

/// The name in SPIFFE paths (`payments`) of a business unit of this environment (`prod.payments`).
pub(crate) fn business_unit<'a>(
    at: &Place,
    environment: &str,
    unit: &'a str,
) -> Result<&'a str, PolicyError> {
    unit.strip_prefix(environment)
        .and_then(|rest| rest.strip_prefix('.'))
        .filter(|short| check_segment(short).is_ok())
        .ok_or_else(|| at.invalid("business unit", unit, "one of this environment, prod.payments"))
}

/// Check that a list rises by its key, which also proves that nothing is in it twice. Empty keys are refused: an
/// empty name is a field that was not filled.
pub(crate) fn sorted<'a, T, F>(
    at: &Place,
    list: &'static str,
    entries: &'a [T],
    key: F,
) -> Result<(), PolicyError>
where
    F: Fn(&'a T) -> &'a str,
{
    let mut last = "";
    for entry in entries {
        let name = key(entry);
        if name <= last {
            let name = name.to_owned();
            return Err(PolicyError::Unsorted {
                at: at.describe(),
                list,
                name,
            });
        }
        last = name;
    }
    Ok(())
}

/// Check that one namespaced object comes after another.
pub(crate) fn ascending(
    at: &str,
    list: &'static str,
    before: (&str, &str),
    after: (&str, &str),
) -> Result<(), PolicyError> {
    if before < after {
        return Ok(());
    }
    let name = format!("{}/{}", after.0, after.1);
    Err(PolicyError::Unsorted {
        at: at.to_owned(),
        list,
        name,
    })
}

/// The index of the next entry.
pub(crate) fn index(length: usize, what: &'static str) -> Result<u32, PolicyError> {
    // Half of the numbers: the decision table keeps the highest bit for itself.
    u32::try_from(length)
        .ok()
        .filter(|index| *index < u32::MAX / 2)
        .ok_or(PolicyError::TooMany(what))
}
