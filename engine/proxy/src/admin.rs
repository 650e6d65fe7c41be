//! The admin socket: GET `/status` as JSON, on a UNIX socket that only our own user may open. It names callers and
//! what they asked for, so it is never on a network; and it only tells, so that whoever gets at it changes nothing.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::serve::Answer;
use crate::state::State;

/// Answer one request.
pub(crate) fn answer<B>(state: &State, request: &Request<B>) -> Response<Answer> {
    let known = request.method() == Method::GET && request.uri().path() == "/status";
    let (status, body) = match known {
        true => (StatusCode::OK, state.status()),
        false => (
            StatusCode::NOT_FOUND,
            serde_json::json!({"error": "the admin socket answers GET /status"}),
        ),
    };
    let mut answer = Response::new(Answer::whole(body.to_string()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
