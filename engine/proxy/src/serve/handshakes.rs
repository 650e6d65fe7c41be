//! Who is shaking hands just now. A connection that says nothing holds a place until the handshake's deadline, and
//! costs whoever opened it nothing; so when places get scarce, one address may hold only a part of them this way.

use std::net::IpAddr;

use ahash::AHashMap;
use parking_lot::Mutex;

/// The handshakes under way on one port, by source.
#[derive(Debug)]
pub(super) struct Handshakes {
    /// Places for connections, shaking hands or not.
    places: usize,
    under_way: Mutex<AHashMap<IpAddr, usize>>,
}

/// One handshake that is under way.
#[derive(Debug)]
pub(super) struct Shaking<'h> {
    all: &'h Handshakes,
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

impl Handshakes {
    pub(super) fn new(places: usize) -> Handshakes {
        Handshakes {
            places,
            under_way: Mutex::default(),
        }
    }

    /// Count one more.
    pub(super) fn begin(&self, from: IpAddr) -> Shaking<'_> {
        let from = from.to_canonical();
        let mut under_way = self.under_way.lock();
        let number = under_way.entry(from).or_default();
        *number += 1;
        Shaking {
            all: self,
            from,
            number: *number,
        }
    }
}

impl Shaking<'_> {
    /// Whether it may go on, with so many places free.
    pub(super) fn fits(&self, free: usize) -> bool {
        free >= self.all.places / SCARCE || self.number <= (self.all.places / SHARE).max(LEAST)
    }
}

impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        let mut under_way = self.all.under_way.lock();
        if let Some(number) = under_way.get_mut(&self.from) {
            *number -= 1;
            if *number == 0 {
                under_way.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_places_are_scarce_one_source_leaves_some_to_others() {
        let handshakes = Handshakes::new(128);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held: Vec<_> = (0..16).map(|_| handshakes.begin(one)).collect();
        assert!(held.iter().all(|shaking| shaking.fits(0)));
        assert!(handshakes.begin(one).fits(64));
        assert!(!handshakes.begin(one).fits(63));
        assert!(handshakes.begin(other).fits(0));
        drop(held);
        assert!(handshakes.begin(one).fits(0));
        assert!(handshakes.under_way.lock().is_empty());
    }
}
