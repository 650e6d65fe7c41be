//! Reads the body of `POST /get-online-features`: strictly, once, and straight into its typed form.

mod entities;

use std::borrow::Cow;
use std::fmt;

use ahash::AHashSet;
use featward_policy::ColumnType;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use self::entities::{Entities, Table};
use super::request::{Read, Selection};
use crate::fault::{Fault, shown};
use crate::json::{self, AnyScalar, Keys, Nested, Reading, Scalar, Skim, Text, Texts};
use crate::refusal::Reason;

/// The bounds of a body beyond its size in bytes.
#[derive(Clone, Copy, Debug)]
pub struct ParseLimits {
    /// How many lists and objects may be open at once. The members that Feast knows need 3; what goes deeper can
    /// only stand in members that are dropped.
    pub depth: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        ParseLimits { depth: 8 }
    }
}

/// Reads a body. `columns` gives the declared type of a join key or request input; what it does not know is
/// objected to. Values must be of exactly the declared type: where Feast reads `"1001"`, `1001.0` and `1001` as one
/// driver, three spellings would count as three. `null` is no value of any type.
///
/// Objections wait in the [`Read`] for the decision, because they tell what the catalogue declares, and a caller
/// whom nothing is granted may not learn that. A fault that any catalogue would find ends the reading at once.
pub fn parse<'a>(
    body: &'a [u8],
    columns: impl Fn(&str) -> Option<ColumnType>,
    limits: &ParseLimits,
) -> Result<Read<'a>, Fault> {
    let (members, objection) = json::document(body, |reading, source| {
        let seed = Members {
            reading,
            columns: &columns,
            limits,
        };
        let members = seed.deserialize(source)?;
        Ok((members, reading.objection()))
    })?;
    let table = members.entities.ok_or_else(missing_entities)?;
    Ok(Read {
        rows: rows(&table)?,
        selection: select(members.service, members.features)?,
        entities: table.columns,
        objection,
        full_feature_names: members.full_feature_names,
        include_feature_view_version_metadata: members.version_metadata,
    })
}

fn missing_entities() -> Fault {
    Fault::new(Reason::MissingField, "the body has no member \"entities\"")
}

fn rows(table: &Table<'_>) -> Result<u64, Fault> {
    if table.uneven {
        let detail = "the lists in \"entities\" are not all of one length";
        return Err(Fault::new(Reason::UnevenRows, detail));
    }
    match table.rows {
        None | Some(0) => Err(Fault::new(Reason::NoRows, "\"entities\" holds no row")),
        Some(rows) => Ok(rows as u64),
    }
}

/// Feast lets a service win over features without a word, and falls back to features when the service is empty.
/// The first would hide what is asked for, so it is refused; the second has one meaning.
fn select<'a>(service: Option<Cow<'a, str>>, features: Vec<Cow<'a, str>>) -> Result<Selection<'a>, Fault> {
    match service.filter(|service| !service.is_empty()) {
        Some(_) if !features.is_empty() => Err(Fault::new(
            Reason::AmbiguousSelection,
            "both \"feature_service\" and \"features\" are given",
        )),
        Some(service) => Ok(Selection::Service(service)),
        None if features.is_empty() => Err(Fault::new(
            Reason::NoFeatures,
            "neither \"features\" nor \"feature_service\" names anything",
        )),
        None => {
            check_features(&features)?;
            Ok(Selection::Features(features))
        }
    }
}

fn check_features(features: &[Cow<'_, str>]) -> Result<(), Fault> {
    let mut seen: AHashSet<&str> = AHashSet::with_capacity(features.len());
    for feature in features {
        // Feast cuts the view at the first colon, and the version off the view at its first "@".
        let view = feature.split_once(':').map_or(feature.as_ref(), |cut| cut.0);
        if view.contains('@') {
            let detail = format!("the feature {} names a version", shown(feature));
            return Err(Fault::new(Reason::VersionedFeature, detail));
        }
        if !seen.insert(feature) {
            let detail = format!("the feature {} is named twice", shown(feature));
            return Err(Fault::new(Reason::DuplicateFeature, detail));
        }
    }
    Ok(())
}

/// The members of the body that Feast knows, as they stand.
#[derive(Default)]
struct Found<'a> {
    entities: Option<Table<'a>>,
    service: Option<Cow<'a, str>>,
    features: Vec<Cow<'a, str>>,
    full_feature_names: bool,
    version_metadata: bool,
}

struct Members<'c, F> {
    reading: &'c Reading,
    columns: &'c F,
    limits: &'c ParseLimits,
}

impl<'de, F: Fn(&str) -> Option<ColumnType>> DeserializeSeed<'de> for Members<'_, F> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fn(&str) -> Option<ColumnType>> Visitor<'de> for Members<'_, F> {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
        let mut keys = Keys::new(self.reading);
        while let Some(Text(key)) = object.next_key()? {
            keys.add(key.clone())?;
            self.member(&key, &mut object, &mut found)?;
        }
        Ok(found)
    }
}

impl<F: Fn(&str) -> Option<ColumnType>> Members<'_, F> {
    fn member<'de, A: MapAccess<'de>>(
        &self,
        key: &str,
        object: &mut A,
        found: &mut Found<'de>,
    ) -> Result<(), A::Error> {
        let Members { reading, columns, .. } = *self;
        match key {
            "entities" => {
                // The body, "entities" and the list of a column are open around a value.
                let levels = self.limits.depth.saturating_sub(3);
                let entities = Entities {
                    reading,
                    columns,
                    levels,
                };
                found.entities = Some(object.next_value_seed(entities)?);
            }
            "features" => found.features = object.next_value::<Texts<'de>>()?.0,
            "feature_service" => found.service = self.text(key, object)?,
            "full_feature_names" => found.full_feature_names = self.flag(key, object)?,
            "include_feature_view_version_metadata" => {
                found.version_metadata = self.flag(key, object)?;
            }
            _ => {
                let levels = self.limits.depth.saturating_sub(1);
                object.next_value_seed(Skim { reading, levels })?;
            }
        }
        Ok(())
    }

    fn scalar<'de, A: MapAccess<'de>>(&self, place: &str, object: &mut A) -> Result<Scalar<'de>, A::Error> {
        object.next_value_seed(AnyScalar {
            reading: self.reading,
            nested: Nested::Refused(Reason::WrongType, place),
        })
    }

    fn text<'de, A: MapAccess<'de>>(
        &self,
        place: &str,
        object: &mut A,
    ) -> Result<Option<Cow<'de, str>>, A::Error> {
        match self.scalar(place, object)? {
            Scalar::Null => Ok(None),
            Scalar::Text(text) => Ok(Some(text)),
            _ => Err(self.wrong(place, "a string or null")),
        }
    }

    /// Feast reads "yes" and 1 as true; here a boolean is a boolean.
    fn flag<'de, A: MapAccess<'de>>(&self, place: &str, object: &mut A) -> Result<bool, A::Error> {
        match self.scalar(place, object)? {
            Scalar::Boolean(flag) => Ok(flag),
            _ => Err(self.wrong(place, "true or false")),
        }
    }

    fn wrong<E: de::Error>(&self, place: &str, expected: &str) -> E {
        let detail = format!("{place}: expected {expected}");
        self.reading.refuse(Reason::WrongType, detail)
    }
}
