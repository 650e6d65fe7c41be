//! Names for requests: what a refusal tells the caller and the record keeps, so that both can be brought together.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand;

/// Makes request ids: a random start for each process, then counting, because a system call for each request
/// would cost more than the decision.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

/// The id of one request, 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId {
    process: u64,
    number: u64,
}

impl RequestIds {
    pub(crate) fn new() -> RequestIds {
        let mut random = [0; 16];
        // Without randomness ids still count up within the process; nothing secret depends on them.
        let _ = rand::fill(&mut random);
        let (process, start) = random.split_at(8);
        RequestIds {
            process: u64::from_be_bytes(process.try_into().unwrap_or_default()),
            next: AtomicU64::new(u64::from_be_bytes(start.try_into().unwrap_or_default())),
        }
    }

    pub(crate) fn next(&self) -> RequestId {
        RequestId {
            process: self.process,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl RequestId {
    /// The 32 digits.
    pub(crate) fn digits(self) -> [u8; 32] {
        let mut out = [0; 32];
        let value = u128::from(self.process) << 64 | u128::from(self.number);
        for (position, digit) in out.iter_mut().enumerate() {
            let nibble = (value >> (124 - 4 * position)) & 0xf;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        out
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.process, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_digits_and_never_twice_the_same() {
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert_eq!(first.to_string().as_bytes(), &first.digits()[..]);
        assert_eq!(first.to_string().len(), 32);
        assert_ne!(RequestIds::new().next(), first);
    }
}
