//! Cuts out of Feast's answer the columns that were not granted.
//!
//! `results[i]` is the column that `metadata.feature_names[i]` names, in an order that Feast chooses. Values are
//! never decoded, not even looked at: a column is kept or dropped as the bytes that it came in. Members that this
//! module does not know are dropped, because nobody can say whose values they hold.

use std::borrow::Cow;
use std::fmt;

use ahash::AHashSet;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::fault::{Fault, shown};
use crate::json::outline::{Outline, outline};
use crate::json::write;
use crate::json::{Text, Texts};
use crate::refusal::Reason;

/// The answer with the columns of which `keep` approves, and the version metadata of the views of which
/// `keep_view` approves: the very bytes when all of it stays. `keep` is asked once for each column.
pub fn filter<'a>(
    answer: &'a [u8],
    keep: &dyn Fn(&str) -> bool,
    keep_view: &dyn Fn(&str) -> bool,
) -> Result<Cow<'a, [u8]>, Fault> {
    let read = Answer::read(answer)?;
    read.check()?;
    let kept: Vec<bool> = read.metadata.names.iter().map(|name| keep(name)).collect();
    if read.whole(&kept, keep_view) {
        Ok(Cow::Borrowed(answer))
    } else {
        Ok(Cow::Owned(read.write(answer.len(), &kept, keep_view)))
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(text).map_err(|error| unreadable(&cause(&error.to_string())))
}

/// serde quotes what it found before it says what it expected; what it found may be a value.
fn cause(message: &str) -> Cow<'_, str> {
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => Cow::Owned(format!("expected {expected}")),
        None => Cow::Borrowed(message),
    }
}

fn unreadable(detail: &str) -> Fault {
    Fault::new(Reason::UpstreamAnswer, detail)
}

struct Answer<'a> {
    /// Each as it stands.
    results: Vec<&'a [u8]>,
    metadata: Metadata<'a>,
    status: Option<bool>,
    unknown: bool,
}

#[derive(Default)]
struct Metadata<'a> {
    names: Vec<Cow<'a, str>>,
    views: Option<Vec<View<'a>>>,
    unknown: bool,
}

/// One entry of `feature_view_metadata`: the view's name, and the entry as it stands.
struct View<'a> {
    name: Cow<'a, str>,
    raw: &'a RawValue,
}

impl<'a> Answer<'a> {
    fn read(text: &'a [u8]) -> Result<Answer<'a>, Fault> {
        let Outline { skeleton, containers } =
            outline(text).map_err(|error| unreadable(&error.to_string()))?;
        let members: Members = read(&skeleton)?;
        let container = |place: Place| {
            let found = containers.get(place.0[0]);
            found.ok_or_else(|| unreadable("a member is not what it should be"))
        };
        let results = container(members.results)?.items(text);
        let metadata = container(members.metadata)?.place.clone();
        Ok(Answer {
            results: results.ok_or_else(|| unreadable("the results are not a list of objects"))?,
            metadata: read(&text[metadata])?,
            status: members.status,
            unknown: members.unknown,
        })
    }

    /// Whether every result has one name and every name one result.
    fn check(&self) -> Result<(), Fault> {
        let (results, names) = (self.results.len(), self.metadata.names.len());
        if results != names {
            let detail = format!("the answer has {results} results and {names} names");
            return Err(unreadable(&detail));
        }
        let mut seen: AHashSet<&str> = AHashSet::with_capacity(names);
        match self.metadata.names.iter().find(|name| !seen.insert(name)) {
            Some(name) => Err(unreadable(&format!(
                "the answer has two columns named {}",
                shown(name)
            ))),
            None => Ok(()),
        }
    }

    fn whole(&self, kept: &[bool], keep_view: &dyn Fn(&str) -> bool) -> bool {
        let views = self.metadata.views.as_deref().unwrap_or_default();
        !self.unknown
            && !self.metadata.unknown
            && kept.iter().all(|kept| *kept)
            && views.iter().all(|view| keep_view(&view.name))
    }

    fn write(&self, capacity: usize, kept: &[bool], keep_view: &dyn Fn(&str) -> bool) -> Vec<u8> {
        let columns = || self.metadata.names.iter().zip(&self.results).zip(kept);
        let kept = || columns().filter_map(|(column, kept)| kept.then_some(column));
        let mut out = Vec::with_capacity(capacity);
        out.extend_from_slice(br#"{"results":"#);
        write::list(&mut out, kept(), |out, (_, raw)| out.extend_from_slice(raw));
        out.extend_from_slice(br#","metadata":{"feature_names":"#);
        write::list(&mut out, kept(), |out, (name, _)| write::text(out, name));
        if let Some(views) = &self.metadata.views {
            let views = views.iter().filter(|view| keep_view(&view.name));
            out.extend_from_slice(br#","feature_view_metadata":"#);
            write::list(&mut out, views, |out, view| {
                out.extend_from_slice(view.raw.get().as_bytes());
            });
        }
        out.push(b'}');
        if let Some(status) = self.status {
            out.extend_from_slice(br#","status":"#);
            out.extend_from_slice(if status { b"true" } else { b"false" });
        }
        out.push(b'}');
        out
    }
}

/// Fills `slot`, or refuses a member that stands twice: which of the two a client would read, nobody knows.
fn once<'de, A, T>(object: &mut A, slot: &mut Option<T>, name: &'static str) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    T: Deserialize<'de>,
{
    if slot.is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    *slot = Some(object.next_value()?);
    Ok(())
}

fn present<T, E: de::Error>(slot: Option<T>, name: &'static str) -> Result<T, E> {
    slot.ok_or_else(|| E::missing_field(name))
}

/// The members of an answer in its skeleton.
struct Members {
    results: Place,
    metadata: Place,
    status: Option<bool>,
    unknown: bool,
}

/// Which of the document's containers stands here. In a skeleton only these are lists, so that no number of the
/// document itself can pass for one.
#[derive(Clone, Copy, serde::Deserialize)]
#[serde(transparent)]
struct Place([usize; 1]);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let (mut results, mut metadata, mut status) = (None, None, None);
                let mut unknown = false;
                while let Some(Text(key)) = object.next_key()? {
                    match key.as_ref() {
                        "results" => once(&mut object, &mut results, "results")?,
                        "metadata" => once(&mut object, &mut metadata, "metadata")?,
                        "status" => once(&mut object, &mut status, "status")?,
                        _ => {
                            unknown = true;
                            object.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Members {
                    results: present(results, "results")?,
                    metadata: present(metadata, "metadata")?,
                    status,
                    unknown,
                })
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Metadata<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Metadata<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let (mut names, mut views) = (None, None);
                let mut unknown = false;
                while let Some(Text(key)) = object.next_key()? {
                    match key.as_ref() {
                        "feature_names" => once(&mut object, &mut names, "feature_names")?,
                        "feature_view_metadata" => {
                            once(&mut object, &mut views, "feature_view_metadata")?;
                        }
                        _ => {
                            unknown = true;
                            object.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Metadata {
                    names: present(names, "feature_names").map(|Texts(names)| names)?,
                    views,
                    unknown,
                })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for View<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        let Named { name: Text(name) } = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
        Ok(View { name, raw })
    }
}

/// The name alone; entries are dropped or kept whole, and serde refuses a second name.
#[derive(serde::Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}
