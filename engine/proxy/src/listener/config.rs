//! What a listener is told when it is made.

use std::path::PathBuf;

use serde::Deserialize;

use crate::address::Address;
use crate::config::{ConfigError, check_connections, check_seconds, seconds};
use crate::relay::{self, Haste};
use crate::tls::ClientCertificate;

/// The configuration of one listener, read strictly: a misspelt setting is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen: `host:port` with TLS, or `unix:/path` without, where the kernel says who calls.
    pub listen: Address,
    /// The gRPC server's UNIX socket.
    pub forward: PathBuf,
    /// Whether clients must prove an identity. Meaningless on a UNIX socket.
    #[serde(default = "required")]
    pub client_certificate: ClientCertificate,
    /// Accept, and mark, clients whose certificate expired less than this many seconds ago.
    #[serde(default)]
    pub expired_grace_seconds: i64,
    /// Send the root with the chain, for clients at first contact, who know only its digest.
    #[serde(default)]
    pub send_root: bool,
    /// How many connections to the gRPC server all callers share; 0 gives each caller one of its own. Ten thousand
    /// callers that each hold one stream open would be as many transports in the server.
    #[serde(default)]
    pub far_connections: usize,
    /// Permissions of a UNIX socket. Everybody may call by default: who may do what is the server's decision.
    #[serde(default = "everybody")]
    pub mode: u32,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
}

/// Limits of a listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once; the next one waits in the kernel's queue. A restart storm brings thousands. One identity
    /// gets at most half of them, and all strangers (callers without certificate) together at most a quarter, so that
    /// whoever has a certificate gets in.
    pub connections: usize,
    /// Connections at once of one source that shows no certificate: an IPv4 address, an IPv6 network of 64 bits, a
    /// user of a UNIX socket. A cluster may start behind one address: it gets in so many at a time, and each of them
    /// stays for one call.
    pub source_connections: usize,
    /// Streams at once on one connection, as in nginx and Envoy's hardened defaults.
    pub streams: u32,
    /// Largest header list of a call.
    pub header_bytes: u32,
    /// How long a handshake may take.
    pub handshake_seconds: f64,
    /// How long a new connection may take to make its first call, and a stranger's call to begin its message.
    pub header_seconds: f64,
    /// How long a stranger's call may take to be answered, and a stranger's connection to end, where it came by TLS.
    /// Our own clients give up sooner.
    pub stranger_seconds: f64,
    /// How long a connection may stay without a call; a stranger's by TLS no longer than `header_seconds`.
    pub idle_seconds: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 16_384,
            source_connections: 256,
            streams: 100,
            header_bytes: 32 * 1024,
            handshake_seconds: 10.0,
            header_seconds: 10.0,
            stranger_seconds: 60.0,
            idle_seconds: 120.0,
        }
    }
}

impl Limits {
    /// What a caller with a certificate must keep to.
    pub(super) fn of_peers(&self) -> relay::Limits {
        relay::Limits {
            streams: self.streams,
            header_bytes: self.header_bytes,
            first_request: seconds(self.header_seconds),
            idle: seconds(self.idle_seconds),
            haste: None,
        }
    }

    /// A user of this machine has proven no more than its number, but may have come to wait for what the server says.
    pub(super) fn of_users(&self) -> relay::Limits {
        relay::Limits {
            haste: Some(self.haste()),
            ..self.of_peers()
        }
    }

    /// A stranger comes to make one call. The end of its connection also ends an answer that it does not read.
    pub(super) fn of_strangers(&self) -> relay::Limits {
        let haste = Haste {
            connection: Some(seconds(self.stranger_seconds)),
            ..self.haste()
        };
        relay::Limits {
            idle: seconds(self.idle_seconds.min(self.header_seconds)),
            haste: Some(haste),
            ..self.of_peers()
        }
    }

    fn haste(&self) -> Haste {
        Haste {
            message: seconds(self.header_seconds),
            answer: seconds(self.stranger_seconds),
            connection: None,
        }
    }
}

impl Config {
    /// Read and check a configuration.
    pub fn read(json: &[u8]) -> Result<Config, ConfigError> {
        let config: Config = serde_json::from_slice(json)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        check_seconds(&[
            ("limits.handshake_seconds", limits.handshake_seconds),
            ("limits.header_seconds", limits.header_seconds),
            ("limits.stranger_seconds", limits.stranger_seconds),
            ("limits.idle_seconds", limits.idle_seconds),
        ])?;
        check_connections(limits.connections)?;
        if limits.streams == 0 || limits.header_bytes < 1024 || limits.source_connections == 0 {
            return Err(ConfigError::value(
                "limits",
                format!("{limits:?}"),
                "at least 1 stream, 1 of source_connections, and 1024 header_bytes",
            ));
        }
        if self.far_connections > MOST_FAR_CONNECTIONS {
            return Err(ConfigError::value(
                "far_connections",
                self.far_connections,
                "at most 1024",
            ));
        }
        if self.expired_grace_seconds < 0 {
            return Err(ConfigError::value(
                "expired_grace_seconds",
                self.expired_grace_seconds,
                "0 or more",
            ));
        }
        if !self.forward.is_absolute() {
            return Err(ConfigError::value(
                "forward",
                self.forward.display(),
                "the absolute path of a socket",
            ));
        }
        Ok(())
    }
}

/// More would be no sharing; each is an open file.
const MOST_FAR_CONNECTIONS: usize = 1024;

fn required() -> ClientCertificate {
    ClientCertificate::Required
}

fn everybody() -> u32 {
    0o666
}
