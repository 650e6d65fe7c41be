//! Answers that the relay gives by itself, in the form that every gRPC client understands (trailers only).

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;

use crate::tls::ConnectError;

/// The body of an answer: the far side's, or none.
pub(super) type AnswerBody = Either<Incoming, Empty<Bytes>>;

/// gRPC's status for a server that cannot be reached now.
const UNAVAILABLE: &str = "14";

/// The request could not be carried. The word of the cause comes as metadata, for callers that act on it.
pub(super) fn unavailable(error: &ConnectError) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Right(Empty::new()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(UNAVAILABLE));
    headers.insert("grpc-message", percent_encoded(&error.to_string()));
    headers.insert("featward-cause", HeaderValue::from_static(error.cause()));
    response
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
