//! What may stand at a place of a document: a scalar of any kind, a string, a list of strings; and the keys of an
//! object, each once.

use std::borrow::Cow;
use std::fmt;

use ahash::AHashSet;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::{Reading, Skim};
use crate::fault::shown;
use crate::refusal::Reason;

/// A string, borrowed from the document unless it has escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A list of strings.
pub(crate) struct Texts<'a>(pub(crate) Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TextsVisitor).map(Texts)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(Text(text)) = list.next_element()? {
            texts.push(text);
        }
        Ok(texts)
    }
}

/// A value that is neither list nor object, as it was written: `1001.0` is a float and `"1001"` a string.
pub(crate) enum Scalar<'a> {
    /// A list or an object, read past; only where [`Nested::Skimmed`] allows one.
    Nested,
    Null,
    Boolean(bool),
    Integer(i64),
    /// An integer above the signed range.
    Unsigned(u64),
    /// Has a fraction or an exponent, is `-0`, or is an integer beyond 64 bits.
    Float(f64),
    Text(Cow<'a, str>),
}

/// Reads a [`Scalar`].
#[derive(Clone, Copy)]
pub(crate) struct AnyScalar<'c> {
    pub(crate) reading: &'c Reading,
    pub(crate) nested: Nested<'c>,
}

/// What becomes of a list or an object where a scalar is wanted.
#[derive(Clone, Copy)]
pub(crate) enum Nested<'c> {
    /// It ends the reading; the place is named in the sentence.
    Refused(Reason, &'c str),
    /// It is read past, with so many levels inside it, and judged by whoever asked.
    Skimmed(usize),
}

impl<'c> AnyScalar<'c> {
    #[cold]
    fn nested<E: de::Error>(self, found: &str) -> Result<Skim<'c>, E> {
        let reading = self.reading;
        match self.nested {
            Nested::Skimmed(levels) => Ok(Skim { reading, levels }),
            Nested::Refused(reason, place) => {
                let detail = format!("{place}: expected a single value, found {found}");
                Err(reading.refuse(reason, detail))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for AnyScalar<'_> {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyScalar<'_> {
    type Value = Scalar<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a single value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Scalar::Unsigned(value), Scalar::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        self.nested("a list")?.visit_seq(list).map(|()| Scalar::Nested)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        self.nested("an object")?
            .visit_map(object)
            .map(|()| Scalar::Nested)
    }
}

/// The keys met so far in one object. Keys are compared as decoded, so an escape makes no second key of the first.
pub(crate) struct Keys<'a, 'c> {
    reading: &'c Reading,
    named: bool,
    few: Vec<Cow<'a, str>>,
    many: AHashSet<Cow<'a, str>>,
}

impl<'a, 'c> Keys<'a, 'c> {
    pub(crate) fn new(reading: &'c Reading) -> Self {
        Keys {
            reading,
            named: true,
            few: Vec::new(),
            many: AHashSet::new(),
        }
    }

    /// Of an object that stands in a value, so that its keys are not to be told.
    pub(crate) fn unnamed(reading: &'c Reading) -> Self {
        Keys {
            named: false,
            ..Keys::new(reading)
        }
    }

    /// Notes `key`; a key met before ends the reading.
    pub(crate) fn add<E: de::Error>(&mut self, key: Cow<'a, str>) -> Result<(), E> {
        if self.few.contains(&key) || self.many.contains(&key) {
            let detail = match self.named {
                true => format!("the key {} stands twice in one object", shown(&key)),
                false => "a key stands twice in an object within a value".to_owned(),
            };
            return Err(self.reading.refuse(Reason::DuplicateKey, detail));
        }
        // Comparing a handful is cheaper than hashing them; hashing keeps a hostile object of 100,000 keys linear.
        if self.few.len() < FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}

const FEW: usize = 8;
