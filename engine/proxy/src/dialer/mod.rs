//! A UNIX socket whose far end is verified mTLS to one address. A gRPC channel of ours opens the socket and knows
//! nothing of certificates: when the identity changes, new calls go over a new connection and the old one
//! finishes what it carries, under the open channel.

mod config;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::time::sleep;

pub use config::Config;

use crate::address::{Address, listen_unix};
use crate::config::ConfigError;
use crate::credentials::Credentials;
use crate::drain::{Drain, Draining};
use crate::relay::{Lane, LastError, Limits, Near, Target};
use crate::runtime;
use crate::tls::{Connector, GRPC};

/// The near end of a verified connection.
#[derive(Debug)]
pub struct Dialer {
    config: Config,
    target: Arc<Target>,
    last_error: Arc<LastError>,
    running: Mutex<Option<(Drain, PathBuf)>>,
}

/// Only this user; whoever may open the socket acts as this workload.
const MODE: u32 = 0o600;

/// The near side is ourselves, so these limits only bound mistakes.
const LIMITS: Limits = Limits {
    streams: 1000,
    header_bytes: 64 * 1024,
    first_request: Duration::from_secs(60),
    idle: Duration::from_secs(600),
};

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Dialer {
    /// A dialer as this JSON says; nothing is opened yet.
    pub fn new(credentials: Credentials, config: &[u8]) -> Result<Dialer, ConfigError> {
        let config = Config::read(config)?;
        let target = Arc::new(match config.address.clone() {
            Address::Unix(path) => Target::Unix(path),
            Address::Tcp(address) => {
                let expect = config.expectation()?;
                let with_identity = config.client_certificate;
                let connector = Connector::new(&credentials, expect, with_identity, GRPC);
                Target::Tls {
                    address,
                    connector,
                    credentials,
                    with_identity,
                }
            }
        });
        Ok(Dialer {
            config,
            target,
            last_error: Arc::default(),
            running: Mutex::new(None),
        })
    }

    /// Open the socket; returns its path. Nothing is dialled before the first call.
    pub fn start(&self) -> Result<String, ConfigError> {
        let mut running = self.running.lock();
        if running.is_some() {
            return Err(ConfigError::Started);
        }
        let _runtime = runtime::handle().enter();
        let path = self.config.socket.clone();
        let listener = listen_unix(&path, MODE)?;
        let drain = Drain::new();
        let accept = accept(
            listener,
            self.target.clone(),
            self.last_error.clone(),
            drain.hold(),
        );
        runtime::handle().spawn(accept);
        *running = Some((drain, path.clone()));
        Ok(path.display().to_string())
    }

    /// Close the socket and cut every connection. Does nothing when not started.
    pub fn stop(&self) {
        let Some((drain, path)) = self.running.lock().take() else {
            return;
        };
        // Somebody may have removed it before us.
        let _ = std::fs::remove_file(path);
        runtime::handle().block_on(drain.end_now());
    }

    /// Why the newest attempt to reach the far side failed, one sentence; None after one that held.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.get()
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        if let Some((drain, path)) = self.running.get_mut().take() {
            // Somebody may have removed it before us.
            let _ = std::fs::remove_file(path);
            drain.cut();
        }
    }
}

async fn accept(
    listener: UnixListener,
    target: Arc<Target>,
    last_error: Arc<LastError>,
    mut draining: Draining,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = draining.begun() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let lane = Arc::new(Lane::new(target.clone(), last_error.clone()));
                let near = Near {
                    lane,
                    limits: LIMITS,
                    stamp: [].into(),
                    watch: None,
                    draining: draining.clone(),
                };
                tokio::spawn(near.serve(stream));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}
