//! A request that has been read and found to have one meaning, and the body that says the same to Feast.

use std::borrow::Cow;

use crate::fault::Fault;
use crate::json::write;

/// A request as it was judged. Everything in here was read from the client's body; nothing else of the body is
/// sent on.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<'a> {
    pub(super) selection: Selection<'a>,
    pub(super) entities: Vec<Column<'a>>,
    /// What the catalogue has against the entities; then not all of them are held here.
    pub(super) objection: Option<Fault>,
    pub(super) rows: u64,
    pub(super) full_feature_names: bool,
    pub(super) include_feature_view_version_metadata: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Selection<'a> {
    Features(Vec<Cow<'a, str>>),
    Service(Cow<'a, str>),
}

/// The values of one join key or request input, a value a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) values: Values<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values<'a> {
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Texts(Vec<Cow<'a, str>>),
    Booleans(Vec<bool>),
}

impl Values<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Values::Integers(values) => {
                write::list(out, values, |out, value| write::integer(out, *value));
            }
            Values::Numbers(values) => {
                write::list(out, values, |out, value| write::number(out, *value));
            }
            Values::Texts(values) => write::list(out, values, |out, value| write::text(out, value)),
            Values::Booleans(values) => write::list(out, values, |out, value| {
                out.extend_from_slice(if *value { b"true" } else { b"false" });
            }),
        }
    }
}

impl Read<'_> {
    /// What the catalogue has against the entities. It tells which names and types are declared, so it is for
    /// callers only who are granted what they ask for.
    pub fn objection(&self) -> Option<&Fault> {
        self.objection.as_ref()
    }

    /// The same request, if there is nothing against its entities.
    pub fn sound(self) -> Result<Self, Fault> {
        match self.objection {
            Some(fault) => Err(fault),
            None => Ok(self),
        }
    }

    /// The features that the request names, in its order; empty when it names a service.
    pub fn features(&self) -> Vec<&str> {
        match &self.selection {
            Selection::Features(features) => features.iter().map(AsRef::as_ref).collect(),
            Selection::Service(_) => Vec::new(),
        }
    }

    /// The feature service that the request names, if it names one instead of features.
    pub fn service(&self) -> Option<&str> {
        match &self.selection {
            Selection::Features(_) => None,
            Selection::Service(service) => Some(service),
        }
    }

    /// How many rows are asked for, at least 1. A row that is asked for twice counts twice, as Feast answers it
    /// twice.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The names of the join keys and request inputs that were sent.
    pub fn entities(&self) -> impl Iterator<Item = &str> {
        self.entities.iter().map(|column| column.name.as_ref())
    }

    /// Whether columns of the answer are to be named `view__feature`.
    pub fn full_feature_names(&self) -> bool {
        self.full_feature_names
    }

    /// The body for Feast: what was asked for, or only these of its features. Of a sound request only.
    pub fn write(&self, features: Option<&[&str]>) -> Vec<u8> {
        debug_assert!(self.objection.is_none(), "an objection was not heard");
        let mut out = Vec::with_capacity(INITIAL);
        match (features, &self.selection) {
            (Some(features), _) => write_features(&mut out, features),
            (None, Selection::Features(features)) => write_features(&mut out, features),
            (None, Selection::Service(service)) => {
                out.extend_from_slice(br#"{"feature_service":"#);
                write::text(&mut out, service);
            }
        }
        self.write_entities(&mut out);
        if self.full_feature_names {
            out.extend_from_slice(br#","full_feature_names":true"#);
        }
        if self.include_feature_view_version_metadata {
            out.extend_from_slice(br#","include_feature_view_version_metadata":true"#);
        }
        out.push(b'}');
        out
    }

    fn write_entities(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","entities":{"#);
        for (index, column) in self.entities.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write::text(out, &column.name);
            out.push(b':');
            column.values.write(out);
        }
        out.push(b'}');
    }
}

fn write_features(out: &mut Vec<u8>, features: &[impl AsRef<str>]) {
    out.extend_from_slice(br#"{"features":"#);
    write::list(out, features, |out, feature| write::text(out, feature.as_ref()));
}

/// Holds twenty features and twenty rows without growing.
const INITIAL: usize = 1024;
