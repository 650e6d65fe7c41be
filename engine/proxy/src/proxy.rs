//! The data plane of one sidecar as an object: made from a configuration, started, fed with policy, stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use featward_policy::{Policy, PolicyError};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::address::{Address, listen_tcp, listen_unix};
use crate::admin;
use crate::config::{Config, ConfigError, seconds};
use crate::credentials::Credentials;
use crate::drain::Drain;
use crate::health::Health;
use crate::local::{self, Local};
use crate::outbound::Outbound;
use crate::runtime;
use crate::serve::Door;
use crate::state::State;
use crate::tls::{Acceptor, ClientCertificate, HTTP};

/// One proxy: serving side, outbound side, health and admin.
#[derive(Debug)]
pub struct Proxy {
    state: Arc<State>,
    stage: Mutex<Stage>,
}

#[derive(Debug)]
enum Stage {
    Made,
    Running(Office),
    Stopped,
}

/// What goes on answering while requests drain: probes must be told, and the status shown, until the end.
#[derive(Debug)]
struct Office {
    drain: Drain,
    sockets: Vec<PathBuf>,
}

/// What was bound, before anything is served.
#[derive(Default)]
struct Bound {
    doors: Vec<(&'static str, TcpListener)>,
    outbound: Vec<(Arc<Outbound>, Local)>,
    health: Option<Local>,
    admin: Option<Local>,
    addresses: Map<String, Value>,
    sockets: Vec<PathBuf>,
}

impl Proxy {
    /// A proxy as this JSON says; nothing is served yet.
    pub fn new(credentials: Credentials, config: &[u8]) -> Result<Proxy, ConfigError> {
        let config = Config::read(config)?;
        runtime::set_workers(config.workers);
        let state = Arc::new(State::new(config, credentials)?);
        Ok(Proxy {
            state,
            stage: Mutex::new(Stage::Made),
        })
    }

    /// Bind everything and serve; returns JSON of the bound addresses. Either all sockets are bound or none is
    /// served. Blocks for as long as binding takes.
    pub fn start(&self) -> Result<Vec<u8>, ConfigError> {
        let mut stage = self.stage.lock();
        if !matches!(*stage, Stage::Made) {
            return Err(ConfigError::Started);
        }
        let bound = runtime::handle().block_on(self.bind())?;
        let addresses = Value::Object(bound.addresses.clone()).to_string().into_bytes();
        *stage = Stage::Running(self.serve(bound));
        Ok(addresses)
    }

    /// Drain, wait up to `grace` for what is under way, then cut. Blocks. Does nothing when not running.
    pub fn stop(&self, grace: Duration) {
        let Stage::Running(office) = std::mem::replace(&mut *self.stage.lock(), Stage::Stopped) else {
            return;
        };
        runtime::handle().block_on(async {
            self.state.drain.end(grace).await;
            office.close().await;
        });
    }

    /// Decide by this snapshot from the next request on; returns its digest.
    pub fn set_policy(&self, snapshot: &[u8]) -> Result<String, PolicyError> {
        let policy = Policy::load(snapshot)?;
        let digest = policy.digest().to_owned();
        self.state.set_policy(policy);
        Ok(digest)
    }

    /// Append records from now on to the file that has the configured path now: another one has moved it. Where it
    /// cannot be opened, the one before stays in use.
    pub fn reopen_record(&self) -> Result<(), ConfigError> {
        self.state.reopen_record()
    }

    /// JSON that the admin socket shows under "agent".
    pub fn set_agent_status(&self, status: &[u8]) -> Result<(), ConfigError> {
        self.state.set_agent(serde_json::from_slice(status)?);
        Ok(())
    }

    /// All series in the Prometheus text format.
    pub fn metrics(&self) -> String {
        self.state.render_metrics()
    }

    /// JSON: what the admin socket answers to GET /status.
    pub fn status(&self) -> Vec<u8> {
        self.state.status().to_string().into_bytes()
    }

    /// JSON list of what happened since the last call, oldest first.
    pub fn drain_events(&self) -> Vec<u8> {
        self.state.events.drain()
    }

