//! Reads `entities`: an object of lists, each of the type that the policy declares for its name.

use std::borrow::Cow;
use std::fmt;

use featward_policy::ColumnType;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::request::{Column, Values};
use crate::fault::shown;
use crate::json::{AnyScalar, Keys, Reading, Scalar, Text};
use crate::refusal::Reason;

pub(super) struct Entities<'c, F> {
    pub(super) reading: &'c Reading,
    pub(super) columns: &'c F,
}

impl<'de, F: Fn(&str) -> Option<ColumnType>> DeserializeSeed<'de> for Entities<'_, F> {
    type Value = Vec<Column<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fn(&str) -> Option<ColumnType>> Visitor<'de> for Entities<'_, F> {
    type Value = Vec<Column<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of lists")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut read: Vec<Column<'de>> = Vec::new();
        let mut keys = Keys::new(self.reading);
        while let Some(Text(name)) = object.next_key()? {
            keys.add(name.clone())?;
            let kind = self.declared(&name)?;
            let list = List {
                reading: self.reading,
                name: &name,
                kind,
                rows: read.first().map_or(0, |column| column.values.len()),
            };
            let values = object.next_value_seed(list)?;
            read.push(Column { name, values });
        }
        Ok(read)
    }
}

impl<F: Fn(&str) -> Option<ColumnType>> Entities<'_, F> {
    fn declared<E: de::Error>(&self, name: &str) -> Result<ColumnType, E> {
        (self.columns)(name).ok_or_else(|| {
            let detail = format!("{} is no declared entity or request input", shown(name));
            self.reading.refuse(Reason::UnknownEntity, detail)
        })
    }
}

/// The list of one column's values.
struct List<'c> {
    reading: &'c Reading,
    name: &'c str,
    kind: ColumnType,
    /// How many values the lists before this one had, to make room for.
    rows: usize,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Values<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Values<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        match self.kind {
            ColumnType::Int32 => self
                .collect(list, |value| integer(value, i32::MIN.into(), i32::MAX.into()))
                .map(Values::Integers),
            // Feast's client sends a timestamp as whole seconds since 1970, and its server reads nothing else.
            ColumnType::Int64 | ColumnType::Timestamp => self
                .collect(list, |value| integer(value, i64::MIN, i64::MAX))
                .map(Values::Integers),
            ColumnType::Float => self
                .collect(list, |value| number(value, f32::MAX.into()))
                .map(Values::Numbers),
            ColumnType::Double => self
                .collect(list, |value| number(value, f64::MAX))
                .map(Values::Numbers),
            ColumnType::String | ColumnType::Bytes => self.collect(list, text).map(Values::Texts),
            ColumnType::Bool => self.collect(list, boolean).map(Values::Booleans),
            ColumnType::Other => {
                let detail = format!("entities.{}: its declared type is no scalar", self.name);
                Err(self.reading.refuse(Reason::EntityType, detail))
            }
        }
    }
}

impl List<'_> {
    fn collect<'de, A: SeqAccess<'de>, T>(
        &self,
        mut list: A,
        judge: impl Fn(Scalar<'de>) -> Result<T, Reason>,
    ) -> Result<Vec<T>, A::Error> {
        let item = AnyScalar {
            reading: self.reading,
            reason: Reason::EntityType,
            place: self.name,
        };
        let mut values = Vec::with_capacity(self.rows);
        while let Some(scalar) = list.next_element_seed(item)? {
            match judge(scalar) {
                Ok(value) => values.push(value),
                Err(reason) => return Err(self.refuse(values.len(), reason)),
            }
        }
        Ok(values)
    }

    #[cold]
    fn refuse<E: de::Error>(&self, index: usize, reason: Reason) -> E {
        let kind = self.kind.as_str();
        let detail = format!("entities.{}[{index}]: expected {kind}", self.name);
        self.reading.refuse(reason, detail)
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
