//! The body of an answer: whole, or passed on as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};

use crate::upstream::{Cut, Streamed};

/// One type for every answer, so that a connection needs only one kind of service.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All of it; None once it is written. hyper sends head and body in one vectored write.
    Whole(Option<Bytes>),
    /// The feature server's, as it comes. Boxed: rare where it matters, and ten times the size.
    Streamed(Box<Streamed>),
}

impl Answer {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Answer {
        Answer::Whole(Some(bytes.into()))
    }
}

/// The answer to a HEAD request: what a GET would be told, without content (RFC 9110 section 9.3.2). Over HTTP/1 hyper
/// sees to that itself; over HTTP/2 it sends what it is given. A feature server's own answer to HEAD has none.
pub(crate) fn without_content(mut answer: Response<Answer>) -> Response<Answer> {
    if let Answer::Whole(Some(bytes)) = answer.body() {
        let length = HeaderValue::from(bytes.len());
        answer.headers_mut().insert(CONTENT_LENGTH, length);
        *answer.body_mut() = Answer::Whole(None);
    }
    answer
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut *self {
            Answer::Whole(bytes) => Poll::Ready(
                bytes
                    .take()
                    .filter(|bytes| !bytes.is_empty())
                    .map(|bytes| Ok(Frame::data(bytes))),
            ),
            Answer::Streamed(body) => Pin::new(&mut **body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Answer::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Answer::Streamed(body) => body.size_hint(),
        }
    }
}
