//! Limits on everything that a peer can make us hold or wait for, and what a limit must be to be one.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;

use super::ConfigError;

/// The limits of one proxy.
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
    /// Most connections on each listener, and most requests at once on all of them.
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

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_seconds(&[
            ("limits.handshake_seconds", self.handshake_seconds),
            ("limits.header_seconds", self.header_seconds),
            ("limits.body_seconds", self.body_seconds),
            ("limits.idle_seconds", self.idle_seconds),
            ("limits.upstream_connect_seconds", self.upstream_connect_seconds),
            ("limits.upstream_seconds", self.upstream_seconds),
        ])?;
        for (setting, size) in [
            ("limits.body_bytes", self.body_bytes),
            ("limits.answer_bytes", self.answer_bytes),
            ("limits.rows", usize::try_from(self.rows).unwrap_or(usize::MAX)),
            ("limits.depth", self.depth),
            ("limits.streams", self.streams as usize),
        ] {
            if size == 0 {
                return Err(ConfigError::value(setting, size, "at least 1"));
            }
        }
        check_connections(self.connections)?;
        if self.header_bytes < LEAST_HEADER_BYTES || u32::try_from(self.header_bytes).is_err() {
            let setting = "limits.header_bytes";
            return Err(ConfigError::value(
                setting,
                self.header_bytes,
                "8192 to 4294967295",
            ));
        }
        Ok(())
    }
}

/// Deadlines that strike, and not before they are set.
pub(crate) fn check_seconds(deadlines: &[(&str, f64)]) -> Result<(), ConfigError> {
    let wrong = |(_, value): &&(&str, f64)| !(*value > 0.0 && *value <= LONGEST);
    match deadlines.iter().find(wrong) {
        None => Ok(()),
        Some((setting, value)) => Err(ConfigError::value(
            *setting,
            value,
            "more than 0 and at most 86400 seconds",
        )),
    }
}

/// A number of connections that a semaphore can count.
pub(crate) fn check_connections(connections: usize) -> Result<(), ConfigError> {
    if (1..=Semaphore::MAX_PERMITS).contains(&connections) {
        return Ok(());
    }
    Err(ConfigError::value(
        "limits.connections",
        connections,
        "at least 1, and what memory can hold",
    ))
}

/// A number of seconds that [`check_seconds`] has passed.
pub(crate) fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value)
}

/// hyper refuses to work with smaller read buffers.
const LEAST_HEADER_BYTES: usize = 8192;
/// A day: longer deadlines are typing errors, and overflow no clock.
const LONGEST: f64 = 86_400.0;
