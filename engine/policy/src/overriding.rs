//! Decisions by hand that end by themselves: a set that is relaxed, a set or a binding that is closed. They are
//! judged at every request, so that they begin and end under open connections, and end without anybody's help.

use crate::check::Place;
use crate::error::PolicyError;
use crate::v1;

/// What somebody decided by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverrideAction {
    /// The set is at most in shadow.
    Relax,
    /// Nothing passes: not by this binding, or from this set at all.
    Close,
}

impl OverrideAction {
    /// The name in manifests and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            OverrideAction::Relax => "relax",
            OverrideAction::Close => "close",
        }
    }
}

/// An override of a set or a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// What it does.
    pub action: OverrideAction,
    /// Unix seconds; from then on it says nothing.
    pub until: i64,
    /// The name of its object.
    pub name: Box<str>,
}

impl Override {
    /// Whether it has not ended.
    pub fn is_in_force(&self, now: i64) -> bool {
        now < self.until
    }

    pub(crate) fn of_set(
        at: &Place,
        written: Option<&v1::Override>,
    ) -> Result<Option<Override>, PolicyError> {
        written.map(|written| read(at, written)).transpose()
    }

    /// A binding grants or does not; there is nothing to relax about it.
    pub(crate) fn of_binding(
        at: &Place,
        written: Option<&v1::Override>,
    ) -> Result<Option<Override>, PolicyError> {
        match written.map(|written| read(at, written)).transpose()? {
            Some(Override {
                action: OverrideAction::Relax,
                ..
            }) => Err(at.invalid("override", "relax", "close, the only one for a binding")),
            read => Ok(read),
        }
    }
}

fn read(at: &Place, written: &v1::Override) -> Result<Override, PolicyError> {
    let action = match written.action() {
        v1::OverrideAction::Relax => OverrideAction::Relax,
        v1::OverrideAction::Close => OverrideAction::Close,
        v1::OverrideAction::Unspecified => return Err(at.unspecified("the override's action")),
    };
    if written.until <= 0 {
        return Err(at.invalid("override until", written.until, "a moment in Unix seconds"));
    }
    if written.name.is_empty() {
        return Err(at.invalid("override name", "", "the name of an Override"));
    }
    Ok(Override {
        action,
        until: written.until,
        name: written.name.as_str().into(),
    })
}
