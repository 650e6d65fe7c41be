//! Who may hold how many of a listener's connections. Opening one costs its opener nothing, so whoever has proven
//! nothing gets a part of the places only, and nobody gets them all.

use std::net::IpAddr;

use super::Limits;
use crate::peer::Peer;
use crate::sources::{Held, Source, Sources, part};

/// The connections of one listener.
pub(super) struct Guests {
    handshaking: Sources,
    strangers: Sources,
    named: Sources,
    places: usize,
    of_source: usize,
}

/// The word for the tally of who is turned away.
pub(super) type TooMany = &'static str;

/// One identity leaves the other half to others, however many connections it opens and keeps.
const OF_IDENTITY: usize = 2;
/// Strangers from many sources at once, and an identity that was stolen, still leave a quarter to others.
const OF_STRANGERS: usize = 4;

impl Guests {
    pub(super) fn new(limits: &Limits) -> Guests {
        let sources = || Sources::new(limits.connections);
        Guests {
            handshaking: sources(),
            strangers: sources(),
            named: sources(),
            places: limits.connections,
            of_source: limits.source_connections,
        }
    }

    /// One that shakes hands, with so many places free; whoever it is may still prove it.
    pub(super) fn handshake(&self, from: IpAddr, free: usize) -> Result<Held<'_>, TooMany> {
        let held = self.handshaking.begin(from);
        held.fits(free).then_some(held).ok_or("too-many-handshakes")
    }

    /// One whose handshake is done.
    pub(super) fn peer(&self, from: IpAddr, peer: Option<&Peer>) -> Result<Held<'_>, TooMany> {
        match peer {
            Some(peer) => self.identity(peer),
            None => self.stranger(from),
        }
    }

    /// One of a user of this machine. Users are all there are on such a socket, so they may have all of it.
    pub(super) fn user(&self, uid: u32) -> Result<Held<'_>, TooMany> {
        self.of_one_source(Source::User(uid))
    }

    fn identity(&self, peer: &Peer) -> Result<Held<'_>, TooMany> {
        let held = self.named.begin(peer);
        let fits = held.number() <= part(self.places, OF_IDENTITY);
        fits.then_some(held).ok_or("too-many-of-one-caller")
    }

    fn stranger(&self, from: IpAddr) -> Result<Held<'_>, TooMany> {
        let held = self.of_one_source(from.into())?;
        let fits = held.all() <= part(self.places, OF_STRANGERS);
        fits.then_some(held).ok_or("too-many-strangers")
    }

    fn of_one_source(&self, source: Source) -> Result<Held<'_>, TooMany> {
        let held = self.strangers.begin(source);
        let fits = held.number() <= self.of_source;
        fits.then_some(held).ok_or("too-many-of-one-source")
    }
}
