//! Finds where the containers of a JSON document begin and end without reading what is in them.
//!
//! An answer of 20 KB holds more than a thousand values, and of all of them only the names of the columns matter.
//! A reader that looks at each value takes 29 µs for it, this one 3: like simdjson (Langdale and Lemire, "Parsing
//! gigabytes of JSON per second", 2019, section 3.1) it makes of 64 bytes at a time the bits that say which of
//! them are quotes, and which brackets are outside of strings. Of text that is JSON it finds what any reader finds;
//! of other text it may accept some, which then is passed on as it is and read by nobody else.

use std::ops::Range;

use thiserror::Error;
use wide::i8x16;

/// The two uppermost levels of a document that is an object.
#[derive(Debug)]
pub(crate) struct Outline {
    /// The document, with `[0]`, `[1]`, … in place of the containers inside it, in their order.
    pub(crate) skeleton: Vec<u8>,
    pub(crate) containers: Vec<Container>,
}

/// A list or an object directly inside the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// Where it stands, brackets included.
    pub(crate) place: Range<usize>,
    /// Where the lists and objects directly inside it stand.
    pub(crate) children: Vec<Range<usize>>,
}

/// Why there is no outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NoOutline {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("its brackets or quotes do not match")]
    Unbalanced,
    #[error("it is nested too deeply or has too many parts")]
    TooLarge,
}

/// Deeper than any answer that a feature server gives.
const DEEPEST: usize = 64;
/// Far more columns than a request can name, so that an answer of 64 MB cannot make a list of a gigabyte.
const MOST: usize = 1 << 16;

/// Outline a document.
pub(crate) fn outline(text: &[u8]) -> Result<Outline, NoOutline> {
    std::str::from_utf8(text).map_err(|_| NoOutline::NotUtf8)?;
    let mut drawing = Drawing::default();
    let mut blocks = Blocks::default();
    let mut chunks = text.chunks_exact(64);
    let mut start = 0;
    for chunk in &mut chunks {
        if let Ok(block) = chunk.try_into() {
            drawing.add(text, start, blocks.brackets(block)?)?;
        }
        start += 64;
    }
    let mut last = [b' '; 64];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    drawing.add(text, start, blocks.brackets(&last)?)?;
    if blocks.in_string != 0 {
        return Err(NoOutline::Unbalanced);
    }
    drawing.finish(text)
}

/// What goes over from one block of 64 bytes to the next.
#[derive(Debug, Default)]
struct Blocks {
    /// All ones inside a string.
    in_string: u64,
    /// 1 when the block before ended in a backslash that escapes.
    escaping: u64,
}

impl Blocks {
    /// Which of these bytes are brackets outside of strings.
    fn brackets(&mut self, block: &[u8; 64]) -> Result<u64, NoOutline> {
        let (mut quotes, mut backslashes, mut brackets) = (0, 0, 0);
        for (at, lane) in block.as_chunks::<16>().0.iter().enumerate() {
            let bytes = i8x16::new(lane.map(u8::cast_signed));
            let bits = |hits: i8x16| u64::from(hits.to_bitmask()) << (16 * at);
            let is = |bytes: i8x16, byte: u8| bytes.simd_eq(i8x16::splat(byte.cast_signed()));
            quotes |= bits(is(bytes, b'"'));
            backslashes |= bits(is(bytes, b'\\'));
            // This bit is all that tells `[` from `{` and `]` from `}`.
            let folded = bytes | i8x16::splat(0x20);
            brackets |= bits(is(folded, b'{') | is(folded, b'}'));
        }
        if backslashes | self.escaping != 0 {
            quotes &= !self.escaped(backslashes);
        }
        let strings = running(quotes) ^ self.in_string;
        self.in_string = 0_u64.wrapping_sub(strings >> 63);
        if backslashes & !strings != 0 {
            return Err(NoOutline::Unbalanced);
        }
        Ok(brackets & !strings)
    }

    /// The bytes that a backslash before them escapes.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        let mut escaped = self.escaping;
        let mut rest = backslashes & !escaped;
        self.escaping = 0;
        while rest != 0 {
            let backslash = rest & rest.wrapping_neg();
            let next = backslash << 1;
            self.escaping |= u64::from(next == 0);
            escaped |= next;
            rest &= !(backslash | next);
        }
        escaped
    }
}

