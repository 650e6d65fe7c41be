//! Sockets for this machine's own use, apps and probes: no TLS, one kind of service each.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::drain::Draining;
use crate::metrics::Socket;
use crate::serve::{Answer, Serving};
use crate::sources::Sources;
use crate::state::State;

/// A bound socket.
#[derive(Debug)]
pub(crate) enum Local {
    Tcp(TcpListener),
    /// With the only user that may connect, if one is named.
    Unix(UnixListener, Option<u32>),
}

/// Accepting fails when file descriptors run out; trying again at once would only burn a core.
const PAUSE: Duration = Duration::from_millis(50);

/// Every pod may reach this one, and whoever fills it with silence must not keep the probes out. The others are for
/// apps and for our own user, who all come from one address or none.
pub(crate) const HEALTH: &str = "health";

/// Serve a local socket until draining begins.
pub(crate) async fn serve<F, R>(
    state: Arc<State>,
    name: &'static str,
    socket: Local,
    mut draining: Draining,
    handle: F,
) where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Answer>> + Send + 'static,
{
    let connections = state.config.limits.connections;
    let (room, sources) = (
        Arc::new(Semaphore::new(connections)),
        Arc::new(Sources::new(connections)),
    );
    loop {
        let accepted = tokio::select! {
            accepted = accept(&socket) => accepted,
            () = draining.begun() => return,
        };
        let Ok(Some((io, from))) = accepted else {
            if accepted.is_err() {
                tokio::time::sleep(PAUSE).await;
            } else {
                state.metrics.unwelcome(name, "wrong-user");
            }
            continue;
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            state.metrics.unwelcome(name, "too-many-connections");
            continue;
        };
        let (state, draining, handle) = (Arc::clone(&state), draining.clone(), handle.clone());
        let (room, sources) = (Arc::clone(&room), Arc::clone(&sources));
        tokio::spawn(async move {
            let held = from.filter(|_| name == HEALTH).map(|from| sources.begin(from));
            if held
                .as_ref()
                .is_some_and(|held| !held.fits(room.available_permits()))
            {
                return state.metrics.unwelcome(name, "too-many-connections");
            }
            let gauge = state
                .metrics
                .connections
                .get_or_create_owned(&Socket { listener: name });
            gauge.inc();
            let serving = Serving {
                limits: &state.config.limits,
                http: None,
                watch: None,
                own: None,
                draining,
                leave: || (),
            };
            serving.run(io, handle).await;
            gauge.dec();
            drop(permit);
        });
    }
}

/// Both kinds of stream, boxed: there are few of these connections, and one kind of task for them is enough.
type Io = Box<dyn Stream>;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The next connection; None for one of a user who may not connect.
async fn accept(socket: &Local) -> std::io::Result<Option<(Io, Option<IpAddr>)>> {
    match socket {
        Local::Tcp(listener) => {
            let (stream, from) = listener.accept().await?;
            // Without it answers wait for acknowledgements; where it fails the connection is gone anyway.
            let _ = stream.set_nodelay(true);
            Ok(Some((Box::new(stream), Some(from.ip()))))
        }
        Local::Unix(listener, user) => {
            let (stream, _) = listener.accept().await?;
            Ok(is_welcome(&stream, *user).then(|| (Box::new(stream) as Io, None)))
        }
    }
}

/// A peer whose user cannot be told is nobody.
fn is_welcome(stream: &UnixStream, user: Option<u32>) -> bool {
    user.is_none_or(|user| stream.peer_cred().is_ok_and(|peer| peer.uid() == user))
}
