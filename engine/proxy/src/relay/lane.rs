//! The far side as one near connection sees it: requests go over the newest connection, and a connection that is
//! outdated (our certificate changed, the peer's is old, the far side says goodbye) finishes what it carries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use parking_lot::Mutex;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::answer::Carried;
use super::asked::Asked;
use super::far::{Far, Handle, Windows};
use crate::credentials::Credentials;
use crate::peer::PeerWatch;
use crate::tls::{ConnectError, Connected, Connector};

/// Where the far side is.
#[derive(Debug)]
pub(crate) enum Target {
    /// A UNIX socket, without TLS.
    Unix(PathBuf),
    /// A TCP address, by verified mTLS.
    Tls {
        /// `host:port`.
        address: String,
        /// Whom we expect there.
        connector: Connector,
        /// Our identity and trust.
        credentials: Credentials,
        /// Whether connections carry our identity, and so must be made anew when it changes.
        with_identity: bool,
    },
}

/// A connection to the far side, nothing said yet.
pub(crate) enum Opened {
    /// Without TLS.
    Unix(UnixStream),
    /// Verified, with the watch over its peer.
    Tls(Box<Connected<TcpStream>>, PeerWatch),
}

/// Why the newest attempt to reach the far side failed; None after one that held.
#[derive(Debug, Default)]
pub(crate) struct LastError(Mutex<Option<String>>);

/// Carries the requests of one near connection, or of many, to the far side.
#[derive(Debug)]
pub(crate) struct Lane {
    target: Arc<Target>,
    last_error: Arc<LastError>,
    windows: Windows,
    /// Held while connecting, so that requests that come together share one connection.
    current: tokio::sync::Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    far: Option<Far>,
    failed: Option<(Instant, ConnectError)>,
}

/// A SYN is sent again after 1 s and 3 s; a third try helps nobody who waits for an answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A request is sent again only when it provably never left, which happens when the far side said goodbye just now.
const ATTEMPTS: usize = 3;

impl LastError {
    /// The sentence.
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }

    pub(crate) fn set(&self, error: Option<String>) {
        *self.0.lock() = error;
    }
}

impl Lane {
    /// A lane for one near connection.
    pub(crate) fn new(target: Arc<Target>, last_error: Arc<LastError>) -> Lane {
        Lane::with(target, last_error, Windows::Own)
    }

    /// A lane for many near connections.
    pub(crate) fn shared(target: Arc<Target>, last_error: Arc<LastError>) -> Lane {
        Lane::with(target, last_error, Windows::Shared)
    }

    fn with(target: Arc<Target>, last_error: Arc<LastError>, windows: Windows) -> Lane {
        Lane {
            target,
            last_error,
            windows,
            current: tokio::sync::Mutex::default(),
        }
    }

    /// Carry one request.
    pub(super) async fn send(&self, request: Request<Asked>) -> Result<Response<Carried>, ConnectError> {
        let outcome = self.attempts(self.target.readdressed(request)).await;
        self.last_error
            .set(outcome.as_ref().err().map(ToString::to_string));
        outcome
    }

    async fn attempts(&self, mut request: Request<Asked>) -> Result<Response<Carried>, ConnectError> {
        let mut why = ConnectError::Unreachable("the far side closes every connection at once".into());
        for _ in 0..ATTEMPTS {
            let failed = match self.handle().await?.send(request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            why = failed.why;
            request = match (failed.unsent, &why) {
                (Some(unsent), ConnectError::Unreachable(_)) => unsent,
                // It may have arrived; or the same certificate would be refused again.
                _ => return Err(why),
            };
        }
        Err(why)
    }

    /// A handle on the connection for new requests, which is made now if need be. Who waited while an attempt
    /// failed shares its failure: a server that is gone costs one deadline, not one for each request in turn.
    async fn handle(&self) -> Result<Handle, ConnectError> {
        let asked = Instant::now();
        let mut current = self.current.lock().await;
        if let Some((at, why)) = &current.failed
            && *at >= asked
        {
            return Err(why.clone());
        }
        if let Some(handle) = current.handle(self.target.generation()) {
            return Ok(handle);
        }
        // Dropping the old connection lets it finish its streams and then close.
        current.far = None;
        let made = self.target.connect(self.windows).await;
        let outcome = made.and_then(|far| {
            let handle = far.handle(far.generation()).ok_or_else(|| far.lost());
            current.far = Some(far);
            handle
        });
        current.failed = outcome.as_ref().err().map(|why| (Instant::now(), why.clone()));
        outcome
    }
}

impl Current {
    fn handle(&self, generation: u64) -> Option<Handle> {
        self.far.as_ref()?.handle(generation)
    }
}

impl Target {
    /// The identity that new requests must be carried with.
    fn generation(&self) -> u64 {
        match self {
            Target::Tls {
                credentials,
                with_identity: true,
                ..
            } => credentials.held().map_or(0, |held| held.generation),
            _ => 0,
        }
    }

    async fn connect(&self, windows: Windows) -> Result<Far, ConnectError> {
        match self.open().await? {
            Opened::Unix(stream) => Far::open(stream, 0, None, windows).await,
            Opened::Tls(connected, watch) => {
                Far::open(connected.stream, connected.generation, Some(watch), windows).await
            }
        }
    }

    /// Open one connection, verified where it has TLS.
    pub(crate) async fn open(&self) -> Result<Opened, ConnectError> {
        match self {
            Target::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                stream
                    .map(Opened::Unix)
                    .map_err(|error| unreachable(&path.display(), error))
            }
            Target::Tls {
                address,
                connector,
                credentials,
                ..
            } => {
                let connected = connector.connect(dial(address).await?).await?;
                let watch = PeerWatch::new(credentials, &connected.peer);
                Ok(Opened::Tls(Box::new(connected), watch))
            }
        }
    }

    /// A request as it is sent on: the near client's idea of the server's name ends here.
    fn readdressed(&self, mut request: Request<Asked>) -> Request<Asked> {
        let path = request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path);
        parts.scheme = Some(match self {
            Target::Unix(_) => Scheme::HTTP,
            Target::Tls { .. } => Scheme::HTTPS,
        });
        parts.authority = Some(Authority::from_static("localhost"));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        request
    }
}

async fn dial(address: &str) -> Result<TcpStream, ConnectError> {
    let connecting = timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await;
    let stream = match connecting {
        Ok(connected) => connected.map_err(|error| unreachable(&address, error))?,
        Err(_) => {
            return Err(unreachable(
                &address,
                format!("no answer within {} s", CONNECT_DEADLINE.as_secs()),
            ));
        }
    };
    stream
        .set_nodelay(true)
        .map_err(|error| unreachable(&address, error))?;
    Ok(stream)
}

fn unreachable(address: &dyn std::fmt::Display, error: impl std::fmt::Display) -> ConnectError {
    ConnectError::Unreachable(format!("{address} cannot be reached: {error}"))
}
