//! Reads past a value that nobody asked for, as strictly as one that somebody did.
//!
//! serde's `IgnoredAny` would skip it too, but says nothing of duplicate keys, lone surrogates or depth, and a
//! document that is strict in parts is a document that two readers can disagree about.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Keys, Reading, Text};
use crate::refusal::Reason;

/// Reads any value and keeps none of it.
#[derive(Clone, Copy)]
pub(crate) struct Skim<'c> {
    pub(crate) reading: &'c Reading,
    /// How many lists and objects may still open inside one another here.
    pub(crate) levels: usize,
}

impl Skim<'_> {
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Skim { levels, ..self }),
            None => Err(self
                .reading
                .refuse(Reason::TooDeep, "lists and objects are nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Skim<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skim<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while list.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut keys = Keys::unnamed(self.reading);
        while let Some(Text(key)) = object.next_key()? {
            keys.add(key)?;
            object.next_value_seed(inside)?;
        }
        Ok(())
    }
}
