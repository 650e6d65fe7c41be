//! One HTTP/2 connection to the far side, with everything that can end it: the far side itself, a change of trust,
//! the end of its certificate's life, or us.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::answer::Carried;
use super::asked::Asked;
use super::state::{Overheard, State};
use crate::peer::{PeerWatch, Verdict};
use crate::tls::ConnectError;

/// How often a connection with open streams is asked whether it still lives, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// Largest header list of an answer, as of a request.
const HEADER_BYTES: u32 = 32 * 1024;

/// How much of an answer the far side may send before the near side has taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Windows {
    /// hyper's own, for one near connection: a slow reader only keeps itself waiting.
    Own,
    /// For many near connections. Each stream gets little and all together as much as HTTP/2 allows, so that near
    /// ends that do not read can never use up the connection's window and keep the others waiting.
    Shared,
}

/// What one stream of a shared connection may hold of our memory.
const SHARED_STREAM_WINDOW: u32 = 64 * 1024;
/// The most that HTTP/2 can say (RFC 9113 section 6.9.1).
const SHARED_CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// A connection to the far side.
#[derive(Debug)]
pub(super) struct Far {
    sender: SendRequest<Asked>,
    generation: u64,
    state: Arc<State>,
}

impl Far {
    /// Speak HTTP/2 over this connection, and watch over its peer while it lives. `generation` is the identity of
    /// ours that it was made with.
    pub(super) async fn open<IO>(
        io: IO,
        generation: u64,
        watch: Option<PeerWatch>,
        windows: Windows,
    ) -> Result<Far, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let state = Arc::new(State::default());
        let (cut, life) = watch::channel(());
        let tasks = Tasks { life };
        let io = Overheard::new(io, state.clone());
        let mut builder = Builder::new(tasks.clone());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .max_header_list_size(HEADER_BYTES);
        if windows == Windows::Shared {
            builder
                .initial_stream_window_size(SHARED_STREAM_WINDOW)
                .initial_connection_window_size(SHARED_CONNECTION_WINDOW);
        }
        let handshake = builder.handshake(TokioIo::new(io));
        let (sender, connection) = handshake.await.map_err(|error| state.explain(&error))?;
        tasks.execute(async {
            // Requests carry the error to whoever waits for them.
            let _ = connection.await;
        });
        drop(tasks);
        tokio::spawn(keep(cut, watch, state.clone()));
        Ok(Far {
            sender,
            generation,
            state,
        })
    }

    /// A handle for new requests; None when they must go over another connection.
    pub(super) fn handle(&self, generation: u64) -> Option<Handle> {
        let retired = self.state.is_retired();
        let usable = self.generation == generation && !retired && !self.sender.is_closed();
        usable.then(|| Handle {
            sender: self.sender.clone(),
            state: self.state.clone(),
        })
    }

    /// The identity of ours that it was made with.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Why there is no handle on a connection that was made just now.
    pub(super) fn lost(&self) -> ConnectError {
        match self.state.alert() {
            Some(alert) => ConnectError::Refused(alert),
            None => ConnectError::Unreachable("the far side closed the connection at once".into()),
        }
    }
}

/// Carries one request over a connection.
pub(super) struct Handle {
    sender: SendRequest<Asked>,
    state: Arc<State>,
}

/// A request that failed; it is given back when it provably never left.
pub(super) struct Failed {
    pub(super) unsent: Option<Request<Asked>>,
    pub(super) why: ConnectError,
}

impl Handle {
    pub(super) async fn send(mut self, request: Request<Asked>) -> Result<Response<Carried>, Failed> {
        let sent = self.sender.try_send_request(request).await;
        match sent {
            Ok(response) => Ok(response.map(|body| Carried::new(body, self.state))),
            Err(mut error) => Err(Failed {
                unsent: error.take_message(),
                why: self.state.explain(&error.into_error()),
            }),
        }
    }
}

/// Wait until the connection has ended by itself, and until then do as the verdicts on its peer say.
async fn keep(cut: watch::Sender<()>, watch: Option<PeerWatch>, state: Arc<State>) {
    let Some(mut watch) = watch else {
        return cut.closed().await;
    };
    loop {
        tokio::select! {
            () = cut.closed() => return,
            verdict = watch.next() => {
                state.retire();
                if matches!(verdict, Verdict::Cut(_)) {
                    cut.send_replace(());
                    return;
                }
            }
        }
    }
}

/// Runs hyper's tasks for one connection. hyper drives a client connection in tasks of its own, which outlive the
/// handle that it returns; this is the one way to end them all at once, and to know when all have ended.
#[derive(Clone)]
struct Tasks {
    life: watch::Receiver<()>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut life = self.life.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = task => {}
                // An error means that nobody can cut any more; then the task runs on, as without a watch.
                Ok(()) = life.changed() => {}
            }
        });
    }
}
