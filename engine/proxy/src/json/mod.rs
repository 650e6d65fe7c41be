//! Strict reading of JSON, and plain writing of it.
//!
//! Two readers of one document must not disagree, so whatever JSON leaves open is refused here: encodings other
//! than UTF-8, duplicate keys, numbers out of range, lone surrogates, anything after the document, nesting without
//! bound. The grammar itself is serde_json's; this module adds what serde_json tolerates, and names each fault by
//! its row of the refusal table.

pub(crate) mod outline;
mod place;
mod skim;
pub(crate) mod write;

use std::cell::RefCell;

use serde::de;
use serde_json::Deserializer;
use serde_json::de::StrRead;
use serde_json::error::Category;

pub(crate) use place::{AnyScalar, Keys, Nested, Scalar, Text, Texts};
pub(crate) use skim::Skim;

use crate::fault::Fault;
use crate::refusal::Reason;

/// What serde_json hands to a visitor.
pub(crate) type Source<'a> = Deserializer<StrRead<'a>>;

/// One reading of one document: carries the reason of a refusal past serde's own error type, which has no room
/// for it.
#[derive(Default)]
pub(crate) struct Reading {
    fault: RefCell<Option<Fault>>,
    objection: RefCell<Option<Fault>>,
}

impl Reading {
    /// Ends the reading with this fault.
    #[cold]
    pub(crate) fn refuse<E: de::Error>(&self, reason: Reason, detail: impl Into<String>) -> E {
        *self.fault.borrow_mut() = Some(Fault::new(reason, detail));
        E::custom(reason.as_str())
    }

    /// Notes what is wrong with a document that has a meaning all the same, and goes on; the first one counts.
    #[cold]
    pub(crate) fn object(&self, reason: Reason, detail: impl Into<String>) {
        let mut objection = self.objection.borrow_mut();
        if objection.is_none() {
            *objection = Some(Fault::new(reason, detail));
        }
    }

    /// What was objected to.
    pub(crate) fn objection(&self) -> Option<Fault> {
        self.objection.take()
    }

    #[cold]
    fn fault(self, error: &serde_json::Error) -> Fault {
        self.fault.into_inner().unwrap_or_else(|| translate(error))
    }
}

/// Reads the whole of `body` as one JSON document.
pub(crate) fn document<'a, T>(
    body: &'a [u8],
    read: impl FnOnce(&Reading, &mut Source<'a>) -> serde_json::Result<T>,
) -> Result<T, Fault> {
    let text = utf8(body)?;
    let mut source = Deserializer::from_str(text);
    let reading = Reading::default();
    match read(&reading, &mut source) {
        Ok(value) => match source.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(Fault::new(Reason::TrailingData, place(&error))),
        },
        Err(error) => Err(reading.fault(&error)),
    }
}

/// RFC 8259 section 8.1: UTF-8, and no byte order mark. Python's reader guesses UTF-16 and UTF-32 from zero bytes
/// among the first four, so a body with such a byte is never handed on as text.
fn utf8(body: &[u8]) -> Result<&str, Fault> {
    let refuse = |detail: String| Err(Fault::new(Reason::NotUtf8, detail));
    if body.starts_with(b"\xef\xbb\xbf") {
        return refuse("the body starts with a byte order mark".to_owned());
    }
    if body.iter().take(4).any(|&byte| byte == 0) {
        return refuse("the body looks like UTF-16 or UTF-32".to_owned());
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text),
        Err(error) => refuse(format!(
            "byte {} of the body is not UTF-8",
            error.valid_up_to() + 1
        )),
    }
}

/// serde_json does not export its error codes; its messages are told apart by their beginnings, and the tests
/// below fail if a new release words them otherwise.
fn translate(error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    let reason = match error.classify() {
        Category::Data => {
            let expected = message.rsplit_once(", expected ").map(|(_, tail)| tail);
            let detail = format!("expected {}", expected.unwrap_or("another type"));
            return Fault::new(Reason::WrongType, detail);
        }
        _ if message.starts_with("number out of range") => Reason::NumberOutOfRange,
        _ if message.starts_with("recursion limit exceeded") => Reason::TooDeep,
        _ => Reason::MalformedJson,
    };
    Fault::new(reason, message)
}

fn place(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests;
