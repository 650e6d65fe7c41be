//! What a proxy is told when it is made: which sockets to open, where to write, and the limits on everything.
//!
//! The JSON is read strictly, because a misspelt limit that is silently ignored is a limit that does not exist.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::address::{Address, SocketError};

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The JSON does not have the form that is asked for.
    #[error("the engine's configuration cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// A value is readable and impossible.
    #[error("{setting} is {value}, which cannot be: {expected}")]
    Value {
        /// The setting's name.
        setting: String,
        /// What it was set to.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// A socket cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A file cannot be opened.
    #[error("{setting} {value} cannot be opened: {error}")]
    Open {
        /// What was to be opened.
        setting: &'static str,
        /// Its address or path.
        value: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// The whole configuration of one proxy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The serving side; absent in a pure client.
    #[serde(default)]
    pub serve: Option<Serve>,
    /// The feature sets that local apps call through this proxy.
    #[serde(default)]
    pub outbound: Vec<Outbound>,
    /// Where probes and metrics are answered.
    #[serde(default)]
    pub health: Option<SocketAddr>,
    /// The UNIX socket that answers GET /status.
    #[serde(default)]
    pub admin: Option<PathBuf>,
    /// The file that gets one line for each decision.
    #[serde(default)]
    pub record: Option<PathBuf>,
    /// The token that `upstreamAuth: token` sends, read again when the file changes.
    #[serde(default)]
    pub upstream_token: Option<PathBuf>,
    /// Worker threads; 0 takes them from the CPU limit.
    #[serde(default)]
    pub workers: usize,
    /// Limits on everything.
    #[serde(default)]
    pub limits: Limits,
}

/// The serving side's sockets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Where mTLS is served.
    pub listen: SocketAddr,
    /// Where callers without identity are served, if anywhere.
    #[serde(default)]
    pub plain: Option<SocketAddr>,
}

/// One feature set that local apps call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// `name`, or `namespace/name` where the name alone is not unique.
    pub feature_set: String,
    /// `127.0.0.1:15100` or `unix:/path`.
    pub listen: String,
    /// The only user that may connect to a UNIX socket.
    #[serde(default)]
    pub peer_uid: Option<u32>,
}

/// Limits on everything that a peer can make us hold or wait for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request body. 1 MiB holds 1,000 rows of any sane entity.
    pub body_bytes: usize,
    /// Largest answer of the feature server. 64 MiB: Feast itself has no cap.
    pub answer_bytes: usize,
    /// Largest header section of a request.
    pub header_bytes: usize,
    /// Most rows that one request may ask for, whatever a binding says.
    pub rows: u64,
    /// Deepest nesting of a request's JSON.
    pub depth: usize,
    /// Most connections on each listener.
    pub connections: usize,
    /// Most concurrent HTTP/2 streams on a connection.
    pub streams: u32,
    /// Until a TLS handshake is done.
    pub handshake_seconds: f64,
    /// From the first byte of a header section to its last.
    pub header_seconds: f64,
    /// From the header section to the body's last byte.
    pub body_seconds: f64,
    /// How long a connection may be silent.
    pub idle_seconds: f64,
    /// Until the feature server or a remote sidecar accepts a connection.
    pub upstream_connect_seconds: f64,
    /// Until its whole answer is here.
    pub upstream_seconds: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 1 << 20,
            answer_bytes: 64 << 20,
            header_bytes: 32 << 10,
            rows: 1000,
            depth: 8,
            connections: 4096,
            streams: 100,
            handshake_seconds: 10.0,
            header_seconds: 10.0,
            body_seconds: 15.0,
            idle_seconds: 120.0,
            upstream_connect_seconds: 2.0,
            upstream_seconds: 30.0,
        }
    }
}

/// hyper refuses to work with smaller read buffers.
const LEAST_HEADER_BYTES: usize = 8192;
/// A day: longer deadlines are typing errors, and overflow no clock.
const LONGEST: f64 = 86_400.0;

impl Config {
    /// Read and check a configuration.
    pub fn read(json: &[u8]) -> Result<Config, ConfigError> {
        let config: Config = serde_json::from_slice(json)?;
        config.limits.check()?;
        config.outbound.iter().try_for_each(Outbound::address)?;
        Ok(config)
    }
}

