//! What a dialer is told when it is made.

use std::path::PathBuf;

use featward_policy::SpiffeId;
use serde::Deserialize;

use crate::address::Address;
use crate::config::ConfigError;
use crate::hex;
use crate::tls::{Anchor, Expect};

/// The configuration of one dialer, read strictly: a misspelt setting is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is: `host:port`, or `unix:/path`, which is passed through without TLS.
    pub address: Address,
    /// The socket to make for our own gRPC channels.
    pub socket: PathBuf,
    /// The SPIFFE ID that the server must prove; only a `unix:` address needs none.
    #[serde(default)]
    pub expect: Option<String>,
    /// At first contact: SHA-256 of the root's DER in hexadecimal, instead of the trust in use.
    #[serde(default)]
    pub root_sha256: Option<String>,
    /// For our own platform only: judge it by any trusted root and its issuer's name (OU=platform) instead of the
    /// scope table, so that a workload that was away for long finds back to a CA whose authority it never heard of.
    #[serde(default)]
    pub platform_by_root: bool,
    /// What goes through.
    #[serde(default)]
    pub carry: Carry,
    /// Whether to prove our own identity. Without one yet, calls fail as `no-identity`.
    #[serde(default = "yes")]
    pub client_certificate: bool,
}

/// What a dialer carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carry {
    /// gRPC: calls of many near connections, each over the newest connection.
    #[default]
    Grpc,
    /// Bytes as they come, one far connection for each near one: for HTTP/1.1, which is the protocol offered.
    Bytes,
}

impl Config {
    /// Read and check a configuration.
    pub fn read(json: &[u8]) -> Result<Config, ConfigError> {
        let config: Config = serde_json::from_slice(json)?;
        if !config.socket.is_absolute() {
            return Err(ConfigError::value(
                "socket",
                config.socket.display(),
                "an absolute path",
            ));
        }
        if matches!(config.address, Address::Tcp(_)) {
            config.expectation()?;
        }
        Ok(config)
    }

    pub(super) fn expectation(&self) -> Result<Expect, ConfigError> {
        let expect = self.expect.as_deref().unwrap_or_default();
        let identity = SpiffeId::parse(expect).map_err(|_| {
            ConfigError::value(
                "expect",
                expect,
                "the server's SPIFFE ID, such as spiffe://prod.acme.example/featward/ca",
            )
        })?;
        let by = self.anchor()?;
        Ok(Expect { identity, by })
    }

    fn anchor(&self) -> Result<Anchor, ConfigError> {
        match (self.root_sha256.as_deref(), self.platform_by_root) {
            (None, false) => Ok(Anchor::Trust),
            (None, true) => Ok(Anchor::PlatformByRoot),
            (Some(text), false) => hex::decode_sha256(text).map(Anchor::Root).ok_or_else(|| {
                ConfigError::value("root_sha256", text, "the 64 hexadecimal digits of a SHA-256")
            }),
            (Some(_), true) => Err(ConfigError::value(
                "platform_by_root",
                true,
                "false where root_sha256 is given: at first contact there are no trusted roots",
            )),
        }
    }
}

fn yes() -> bool {
    true
}
