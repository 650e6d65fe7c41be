//! Parts of buffers that many entries share. An entry of its own for each name and list would cost more in the
//! allocator than in content, and a cache miss more in every decision.

use std::ops::Range;

use crate::check;
use crate::error::PolicyError;

/// A part of one of the shared buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Append to a buffer, and say where.
pub(crate) fn append<T: Copy>(buffer: &mut Vec<T>, entries: &[T]) -> Result<Span, PolicyError> {
    let start = check::index(buffer.len(), "entries in lists")?;
    let end = check::index(buffer.len() + entries.len(), "entries in lists")?;
    buffer.extend_from_slice(entries);
    Ok(Span { start, end })
}

/// The same for text.
pub(crate) fn append_text(buffer: &mut String, text: &str) -> Result<Span, PolicyError> {
    let start = check::index(buffer.len(), "bytes of names")?;
    let end = check::index(buffer.len() + text.len(), "bytes of names")?;
    buffer.push_str(text);
    Ok(Span { start, end })
}
