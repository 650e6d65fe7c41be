//! Reads `entities`: an object of lists, each of the type that the policy declares for its name. What differs from
//! the declaration is objected to and read past, so that what a request means does not depend on the catalogue.

use std::borrow::Cow;
use std::fmt;

use featward_policy::ColumnType;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::request::{Column, Values};
use crate::fault::shown;
use crate::json::{AnyScalar, Keys, Nested, Reading, Scalar, Text};
use crate::refusal::Reason;

pub(super) struct Entities<'c, F> {
    pub(super) reading: &'c Reading,
    pub(super) columns: &'c F,
    /// How many lists and objects may still open inside a value.
    pub(super) levels: usize,
}

/// The columns that are as declared, and how many rows all of them have.
#[derive(Default)]
pub(super) struct Table<'a> {
    pub(super) columns: Vec<Column<'a>>,
    /// How long the first list is.
    pub(super) rows: Option<usize>,
    /// Whether another one has another length.
    pub(super) uneven: bool,
}

impl Table<'_> {
    fn length(&mut self, rows: usize) {
        self.uneven |= *self.rows.get_or_insert(rows) != rows;
    }
}

impl<'de, F: Fn(&str) -> Option<ColumnType>> DeserializeSeed<'de> for Entities<'_, F> {
    type Value = Table<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fn(&str) -> Option<ColumnType>> Visitor<'de> for Entities<'_, F> {
    type Value = Table<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of lists")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut table = Table::default();
        let mut keys = Keys::new(self.reading);
        while let Some(Text(name)) = object.next_key()? {
            keys.add(name.clone())?;
            let list = List {
                reading: self.reading,
                name: &name,
                kind: self.declared(&name),
                levels: self.levels,
                rows: table.rows.unwrap_or(0),
            };
            let (values, rows) = object.next_value_seed(list)?;
            table.length(rows);
            table.columns.extend(values.map(|values| Column { name, values }));
        }
        Ok(table)
    }
}

impl<F: Fn(&str) -> Option<ColumnType>> Entities<'_, F> {
    fn declared(&self, name: &str) -> Option<ColumnType> {
        let kind = (self.columns)(name);
        if kind.is_none() {
            let detail = format!("{} is no declared entity or request input", shown(name));
            self.reading.object(Reason::UnknownEntity, detail);
        }
        kind
    }
}

/// The list of one column's values.
struct List<'c> {
    reading: &'c Reading,
    name: &'c str,
    /// `None` for a column that is not declared.
    kind: Option<ColumnType>,
    levels: usize,
    /// How many values the lists before this one had, to make room for.
    rows: usize,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = (Option<Values<'de>>, usize);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    /// The values, unless something is objected to, and how many there are.
    type Value = (Option<Values<'de>>, usize);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        match self.kind {
            Some(ColumnType::Int32) => self.collect(list, Values::Integers, |value| {
                integer(value, i32::MIN.into(), i32::MAX.into())
            }),
            // Feast's client sends a timestamp as whole seconds since 1970, and its server reads nothing else.
            Some(ColumnType::Int64 | ColumnType::Timestamp) => {
                self.collect(list, Values::Integers, |value| integer(value, i64::MIN, i64::MAX))
            }
            Some(ColumnType::Float) => {
                self.collect(list, Values::Numbers, |value| number(value, f32::MAX.into()))
            }
            Some(ColumnType::Double) => self.collect(list, Values::Numbers, |value| number(value, f64::MAX)),
            Some(ColumnType::String | ColumnType::Bytes) => self.collect(list, Values::Texts, text),
            Some(ColumnType::Bool) => self.collect(list, Values::Booleans, boolean),
            Some(ColumnType::Other) => {
                let detail = format!("entities.{}: its declared type is no scalar", self.name);
                self.reading.object(Reason::EntityType, detail);
                self.pass(list, 0)
            }
            None => self.pass(list, 0),
        }
    }
}

impl List<'_> {
    fn collect<'de, A: SeqAccess<'de>, T>(
        &self,
        mut list: A,
        hold: impl FnOnce(Vec<T>) -> Values<'de>,
        judge: impl Fn(Scalar<'de>) -> Result<T, Reason>,
    ) -> Result<(Option<Values<'de>>, usize), A::Error> {
        let mut values = Vec::with_capacity(self.rows);
        while let Some(scalar) = list.next_element_seed(self.value())? {
            match judge(scalar) {
                Ok(value) => values.push(value),
                Err(reason) => {
                    self.object(values.len(), reason);
                    return self.pass(list, values.len() + 1);
                }
            }
        }
        let rows = values.len();
        Ok((Some(hold(values)), rows))
    }

    /// Read past the rest of a list that is objected to, as strictly as if it were wanted.
    #[cold]
    fn pass<'de, A: SeqAccess<'de>>(
        &self,
        mut list: A,
        mut rows: usize,
    ) -> Result<(Option<Values<'de>>, usize), A::Error> {
        while list.next_element_seed(self.value())?.is_some() {
            rows += 1;
        }
        Ok((None, rows))
    }

    fn value(&self) -> AnyScalar<'_> {
        AnyScalar {
            reading: self.reading,
            nested: Nested::Skimmed(self.levels),
        }
    }

    #[cold]
    fn object(&self, index: usize, reason: Reason) {
        let kind = self.kind.map_or("a declared column", ColumnType::as_str);
        let detail = format!("entities.{}[{index}]: expected {kind}", self.name);
        self.reading.object(reason, detail);
    }
}

fn integer(value: Scalar<'_>, least: i64, most: i64) -> Result<i64, Reason> {
    match value {
        Scalar::Integer(value) if (least..=most).contains(&value) => Ok(value),
        Scalar::Integer(_) | Scalar::Unsigned(_) => Err(Reason::NumberOutOfRange),
        // An integer beyond 64 bits arrives as a float of at least 2^63.
        Scalar::Float(value) if value.abs() >= i64::MAX as f64 => Err(Reason::NumberOutOfRange),
        _ => Err(Reason::EntityType),
    }
}

/// JSON does not tell 3 from 3.0, so a column of floats takes both, and sends both as 3.0.
fn number(value: Scalar<'_>, most: f64) -> Result<f64, Reason> {
    let value = match value {
        Scalar::Integer(value) => value as f64,
        Scalar::Unsigned(value) => value as f64,
        Scalar::Float(value) => value,
        _ => return Err(Reason::EntityType),
    };
    if value.abs() <= most {
        Ok(value)
    } else {
        Err(Reason::NumberOutOfRange)
    }
}

fn text(value: Scalar<'_>) -> Result<Cow<'_, str>, Reason> {
    match value {
        Scalar::Text(text) => Ok(text),
        _ => Err(Reason::EntityType),
    }
}

fn boolean(value: Scalar<'_>) -> Result<bool, Reason> {
    match value {
        Scalar::Boolean(value) => Ok(value),
        _ => Err(Reason::EntityType),
    }
}
