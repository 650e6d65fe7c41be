//! Where connections come from that have proven nothing. One that says nothing holds a place and costs whoever
//! opened it nothing; so when places get scarce, one address may hold only a part of them this way.

use std::net::IpAddr;

use ahash::AHashMap;
use parking_lot::Mutex;

/// The unproven connections of one port, by source.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Places for connections, proven or not.
    places: usize,
    held: Mutex<AHashMap<IpAddr, usize>>,
}

/// One connection that is counted.
#[derive(Debug)]
pub(crate) struct Held<'s> {
    all: &'s Sources,
    from: IpAddr,
    /// How many this source has with this one.
    number: usize,
}

/// As long as half of the places are free nobody is counted out: after a restart many clients behind one address
/// come back at once.
const SCARCE: usize = 2;
/// A source's part of the places when they are scarce.
const SHARE: usize = 8;
/// A source's part is never less than this: the end of a handshake is seen a moment after the client goes on.
const LEAST: usize = 16;

impl Sources {
    pub(crate) fn new(places: usize) -> Sources {
        Sources {
            places,
            held: Mutex::default(),
        }
    }

    /// Count one more.
    pub(crate) fn begin(&self, from: IpAddr) -> Held<'_> {
        let from = from.to_canonical();
        let mut held = self.held.lock();
        let number = held.entry(from).or_default();
        *number += 1;
        Held {
            all: self,
            from,
            number: *number,
        }
    }
}

impl Held<'_> {
    /// Whether it may go on, with so many places free.
    pub(crate) fn fits(&self, free: usize) -> bool {
        free >= self.all.places / SCARCE || self.number <= (self.all.places / SHARE).max(LEAST)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.all.held.lock();
        if let Some(number) = held.get_mut(&self.from) {
            *number -= 1;
            if *number == 0 {
                held.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_places_are_scarce_one_source_leaves_some_to_others() {
        let sources = Sources::new(128);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let many: Vec<_> = (0..16).map(|_| sources.begin(one)).collect();
        assert!(many.iter().all(|one| one.fits(0)));
        assert!(sources.begin(one).fits(64));
        assert!(!sources.begin(one).fits(63));
        assert!(sources.begin(other).fits(0));
        drop(many);
        assert!(sources.begin(one).fits(0));
        assert!(sources.held.lock().is_empty());
    }
}
