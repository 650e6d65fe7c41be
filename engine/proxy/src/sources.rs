//! Where connections come from. One that says nothing holds a place and costs whoever opened it nothing; so whoever
//! opens many, or has proven nothing, may hold only a part of the places.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::peer::Peer;

/// Who is counted as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// An IPv4 address, or an IPv6 network of 64 bits: whoever has one address there has all of them.
    Network(IpAddr),
    /// A user of this machine.
    User(u32),
    /// A proven SPIFFE ID.
    Identity(Arc<str>),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Source {
        Source::Network(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address => address,
        })
    }
}

impl From<&Peer> for Source {
    fn from(peer: &Peer) -> Source {
        Source::Identity(peer.id().as_str().into())
    }
}

/// The connections of one port that are counted, by source.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Places for connections, counted or not.
    places: usize,
    held: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    each: AHashMap<Source, usize>,
    all: usize,
}

/// One connection that is counted.
#[derive(Debug)]
pub(crate) struct Held<'s> {
    sources: &'s Sources,
    from: Source,
    /// How many this source has with this one, and how many all have.
    number: usize,
    all: usize,
}

/// The bits of an IPv6 address that name its network.
const NETWORK: u128 = !0 << 64;

/// As long as half of the places are free nobody is counted out: after a restart many clients behind one address
/// come back at once.
const SCARCE: usize = 2;
/// A source's part of the places when they are scarce.
const SHARE: usize = 8;
/// A part is never less than this: the end of a handshake is seen a moment after the client goes on, and where there
/// are few places a part of them would hinder one honest caller.
const LEAST: usize = 16;

/// One in so many of these places, but never so few that it would hinder one honest caller.
pub(crate) fn part(places: usize, one_in: usize) -> usize {
    (places / one_in).max(LEAST)
}

impl Sources {
    pub(crate) fn new(places: usize) -> Sources {
        Sources {
            places,
            held: Mutex::default(),
        }
    }

    /// Count one more.
    pub(crate) fn begin(&self, from: impl Into<Source>) -> Held<'_> {
        let from = from.into();
        let mut held = self.held.lock();
        held.all += 1;
        let all = held.all;
        let number = held.each.entry(from.clone()).or_default();
        *number += 1;
        Held {
            sources: self,
            from,
            number: *number,
            all,
        }
    }
}

impl Held<'_> {
    /// Whether it may go on, with so many places free.
    pub(crate) fn fits(&self, free: usize) -> bool {
        let places = self.sources.places;
        free >= places / SCARCE || self.number <= part(places, SHARE)
    }

    /// How many its source has, with this one.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// How many all sources have, with this one.
    pub(crate) fn all(&self) -> usize {
        self.all
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.sources.held.lock();
        held.all -= 1;
        if let Some(number) = held.each.get_mut(&self.from) {
            *number -= 1;
            if *number == 0 {
                held.each.remove(&self.from);
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
        assert!(sources.held.lock().each.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_an_ipv4_address_is_one_however_it_is_written() {
        let from = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(from("2001:db8:1:2::1"), from("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(from("2001:db8:1:2::1"), from("2001:db8:1:3::1"));
        assert_eq!(from("::ffff:10.0.0.1"), from("10.0.0.1"));
        assert_ne!(from("10.0.0.2"), from("10.0.0.1"));
    }

    #[test]
    fn each_is_told_how_many_there_are() {
        let sources = Sources::new(128);
        let (one, other) = (sources.begin(Source::User(1)), sources.begin(Source::User(2)));
        assert_eq!((one.number(), other.number(), other.all()), (1, 1, 2));
        drop(one);
        assert_eq!(sources.begin(Source::User(2)).number(), 2);
        drop(other);
        assert_eq!(sources.begin(Source::User(2)).all(), 1);
    }
}
