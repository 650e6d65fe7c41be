//! Answers, and ends of answers, that the relay gives by itself, in the form that every gRPC client understands.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;

use super::asked::Late;
use super::state::State;
use crate::tls::ConnectError;

/// The body of an answer: the far side's, or none.
pub(super) type AnswerBody = Either<Carried, Empty<Bytes>>;

/// The far side's body. Where it breaks off, a status is the last word: a reset would be `INTERNAL` to the caller,
/// and to some clients no end at all.
#[derive(Debug)]
pub(super) struct Carried {
    body: Incoming,
    far: Arc<State>,
    broken: bool,
}

impl Carried {
    pub(super) fn new(body: Incoming, far: Arc<State>) -> Carried {
        Carried {
            body,
            far,
            broken: false,
        }
    }
}

impl Body for Carried {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.broken {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(Some(Err(error))) = frame else {
            return frame;
        };
        self.broken = true;
        let why = self.far.explain(&error);
        Poll::Ready(Some(Ok(Frame::trailers(status(&why)))))
    }

    fn is_end_stream(&self) -> bool {
        self.broken || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// gRPC's status for a server that cannot be reached now.
const UNAVAILABLE: &str = "14";
/// gRPC's status for a call that took too long.
const DEADLINE_EXCEEDED: &str = "4";

/// The request could not be carried. The word of the cause comes as metadata, for callers that act on it, and beside
/// `refused` the name of the alert.
pub(super) fn unavailable(error: &ConnectError) -> Response<AnswerBody> {
    refusal(status(error))
}

/// The caller was too slow.
pub(super) fn late(late: Late) -> Response<AnswerBody> {
    refusal(words(DEADLINE_EXCEEDED, &late.to_string()))
}

fn refusal(headers: HeaderMap) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.headers_mut() = headers;
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

fn status(error: &ConnectError) -> HeaderMap {
    let mut headers = words(UNAVAILABLE, &error.to_string());
    headers.insert("featward-cause", HeaderValue::from_static(error.cause()));
    if let ConnectError::Refused(alert) = error
        && let Ok(alert) = HeaderValue::try_from(format!("{alert:?}"))
    {
        headers.insert("featward-alert", alert);
    }
    headers
}

fn words(status: &'static str, message: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", HeaderValue::from_static(status));
    headers.insert("grpc-message", percent_encoded(message));
    headers
}

/// Every gRPC call is a POST; nothing else has an answer here.
pub(super) fn not_grpc() -> Response<AnswerBody> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// `grpc-message` is percent-encoded outside printable ASCII (gRPC over HTTP/2, «Responses»).
fn percent_encoded(message: &str) -> HeaderValue {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unavailable"))
}
