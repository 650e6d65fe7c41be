//! Which headers cross the proxy. What belongs to one connection never does, and neither does anything that a
//! reader behind us could take for a statement of ours about who calls.

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What passes from a request that is written anew: nothing that changes its meaning.
const KEPT: &[&str] = &["traceparent", "tracestate", "baggage", "x-request-id"];
/// Prefixes of headers that say who calls, in this and in other meshes.
const IDENTITY: &[&str] = &[
    "x-forwarded-",
    "x-feast-",
    "x-envoy-",
    "featward-",
    "x-featward-",
    "x-spiffe-",
    "x-real-",
    "x-remote-",
];

/// The headers of a request that is written anew.
pub(crate) fn rewritten(from: &HeaderMap) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(8);
    for name in [ACCEPT, USER_AGENT]
        .into_iter()
        .chain(KEPT.iter().map(|name| HeaderName::from_static(name)))
    {
        if let Some(value) = from.get(&name) {
            to.insert(name, value.clone());
        }
    }
    to
}

/// The headers of a message that passes as it is: all but the connection's own, identity and framing.
pub(crate) fn passed_on(from: &HeaderMap) -> HeaderMap {
    but(from, is_identity)
}

/// The headers of another sidecar's answer, which says more than a feature server may; but who refused is for us
/// to say.
pub(crate) fn answered(from: &HeaderMap) -> HeaderMap {
    but(from, |name| *name == REFUSED_BY)
}

/// Tells a refusal of the client's own sidecar from one of the server's.
pub(crate) const REFUSED_BY: HeaderName = HeaderName::from_static("featward-refused-by");

fn but(from: &HeaderMap, dropped: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named = named_by_connection(from);
    let mut to = HeaderMap::with_capacity(from.len() + 2);
    for (name, value) in from {
        if !is_hop_by_hop(name)
            && !dropped(name)
            && *name != CONTENT_LENGTH
            && !named.iter().any(|other| other == name)
        {
            to.append(name.clone(), value.clone());
        }
    }
    to
}

/// The bearer token of an `Authorization` header says that nobody signed it (RFC 7515 `alg: none`). Feast takes
/// such a token for its own intra-server traffic.
pub(crate) fn is_unsigned_token(authorization: &HeaderValue) -> bool {
    let Ok(text) = authorization.to_str() else {
        return false;
    };
    let token = text.split_once(' ').map_or(text, |(_, token)| token).trim();
    let mut parts = token.split('.');
    let (Some(head), Some(_), signature) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    signature.is_none_or(str::is_empty) || !names_an_algorithm(head)
}

/// Every `Authorization` of a request.
pub(crate) fn authorizations(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    headers.get_all(AUTHORIZATION).iter()
}

/// Whether a JOSE header can be read and names an algorithm that is one.
fn names_an_algorithm(head: &str) -> bool {
    let Some(bytes) = base64url(head) else {
        return false;
    };
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let algorithm = parsed
        .as_ref()
        .and_then(|head| head.get("alg"))
        .and_then(|alg| alg.as_str());
    algorithm.is_some_and(|algorithm| {
        !algorithm.trim().is_empty() && !algorithm.trim().eq_ignore_ascii_case("none")
    })
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    Some(out)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        TE,
        TRAILER,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        EXPECT,
        HOST,
    ]
    .contains(name)
        || matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "http2-settings"
        )
}

fn is_identity(name: &HeaderName) -> bool {
    // Readers that map headers to variables (WSGI, CGI) cannot tell an underscore from a dash.
    let text = name.as_str().replace('_', "-");
    text == "forwarded" || text == "x-forwarded" || IDENTITY.iter().any(|prefix| text.starts_with(prefix))
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let tokens = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn nothing_that_says_who_calls_or_how_passes() {
        let passed = passed_on(&headers(&[
            ("x-forwarded-for", "1"),
            ("x-forwarded-client-cert", "1"),
            ("forwarded", "1"),
            ("x-feast-user", "1"),
            ("x_feast_user", "1"),
            ("x-envoy-peer", "1"),
            ("featward-peer", "1"),
            ("connection", "x-mine, close"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("keep-alive", "1"),
            ("host", "a"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("x-other", "kept"),
        ]));
        assert_eq!(passed, headers(&[("x-other", "kept")]));
    }

    #[test]
    fn a_request_that_is_written_anew_keeps_its_trace_and_little_else() {
        let kept = rewritten(&headers(&[
            ("traceparent", "00-1"),
            ("cookie", "a"),
            ("content-type", "x"),
            ("accept-encoding", "gzip"),
            ("user-agent", "sdk"),
        ]));
        assert_eq!(kept, headers(&[("user-agent", "sdk"), ("traceparent", "00-1")]));
    }

    #[test]
    fn tokens_that_nobody_signed_are_known_by_head_or_tail() {
        let unsigned = |text: &'static str| is_unsigned_token(&HeaderValue::from_static(text));
        assert!(
            unsigned("Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJhIjoxfQ."),
            "alg none"
        );
        assert!(
            unsigned("Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJhIjoxfQ.c2ln"),
            "alg none with a signature"
        );
        assert!(unsigned("bearer eyJhbGciOiJOb05lIn0.e30."), "alg NoNe");
        assert!(unsigned("Bearer eyJhbGciOiJIUzI1NiJ9.e30."), "no signature");
        assert!(unsigned("Bearer eyJhbGciOiJIUzI1NiJ9.e30"), "two parts");
        assert!(unsigned("Bearer !!!.e30.c2ln"), "unreadable head");
        assert!(!unsigned("Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln"));
        assert!(!unsigned("Bearer opaque-token"));
        assert!(!unsigned("Basic dXNlcjpwYXNz"));
    }
}