    async fn bind(&self) -> Result<Bound, ConfigError> {
        let config = &self.state.config;
        let mut bound = Bound::default();
        if let Some(serve) = &config.serve {
            let mut addresses = Map::new();
            bound.door("mtls", "listen", serve.listen, &mut addresses).await?;
            if let Some(plain) = serve.plain {
                bound.door("plain", "plain", plain, &mut addresses).await?;
            }
            bound.addresses.insert("serve".into(), Value::Object(addresses));
        }
        let mut addresses = Map::new();
        for outbound in &config.outbound {
            let socket = match outbound.listen_address()? {
                Address::Tcp(address) => bound_tcp(&address).await?,
                Address::Unix(path) => {
                    // Where a user is named everybody may knock, and only that user is let in.
                    let mode = if outbound.peer_uid.is_some() { 0o666 } else { 0o600 };
                    let listener = listen_unix(&path, mode)?;
                    bound.sockets.push(path.clone());
                    (
                        Local::Unix(listener, outbound.peer_uid),
                        format!("unix:{}", path.display()),
                    )
                }
            };
            addresses.insert(outbound.feature_set.clone(), json!(socket.1));
            bound.outbound.push((
                Arc::new(Outbound::new(&self.state, &outbound.feature_set, &socket.1)),
                socket.0,
            ));
        }
        bound
            .addresses
            .insert("outbound".into(), Value::Object(addresses));
        if let Some(address) = config.health {
            let (socket, address) = bound_tcp(&address.to_string()).await?;
            bound.addresses.insert("health".into(), json!(address));
            bound.health = Some(socket);
        }
        if let Some(path) = &config.admin {
            bound.admin = Some(Local::Unix(listen_unix(path, 0o600)?, None));
            bound.addresses.insert("admin".into(), json!(path));
            bound.sockets.push(path.clone());
        }
        Ok(bound)
    }

    fn serve(&self, bound: Bound) -> Office {
        let (state, runtime) = (&self.state, runtime::handle());
        for (name, listener) in bound.doors {
            let acceptor = (name == "mtls").then(|| self.acceptor());
            let door = Door::new(Arc::clone(state), name, acceptor);
            runtime.spawn(door.open(listener, state.drain.hold()));
        }
        for (outbound, socket) in bound.outbound {
            let handle = move |request| Arc::clone(&outbound).answer(request);
            runtime.spawn(local::serve(
                Arc::clone(state),
                "outbound",
                socket,
                state.drain.hold(),
                handle,
            ));
        }
        let office = Drain::new();
        if let Some(socket) = bound.health {
            let health = Arc::new(Health::new(Arc::clone(state)));
            let handle = move |request| {
                let health = Arc::clone(&health);
                async move { health.answer(&request).await }
            };
            runtime.spawn(local::serve(
                Arc::clone(state),
                local::HEALTH,
                socket,
                office.hold(),
                handle,
            ));
        }
        if let Some(socket) = bound.admin {
            let shown = Arc::clone(state);
            let handle = move |request| std::future::ready(admin::answer(&shown, &request));
            runtime.spawn(local::serve(
                Arc::clone(state),
                "admin",
                socket,
                office.hold(),
                handle,
            ));
        }
        Office {
            drain: office,
            sockets: bound.sockets,
        }
    }

    fn acceptor(&self) -> Acceptor {
        let deadline = seconds(self.state.config.limits.handshake_seconds);
        Acceptor::new(&self.state.credentials, ClientCertificate::Required, HTTP).deadline(deadline)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.drain.cut();
        if let Stage::Running(office) = self.stage.get_mut() {
            office.drain.cut();
        }
    }
}

impl Office {
    async fn close(self) {
        for path in &self.sockets {
            // Somebody may have removed it before us.
            let _ = std::fs::remove_file(path);
        }
        self.drain.end_now().await;
    }
}

impl Bound {
    async fn door(
        &mut self,
        name: &'static str,
        setting: &str,
        address: SocketAddr,
        addresses: &mut Map<String, Value>,
    ) -> Result<(), ConfigError> {
        let (listener, bound) = listen_tcp(&address.to_string()).await?;
        addresses.insert(setting.into(), json!(bound.to_string()));
        self.doors.push((name, listener));
        Ok(())
    }
}

async fn bound_tcp(address: &str) -> Result<(Local, String), ConfigError> {
    let (listener, bound) = listen_tcp(address).await?;
    Ok((Local::Tcp(listener), bound.to_string()))
}
