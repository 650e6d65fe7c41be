//! A UNIX socket whose far end is verified mTLS to one address. A client of ours opens the socket and knows nothing of
//! certificates. A gRPC channel stays open for long: when the identity changes, new calls go over a new connection and the old one
//! finishes what it carries, under the open channel.

mod bytes;
mod config;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

pub use config::{Carry, Config};

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
    haste: None,
};

/// Near connections at once; our own channels are a handful.
const CONNECTIONS: usize = 1000;

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
                let protocols = match config.carry {
                    Carry::Grpc => GRPC,
                    Carry::Bytes => &["http/1.1"],
                };
                let connector = Connector::new(&credentials, expect, with_identity, protocols);
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
        let front = Front {
            carry: self.config.carry,
            target: self.target.clone(),
            last_error: self.last_error.clone(),
        };
        runtime::handle().spawn(front.accept(listener, drain.hold()));
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

/// The near side: serves whoever opens the socket.
struct Front {
    carry: Carry,
    target: Arc<Target>,
    last_error: Arc<LastError>,
}

impl Front {
    async fn accept(self, listener: UnixListener, mut draining: Draining) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = draining.begun() => return,
            };
            match (accepted, room.clone().try_acquire_owned()) {
                (Ok((stream, _)), Ok(permit)) => {
                    let serving = self.serve(stream, draining.clone());
                    tokio::spawn(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                // Whoever opens more than this has lost count; closing says so at once.
                (Ok(_), Err(_)) => {}
                (Err(_), _) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn serve(&self, stream: UnixStream, draining: Draining) -> impl Future<Output = ()> + Send + 'static {
        let (carry, target, last_error) = (self.carry, self.target.clone(), self.last_error.clone());
        async move {
            match carry {
                Carry::Bytes => bytes::carry(stream, &target, &last_error, draining).await,
                Carry::Grpc => {
                    let near = Near {
                        lane: Arc::new(Lane::new(target, last_error)),
                        limits: LIMITS,
                        stamp: [].into(),
                        watch: None,
                        draining,
                    };
                    near.serve(stream).await;
                }
            }
        }
    }
}
