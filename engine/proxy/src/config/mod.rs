//! What a proxy is told when it is made: which sockets to open, where to write, and the limits on everything.
//!
//! The JSON is read strictly, because a misspelt limit that is silently ignored is a limit that does not exist.

mod error;
mod limits;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::address::Address;

pub use error::ConfigError;
pub use limits::Limits;
pub(crate) use limits::{check_connections, check_seconds, seconds};

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
    /// Whether `/startedz` waits for an identity, so that an app that needs one starts after it has come.
    #[serde(default)]
    pub hold: bool,
    /// The UNIX socket that answers GET /status.
    #[serde(default)]
    pub admin: Option<PathBuf>,
    /// The file that gets one line for each decision.
    #[serde(default)]
    pub record: Option<PathBuf>,
    /// At this size the record is moved to `<record>.1`, in the place of the one before, and begun anew; 0 for never.
    /// So it takes twice this much of a disk that has a limit.
    #[serde(default)]
    pub record_bytes: u64,
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

/// Below this nearly every line would move the record away, and what is kept would be worth nothing.
const SMALLEST_RECORD: u64 = 4096;

/// The serving side's sockets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Where mTLS is served.
    pub listen: SocketAddr,
    /// Where callers without identity are served, if anywhere.
    #[serde(default)]
    pub plain: Option<SocketAddr>,
    /// Where the feature server is on this machine, instead of where the feature sets say: for the one copy of it
    /// that listens elsewhere.
    #[serde(default)]
    pub upstream: Option<SocketAddr>,
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

impl Config {
    /// Read and check a configuration.
    pub fn read(json: &[u8]) -> Result<Config, ConfigError> {
        let config: Config = serde_json::from_slice(json)?;
        config.limits.check()?;
        if (1..SMALLEST_RECORD).contains(&config.record_bytes) {
            let expected = "0 for never, or at least 4096";
            return Err(ConfigError::value("record_bytes", config.record_bytes, expected));
        }
        for outbound in &config.outbound {
            outbound.listen_address()?;
        }
        config.serve.as_ref().map_or(Ok(()), Serve::check)?;
        Ok(config)
    }
}

impl Serve {
    /// Whoever sets this is not who says in the manifests what is protected, so it must not lead off the machine.
    fn check(&self) -> Result<(), ConfigError> {
        let elsewhere = |at: &SocketAddr| !at.ip().is_loopback() || at.port() == 0;
        match self.upstream.filter(elsewhere) {
            Some(upstream) => {
                let expected = "a loopback address with the feature server's port";
                Err(ConfigError::value("serve upstream", upstream, expected))
            }
            None => Ok(()),
        }
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

    fn impossible(&self, expected: &'static str) -> ConfigError {
        ConfigError::value(format!("outbound {}", self.feature_set), &self.listen, expected)
    }
}

fn is_loopback(address: &str) -> bool {
    address
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_loopback())
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
    fn the_feature_server_is_set_on_this_machine_only() {
        let read = |upstream: &str| {
            let serve = format!(r#"{{"serve": {{"listen": "127.0.0.1:0", "upstream": "{upstream}"}}}}"#);
            Config::read(serve.as_bytes())
        };
        assert!(read("127.0.0.1:6566").is_ok());
        assert!(read("[::1]:6566").is_ok());
        assert!(matches!(read("10.0.0.1:6566"), Err(ConfigError::Value { .. })));
        assert!(matches!(read("127.0.0.1:0"), Err(ConfigError::Value { .. })));
        assert!(matches!(read("localhost:6566"), Err(ConfigError::Form(_))));
    }

    #[test]
    fn a_limit_that_is_no_limit_is_refused() {
        for text in [
            r#"{"limits": {"body_seconds": 0}}"#,
            r#"{"limits": {"idle_seconds": 1e300}}"#,
            r#"{"limits": {"rows": 0}}"#,
            r#"{"limits": {"header_bytes": 100}}"#,
            r#"{"record_bytes": 4095}"#,
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
