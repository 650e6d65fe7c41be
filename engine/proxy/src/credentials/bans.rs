//! Who is refused although everything about their certificates is in order: an identity, one certificate, or all
//! that a key has signed. A ban holds at the next handshake and, as every change of trust, on live connections.

use std::collections::HashMap;
use std::hash::Hash;

use featward_policy::SpiffeId;

use super::trust::bad;
use crate::hex;
use crate::verify::{Cause, IdentityError, Issued, Svid};

/// One ban, checked.
#[derive(Clone, Debug)]
pub struct Ban {
    whom: Whom,
    expires_at: i64,
}

#[derive(Clone, Debug)]
enum Whom {
    Identity(String),
    Serial(String),
    Authority([u8; 32]),
}

impl Ban {
    /// A ban of an `identity` (SPIFFE ID), a `serial` (hexadecimal) or an `authority` (SHA-256 of its SPKI,
    /// hexadecimal) until this second; 0 means until it is lifted.
    pub fn read(kind: &str, value: &str, expires_at: i64) -> Result<Ban, IdentityError> {
        let whom = match kind {
            "identity" => SpiffeId::parse(value)
                .map(|id| Whom::Identity(id.as_str().to_owned()))
                .map_err(|error| bad(format!("the ban of {value:?} names no identity: {error}")))?,
            "serial" => Whom::Serial(read_serial(value)?),
            "authority" => Whom::Authority(hex::decode_sha256(value).ok_or_else(|| {
                bad(format!(
                    "the ban of the authority {value:?} is not the 64 hexadecimal digits of a SHA-256"
                ))
            })?),
            _ => {
                return Err(bad(format!(
                    "a ban is of {kind:?}, expected identity, serial or authority"
                )));
            }
        };
        Ok(Ban { whom, expires_at })
    }
}

/// Serials are compared as numbers: some write them with zeros in front.
fn read_serial(text: &str) -> Result<String, IdentityError> {
    let digits = text.trim_start_matches('0').to_ascii_lowercase();
    if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(digits);
    }
    Err(bad(format!(
        "the ban of the serial {text:?} is no hexadecimal number"
    )))
}

/// All bans in force, each with the second that it ends at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bans {
    identities: HashMap<String, i64>,
    serials: HashMap<String, i64>,
    authorities: HashMap<[u8; 32], i64>,
}

impl Bans {
    pub(super) fn new(bans: Vec<Ban>) -> Bans {
        let mut all = Bans::default();
        for Ban { whom, expires_at } in bans {
            let until = if expires_at == 0 { i64::MAX } else { expires_at };
            match whom {
                Whom::Identity(id) => keep(&mut all.identities, id, until),
                Whom::Serial(serial) => keep(&mut all.serials, serial, until),
                Whom::Authority(key) => keep(&mut all.authorities, key, until),
            }
        }
        all
    }

    pub(super) fn len(&self) -> usize {
        self.identities.len() + self.serials.len() + self.authorities.len()
    }

    /// Refuse who is banned as of `now`. A banned key bans all below it, wherever on the path it stands. Serials are
    /// unique only below our own roots, so `ours` says whether they mean anything here.
    pub(super) fn check(
        &self,
        issued: &Issued,
        svid: &Svid,
        ours: bool,
        now: i64,
    ) -> Result<(), IdentityError> {
        let id = &svid.id;
        if holds(&self.identities, id.as_str(), now) {
            return Err(banned(format!("{id} is banned")));
        }
        if ours && holds(&self.serials, svid.serial.trim_start_matches('0'), now) {
            return Err(banned(format!(
                "the certificate {} of {id} is banned",
                svid.serial
            )));
        }
        match issued.keys.iter().find(|key| holds(&self.authorities, *key, now)) {
            Some(key) => Err(banned(format!(
                "{id} was signed below the key {}, which is banned",
                hex::encode(key)
            ))),
            None => Ok(()),
        }
    }
}

/// Of two bans of the same the longer one counts.
fn keep<K: Hash + Eq>(bans: &mut HashMap<K, i64>, whom: K, until: i64) {
    let known = bans.entry(whom).or_insert(until);
    *known = until.max(*known);
}

fn holds<K, Q>(bans: &HashMap<K, i64>, whom: &Q, now: i64) -> bool
where
    K: Hash + Eq + std::borrow::Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    bans.get(whom).is_some_and(|until| now < *until)
}

fn banned(detail: String) -> IdentityError {
    IdentityError::new(Cause::Banned, detail)
}
