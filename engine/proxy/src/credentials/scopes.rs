//! The scope table: which authority's key may sign which paths. Apart from the roots, because an environment whose
//! identities come from somebody else's issuer has roots and no table.

use std::collections::HashMap;

use featward_policy::SpiffeId;

use super::trust::bad;
use crate::hex;
use crate::verify::{Cause, IdentityError, Issued};

/// Path prefixes by the SHA-256 of the key that may sign below them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scopes(HashMap<[u8; 32], String>);

impl Scopes {
    /// Read the rows; refused when one can't be meant, such as a root's key or a prefix of half a segment.
    pub(super) fn read(
        rows: Vec<(Vec<u8>, String)>,
        root_keys: &[[u8; 32]],
    ) -> Result<Scopes, IdentityError> {
        let mut scopes = HashMap::new();
        for (key, prefix) in rows {
            let Ok(key) = <[u8; 32]>::try_from(key.as_slice()) else {
                return Err(bad(format!(
                    "the key of scope {prefix} has {} bytes, expected a SHA-256 of 32",
                    key.len()
                )));
            };
            if root_keys.contains(&key) {
                return Err(bad(format!(
                    "scope {prefix} names a root's key, which signs only authorities"
                )));
            }
            let prefix = read_prefix(&prefix)?;
            match scopes.insert(key, prefix.clone()) {
                Some(other) if other != prefix => {
                    return Err(bad(format!("one key has two scopes, {other} and {prefix}")));
                }
                _ => {}
            }
        }
        Ok(Scopes(scopes))
    }

    /// Whether the table names this key.
    pub(super) fn names(&self, key: &[u8; 32]) -> bool {
        self.0.contains_key(key)
    }

    /// Refuse unless the key that signed the leaf is in the table with a prefix of the leaf's path.
    pub(super) fn check(&self, issued: &Issued, id: &SpiffeId) -> Result<(), IdentityError> {
        if issued.intermediates() == 0 {
            return Err(out_of_scope(format!(
                "{id} was signed by a root, which signs only authorities"
            )));
        }
        let Some(prefix) = self.0.get(&issued.authority()) else {
            let key = hex::encode(&issued.authority());
            return Err(out_of_scope(format!(
                "{id} was signed by the key {key}, which may sign nothing"
            )));
        };
        if id.path().starts_with(prefix.as_str()) {
            return Ok(());
        }
        Err(out_of_scope(format!(
            "{id} was signed by an authority that may sign only {prefix}"
        )))
    }
}

/// A prefix covers whole segments: `/bu/pay/` must not cover `/bu/payments/…`.
fn read_prefix(prefix: &str) -> Result<String, IdentityError> {
    let inner = prefix.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    match inner {
        Some(inner) if inner.split('/').all(|segment| !segment.is_empty()) => Ok(prefix.to_owned()),
        _ => Err(bad(format!(
            "the scope {prefix:?} is not a path prefix such as /bu/payments/"
        ))),
    }
}

fn out_of_scope(detail: String) -> IdentityError {
    IdentityError::new(Cause::OutOfScope, detail)
}
