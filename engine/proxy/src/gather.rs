//! Puts a message body together under a limit. Apart because both directions need it, and because a body that
//! comes in one piece, as nearly all do, must not be copied.

use bytes::{Bytes, BytesMut};

/// The pieces of one body so far.
#[derive(Debug)]
pub(crate) struct Gather {
    limit: usize,
    first: Bytes,
    whole: BytesMut,
}

/// The body is larger than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Gather {
    pub(crate) fn new(limit: usize) -> Gather {
        Gather {
            limit,
            first: Bytes::new(),
            whole: BytesMut::new(),
        }
    }

    /// Add a piece; `coming` is how much more was announced.
    pub(crate) fn add(&mut self, data: Bytes, coming: u64) -> Result<(), TooLarge> {
        let held = self.first.len() + self.whole.len();
        if data.len() > self.limit - held {
            return Err(TooLarge);
        }
        if held == 0 {
            self.first = data;
            return Ok(());
        }
        if self.whole.is_empty() {
            let coming = usize::try_from(coming).unwrap_or(usize::MAX);
            let expected = (held + data.len()).saturating_add(coming).min(self.limit);
            self.whole.reserve(expected);
            self.whole.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.whole.extend_from_slice(&data);
        Ok(())
    }

    /// The whole body.
    pub(crate) fn finish(self) -> Bytes {
        if self.whole.is_empty() {
            self.first
        } else {
            self.whole.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 100]);
        let mut gather = Gather::new(100);
        gather.add(piece.clone(), 0).unwrap();
        assert_eq!(gather.finish().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn pieces_come_out_in_order() {
        let mut gather = Gather::new(100);
        for piece in ["ab", "", "cde", "f"] {
            gather.add(Bytes::from(piece), 0).unwrap();
        }
        assert_eq!(gather.finish(), "abcdef");
    }

    #[test]
    fn the_limit_is_the_last_size_that_passes() {
        let mut gather = Gather::new(4);
        gather.add(Bytes::from("abc"), u64::MAX).unwrap();
        gather.add(Bytes::from("d"), u64::MAX).unwrap();
        assert_eq!(gather.add(Bytes::from("e"), 0), Err(TooLarge));
    }
}
