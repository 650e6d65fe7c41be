//! The far side of a request: pooled HTTP/1.1 connections, and the feature server behind them.

mod guarded;
mod link;
mod pool;
mod streamed;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use guarded::{Guarded, refusal};
pub(crate) use link::{Link, Sent};
pub(crate) use pool::{Connect, Pool, SendError};
pub(crate) use streamed::{Cut, Streamed};
pub(crate) use wire::Wire;

use crate::config::{Limits, seconds};
use crate::refusal::Reason;

/// One feature server.
#[derive(Debug)]
pub(crate) struct Upstream {
    host: Box<str>,
    port: u16,
    /// As the Host header names it.
    pub(crate) authority: http::HeaderValue,
    pool: Arc<Pool>,
    connect_time: Duration,
    time: Duration,
    answer_bytes: usize,
}

/// Why there is no answer of the feature server: a row of the refusal table, and a sentence.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

/// An answer whose body still flows.
#[derive(Debug)]
pub(crate) struct Flowing {
    pub(crate) answer: Response<Incoming>,
    link: Box<Link>,
    deadline: Instant,
}

impl Flowing {
    /// Whether the body is announced as one that a read or two bring whole.
    pub(crate) fn is_small(&self) -> bool {
        self.answer
            .body()
            .size_hint()
            .exact()
            .is_some_and(|size| size <= SMALL)
    }
}

/// What is held for one answer that need not be: with 4,096 callers at once 256 MB, as where answers are narrowed.
const SMALL: u64 = 64 << 10;

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Upstream {
    /// The server at this address; None when the host cannot stand in a Host header.
    pub(crate) fn new(host: &str, port: u16, limits: &Limits) -> Option<Upstream> {
        let authority = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        Some(Upstream {
            host: host.into(),
            port,
            authority: authority.parse().ok()?,
            pool: Arc::default(),
            connect_time: seconds(limits.upstream_connect_seconds),
            time: seconds(limits.upstream_seconds),
            answer_bytes: limits.answer_bytes,
        })
    }

    /// Whether this is the server at that address.
    pub(crate) fn is_at(&self, host: &str, port: u16) -> bool {
        *self.host == *host && self.port == port
    }

    /// Send a request and wait for the answer's head.
    pub(crate) async fn send(&self, make: impl Fn() -> Sent, repeatable: bool) -> Result<Flowing, Failure> {
        let deadline = Instant::now() + self.time;
        let sent = timeout(self.time, self.pool.send(self, make, repeatable)).await;
        let (answer, mut link) = sent.map_err(|_| Failure::late())?.map_err(Failure::from)?;
        // uvicorn closes after an exception of the app without saying so, and the next request would find out.
        if answer.status().is_server_error() {
            link.retire();
        }
        Ok(Flowing {
            answer,
            link,
            deadline,
        })
    }

    /// The whole of an answer, and its connection back in the pool.
    pub(crate) async fn collect(&self, flowing: Flowing) -> Result<(http::response::Parts, Bytes), Failure> {
        let Flowing {
            answer,
            mut link,
            deadline,
        } = flowing;
        let (head, body) = answer.into_parts();
        let collected = tokio::time::timeout_at(deadline.into(), link.collect(body, self.answer_bytes)).await;
        let body = collected
            .map_err(|_| Failure::late())?
            .map_err(Failure::broken)?
            .ok_or_else(Failure::too_large)?;
        self.pool.put(link);
        Ok((head, body))
    }

    /// An answer whose body is passed on as it comes.
    pub(crate) fn stream(&self, flowing: Flowing) -> Response<Streamed> {
        let Flowing {
            answer,
            link,
            deadline,
        } = flowing;
        let time = deadline.saturating_duration_since(Instant::now());
        let home = Arc::clone(&self.pool);
        answer.map(|body| Streamed::new(body, link, home, self.answer_bytes, time))
    }

    /// Whether the server accepts connections now.
    pub(crate) async fn accepts(&self) -> bool {
        self.connect().await.is_ok()
    }
}

impl Connect for Upstream {
    type Error = String;

    async fn connect(&self) -> Result<Box<Link>, String> {
        let failed = |error: String| format!("{}:{} cannot be reached: {error}", self.host, self.port);
        let connecting = TcpStream::connect((&*self.host, self.port));
        let connected = timeout(self.connect_time, connecting)
            .await
            .map_err(|_| failed("no answer in time".into()))?;
        let stream = connected.map_err(|error| failed(error.to_string()))?;
        // Small requests must not wait for acknowledgements of earlier ones.
        stream
            .set_nodelay(true)
            .map_err(|error| failed(error.to_string()))?;
        Link::new(Wire::Tcp(stream), None, 0)
            .await
            .map_err(|error| failed(error.to_string()))
    }
}

impl Failure {
    fn late() -> Failure {
        Failure {
            reason: Reason::UpstreamTimeout,
            detail: "the feature server did not answer in time".into(),
        }
    }

    fn broken(error: hyper::Error) -> Failure {
        Failure {
            reason: Reason::UpstreamError,
            detail: format!("the feature server's answer broke off: {error}"),
        }
    }

    fn too_large() -> Failure {
        Failure {
            reason: Reason::UpstreamAnswer,
            detail: "the feature server's answer is larger than the limit".into(),
        }
    }
}

impl From<SendError<String>> for Failure {
    fn from(error: SendError<String>) -> Failure {
        match error {
            SendError::Connect(detail) => Failure {
                reason: Reason::UpstreamUnreachable,
                detail,
            },
            SendError::Broken(error) => Failure::broken(error),
        }
    }
}