/// Bit by bit, whether an odd number of bits is set up to here: from each opening quote up to its closing one.
fn running(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Puts the brackets together.
#[derive(Debug, Default)]
struct Drawing {
    /// The closing brackets that are due.
    due: Vec<u8>,
    containers: Vec<Container>,
    children: usize,
}

impl Drawing {
    fn add(&mut self, text: &[u8], start: usize, mut brackets: u64) -> Result<(), NoOutline> {
        while brackets != 0 {
            let at = start + brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            match text.get(at) {
                Some(b'[') => self.open(at, b']')?,
                Some(b'{') => self.open(at, b'}')?,
                closing => self.close(at, closing)?,
            }
        }
        Ok(())
    }

    fn open(&mut self, at: usize, closing: u8) -> Result<(), NoOutline> {
        match self.due.len() {
            1 => self.containers.push(Container {
                place: at..at,
                children: Vec::new(),
            }),
            2 => {
                self.children += 1;
                if let Some(container) = self.containers.last_mut() {
                    container.children.push(at..at);
                }
            }
            _ => {}
        }
        if self.due.len() >= DEEPEST || self.children + self.containers.len() > MOST {
            return Err(NoOutline::TooLarge);
        }
        self.due.push(closing);
        Ok(())
    }

    fn close(&mut self, at: usize, closing: Option<&u8>) -> Result<(), NoOutline> {
        if self.due.pop().as_ref() != closing {
            return Err(NoOutline::Unbalanced);
        }
        let Some(container) = self.containers.last_mut() else {
            return Ok(());
        };
        match self.due.len() {
            1 => container.place.end = at + 1,
            2 => {
                if let Some(child) = container.children.last_mut() {
                    child.end = at + 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, text: &[u8]) -> Result<Outline, NoOutline> {
        if !self.due.is_empty() {
            return Err(NoOutline::Unbalanced);
        }
        let mut skeleton = Vec::with_capacity(SKELETON);
        let mut from = 0;
        for (number, container) in self.containers.iter().enumerate() {
            skeleton.extend_from_slice(&text[from..container.place.start]);
            skeleton.push(b'[');
            skeleton.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            skeleton.push(b']');
            from = container.place.end;
        }
        skeleton.extend_from_slice(&text[from..]);
        Ok(Outline {
            skeleton,
            containers: self.containers,
        })
    }
}

/// Holds the members of an answer without growing.
const SKELETON: usize = 128;

impl Container {
    /// The items of a list that holds only lists and objects; None when it is anything else.
    pub(crate) fn items<'a>(&self, text: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        let inside = text
            .get(self.place.clone())?
            .strip_prefix(b"[")?
            .strip_suffix(b"]")?;
        let mut items = Vec::with_capacity(self.children.len());
        let mut from = self.place.start + 1;
        for child in &self.children {
            let between = text.get(from..child.start)?.trim_ascii();
            if between != if items.is_empty() { &b""[..] } else { b"," } {
                return None;
            }
            items.push(text.get(child.clone())?);
            from = child.end;
        }
        let end = self.place.start + 1 + inside.len();
        text.get(from..end)?.trim_ascii().is_empty().then_some(items)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn items(text: &str) -> Option<Vec<String>> {
        let outline = outline(text.as_bytes()).unwrap();
        let items = outline.containers[0].items(text.as_bytes())?;
        Some(
            items
                .iter()
                .map(|item| String::from_utf8(item.to_vec()).unwrap())
                .collect(),
        )
    }

    #[test]
    fn containers_are_found_and_named_by_number() {
        let text = br#"{"a":[{"b":1},[2]],"c":{"d":[]},"e":"[{"}"#;
        let outline = outline(text).unwrap();
        assert_eq!(outline.skeleton, br#"{"a":[0],"c":[1],"e":"[{"}"#);
        assert_eq!(
            outline.containers[0].items(text).unwrap(),
            [&b"{\"b\":1}"[..], b"[2]"]
        );
        assert_eq!(&text[outline.containers[1].place.clone()], br#"{"d":[]}"#);
        assert_eq!(outline.containers[1].items(text), None);
    }

    #[test]
    fn items_are_lists_and_objects_between_single_commas() {
        assert_eq!(items(r#"{"a": [ ] }"#).unwrap(), [""; 0]);
        assert_eq!(items(r#"{"a":[ {} , [] ]}"#).unwrap(), ["{}", "[]"]);
        for broken in [
            "[1]", "[{},1]", "[1,{}]", "[{}{}]", "[{},,{}]", "[,{}]", "[{},]", "[{} x]", "[\"{}\"]",
        ] {
            assert_eq!(items(&format!("{{\"a\":{broken}}}")), None, "{broken}");
        }
    }

    #[test]
    fn what_does_not_match_has_no_outline() {
        for text in [
            "{",
            "}",
            "[}",
            "{]",
            "{\"a",
            "{\"a\\\"}",
            "{}}",
            "\\{}",
            "{\"\\\\\\\"}",
        ] {
            // At every place of a block and over its edge.
            for before in 0..130 {
                let text = " ".repeat(before) + text;
                assert_eq!(
                    outline(text.as_bytes()).unwrap_err(),
                    NoOutline::Unbalanced,
                    "{text}"
                );
            }
        }
        assert_eq!(outline(b"{\"\xe9\":1}").unwrap_err(), NoOutline::NotUtf8);
        assert_eq!(
            outline("[".repeat(65).as_bytes()).unwrap_err(),
            NoOutline::TooLarge
        );
        let many = format!("[[{}]]", vec!["[]"; MOST].join(","));
        assert_eq!(outline(many.as_bytes()).unwrap_err(), NoOutline::TooLarge);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            r#"[\\"\[\]{}a,é]{0,90}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((r#"[\\"\[\]{}]{0,9}"#, inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The differential test: serde_json finds the same members and items.
        #[test]
        fn of_any_document_it_finds_what_a_whole_reader_finds(
            members in prop::collection::btree_map("[a-z]{1,4}", value(), 0..6),
            pretty in any::<bool>(),
        ) {
            let document = Value::Object(members.into_iter().collect());
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
            let text = text.unwrap();
            let outline = outline(text.as_bytes()).unwrap();
            let skeleton: Value = serde_json::from_slice(&outline.skeleton).unwrap();
            for (name, value) in document.as_object().unwrap() {
                if !value.is_array() && !value.is_object() {
                    prop_assert_eq!(&skeleton[name], value);
                    continue;
                }
                let place = usize::try_from(skeleton[name][0].as_u64().unwrap()).unwrap();
                let container = &outline.containers[place];
                let found: Value = serde_json::from_slice(&text.as_bytes()[container.place.clone()]).unwrap();
                prop_assert_eq!(&found, value);
                let nested = |item: &Value| item.is_array() || item.is_object();
                let expected = value.as_array().filter(|items| items.iter().all(nested));
                let items = container.items(text.as_bytes()).map(|items| {
                    items.iter().map(|item| serde_json::from_slice(item).unwrap()).collect::<Vec<Value>>()
                });
                prop_assert_eq!(items.as_ref(), expected);
            }
        }
    }
}
