//! Ends TLS for a gRPC server of ours and forwards each call to its UNIX socket, with headers that say who calls.
//! The gRPC library cannot do this itself: it cannot switch off TLS 1.2 and tickets, cannot leave client
//! certificates optional per call, and cannot judge a live connection again.

mod config;
mod far;
mod front;
mod guests;
mod stamp;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use config::{Config, Limits};
pub use tally::Tally;

use crate::address::{Address, listen_tcp, listen_unix};
use crate::config::ConfigError;
use crate::credentials::Credentials;
use crate::drain::Drain;
use crate::runtime;
use crate::tls::{Acceptor, GRPC};
use far::FarSide;
use front::Front;
use guests::Guests;

/// A TLS or UNIX front of one gRPC server.
#[derive(Debug)]
pub struct Listener {
    credentials: Credentials,
    others: Vec<Credentials>,
    config: Config,
    tally: Arc<Tally>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    drain: Drain,
    /// The socket file to remove in the end.
    socket: Option<PathBuf>,
}

impl Listener {
    /// A listener as this JSON says; nothing is opened yet.
    pub fn new(credentials: Credentials, config: &[u8]) -> Result<Listener, ConfigError> {
        let config = Config::read(config)?;
        Ok(Listener {
            credentials,
            others: Vec::new(),
            config,
            tally: Arc::default(),
            running: Mutex::new(None),
        })
    }

    /// Serve these trust domains as well, each with an identity and trust of its own: see [`Acceptor::others`].
    pub fn others(mut self, others: Vec<Credentials>) -> Result<Listener, ConfigError> {
        let mut known = vec![self.credentials.trust_domain()];
        for other in others.iter().map(Credentials::trust_domain) {
            if known.contains(&other) {
                let expected = "each trust domain once";
                return Err(ConfigError::value(
                    "the trust domain of credentials",
                    other,
                    expected,
                ));
            }
            known.push(other);
        }
        self.others = others;
        Ok(self)
    }

    /// Bind and serve; returns the bound address, as in the configuration. Blocks for as long as binding takes.
    pub fn start(&self) -> Result<String, ConfigError> {
        let mut running = self.running.lock();
        if running.is_some() {
            return Err(ConfigError::Started);
        }
        let drain = Drain::new();
        let front = self.front();
        let _runtime = runtime::handle().enter();
        let (bound, socket) = match &self.config.listen {
            Address::Tcp(address) => {
                let (listener, bound) = runtime::handle().block_on(listen_tcp(address))?;
                runtime::handle().spawn(front.serve_tls(listener, self.acceptor(), drain.hold()));
                (bound.to_string(), None)
            }
            Address::Unix(path) => {
                let listener = listen_unix(path, self.config.mode)?;
                runtime::handle().spawn(front.serve_unix(listener, drain.hold()));
                (self.config.listen.to_string(), Some(path.clone()))
            }
        };
        *running = Some(Running { drain, socket });
        Ok(bound)
    }

    /// Take no new calls, wait up to `grace` for those under way, then cut. Does nothing when not started.
    pub fn stop(&self, grace: Duration) {
        let Some(running) = self.running.lock().take() else {
            return;
        };
        running.remove_socket();
        runtime::handle().block_on(running.drain.end(grace));
    }

    /// Handshakes so far, accepted and by cause of refusal; and connections that were turned away for their number.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn front(&self) -> Front {
        Front {
            far: FarSide::new(self.config.forward.clone(), self.config.far_connections),
            guests: Guests::new(&self.config.limits),
            limits: self.config.limits.clone(),
            tally: self.tally.clone(),
        }
    }

    fn acceptor(&self) -> Acceptor {
        Acceptor::new(&self.credentials, self.config.client_certificate, GRPC)
            .others(self.others.clone())
            .expired_grace(self.config.expired_grace_seconds)
            .send_root(self.config.send_root)
            .deadline(Duration::from_secs_f64(self.config.limits.handshake_seconds))
    }
}

impl Running {
    fn remove_socket(&self) {
        if let Some(path) = &self.socket {
            // Somebody may have removed it before us.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            running.remove_socket();
            running.drain.cut();
        }
    }
}