impl Outbound {
    /// Where to listen; anything but loopback would lend this workload's identity to other machines.
    pub(crate) fn listen_address(&self) -> Result<Address, ConfigError> {
        const EXPECTED: &str = "a loopback address with a port, or unix:/path";
        let address = Address::try_from(self.listen.clone()).map_err(|_| self.impossible(EXPECTED))?;
        match (&address, self.peer_uid) {
            (Address::Unix(_), _) => Ok(address),
            (Address::Tcp(_), Some(_)) => Err(self.impossible("a unix: address, as peer_uid is set")),
            (Address::Tcp(text), None) if is_loopback(text) => Ok(address),
            (Address::Tcp(_), None) => Err(self.impossible(EXPECTED)),
        }
    }

    fn address(&self) -> Result<(), ConfigError> {
        self.listen_address().map(|_| ())
    }

    fn impossible(&self, expected: &'static str) -> ConfigError {
        ConfigError::Value {
            setting: format!("outbound {}", self.feature_set),
            value: self.listen.clone(),
            expected,
        }
    }
}

fn is_loopback(address: &str) -> bool {
    address
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_loopback())
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        for (name, seconds) in [
            ("handshake_seconds", self.handshake_seconds),
            ("header_seconds", self.header_seconds),
            ("body_seconds", self.body_seconds),
            ("idle_seconds", self.idle_seconds),
            ("upstream_connect_seconds", self.upstream_connect_seconds),
            ("upstream_seconds", self.upstream_seconds),
        ] {
            if !(seconds > 0.0 && seconds <= LONGEST) {
                return Err(impossible(name, seconds, "more than 0 and at most 86400 seconds"));
            }
        }
        for (name, size) in [
            ("body_bytes", self.body_bytes),
            ("answer_bytes", self.answer_bytes),
            ("rows", usize::try_from(self.rows).unwrap_or(usize::MAX)),
            ("depth", self.depth),
            ("connections", self.connections),
            ("streams", self.streams as usize),
        ] {
            if size == 0 {
                return Err(impossible(name, size, "at least 1"));
            }
        }
        if self.header_bytes < LEAST_HEADER_BYTES || u32::try_from(self.header_bytes).is_err() {
            return Err(impossible(
                "header_bytes",
                self.header_bytes,
                "8192 to 4294967295",
            ));
        }
        Ok(())
    }
}

/// A number of seconds that [`Config::read`] has checked.
pub(crate) fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value)
}

fn impossible(name: &str, value: impl ToString, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        setting: format!("limits.{name}"),
        value: value.to_string(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = Config::read(br#"{"serve": {"listen": "127.0.0.1:0"}}"#).unwrap();
        assert_eq!(config.limits.rows, 1000);
        assert_eq!(config.limits.body_bytes, 1 << 20);
        assert!(config.serve.unwrap().plain.is_none());
        assert!(config.record.is_none());
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        for text in [
            r#"{"limit": {}}"#,
            r#"{"limits": {"row": 1}}"#,
            r#"{"serve": {"port": 1}}"#,
        ] {
            assert!(
                matches!(Config::read(text.as_bytes()), Err(ConfigError::Form(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_limit_that_is_no_limit_is_refused() {
        for text in [
            r#"{"limits": {"body_seconds": 0}}"#,
            r#"{"limits": {"idle_seconds": 1e300}}"#,
            r#"{"limits": {"rows": 0}}"#,
            r#"{"limits": {"header_bytes": 100}}"#,
        ] {
            assert!(
                matches!(Config::read(text.as_bytes()), Err(ConfigError::Value { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn outbound_lends_the_identity_to_this_machine_only() {
        let read = |listen: &str, uid: &str| {
            Config::read(
                format!(r#"{{"outbound": [{{"feature_set": "x", "listen": "{listen}"{uid}}}]}}"#).as_bytes(),
            )
        };
        assert!(read("127.0.0.1:0", "").is_ok());
        assert!(read("[::1]:0", "").is_ok());
        assert!(read("unix:/tmp/x", r#", "peer_uid": 5"#).is_ok());
        assert!(read("0.0.0.0:15100", "").is_err());
        assert!(read("127.0.0.1:0", r#", "peer_uid": 5"#).is_err());
        assert!(read("localhost", "").is_err());
    }
}
