//! Whether a request's head can be read in exactly one way. hyper refuses much itself (obs-fold, bad characters in
//! names, differing Content-Lengths, Transfer-Encoding on HTTP/1.0); this refuses what hyper lets through and
//! another reader could take differently. What remains has one reading, ours, and only that is ever sent on.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Version, request};

/// What is known of a head that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    /// Nothing after this request is read. hyper drops a Content-Length beside `chunked` without a trace, so a
    /// sender and we might disagree on where a chunked request ends; with the connection closed that is moot.
    pub(crate) last: bool,
}

/// Check a head; the sentence says what is wrong.
pub(crate) fn check(head: &request::Parts) -> Result<Framed, &'static str> {
    if head.method == Method::CONNECT {
        return Err("CONNECT is not served");
    }
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    if !head
        .headers
        .values()
        .all(|value| value.as_bytes().iter().all(plain))
    {
        return Err("a header's value holds something other than visible ASCII");
    }
    match head.version {
        Version::HTTP_2 => check_http2(head),
        _ => check_http1(&head.headers),
    }
}

fn check_http1(headers: &HeaderMap) -> Result<Framed, &'static str> {
    if headers.contains_key(UPGRADE) || names_upgrade(headers) {
        return Err("upgrades are not served");
    }
    match only(headers, &HOST) {
        Some(host) if is_authority(host) => {}
        _ => return Err("exactly one Host header with a host in it is needed"),
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err("Content-Length is given twice");
    }
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(Framed { last: false });
    }
    if only(headers, &TRANSFER_ENCODING) != Some(b"chunked") {
        return Err("the only Transfer-Encoding that is read is exactly: chunked");
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return Err("Content-Length and Transfer-Encoding are both given");
    }
    Ok(Framed { last: true })
}

/// h2 has refused connection headers and broken pseudo-headers before.
fn check_http2(head: &request::Parts) -> Result<Framed, &'static str> {
    let authority = head
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = match head.headers.get_all(HOST).iter().count() {
        0 => None,
        1 => only(&head.headers, &HOST),
        _ => return Err("Host is given twice"),
    };
    match (authority, host) {
        (Some(authority), Some(host)) if authority != host => Err("Host and :authority differ"),
        (None, None) => Err("neither :authority nor Host is given"),
        (Some(name), _) | (None, Some(name)) if is_authority(name) => Ok(Framed { last: false }),
        _ => Err("the authority holds no host"),
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first.as_bytes())
}

/// Host and port, nothing else: no user, no path, no list.
fn is_authority(text: &[u8]) -> bool {
    let allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.iter().all(allowed)
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    let tokens = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens
        .map(<[u8]>::trim_ascii)
        .any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(version: Version, headers: &[(&str, &str)]) -> Result<Framed, &'static str> {
        let mut request = Request::builder().method("POST").uri("/x").version(version);
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_plain_request_passes() {
        assert_eq!(
            checked(Version::HTTP_11, &[("host", "a:1"), ("content-length", "3")]),
            Ok(Framed { last: false })
        );
    }

    #[test]
    fn a_chunked_request_is_the_last_of_its_connection() {
        assert_eq!(
            checked(
                Version::HTTP_11,
                &[("host", "a"), ("transfer-encoding", "chunked")]
            ),
            Ok(Framed { last: true })
        );
    }

    #[test]
    fn whatever_two_readers_could_take_differently_is_refused() {
        for headers in [
            &[][..],
            &[("host", "")],
            &[("host", "a"), ("host", "a")],
            &[("host", "a, b")],
            &[("host", "u@a")],
            &[("host", "a/b")],
            &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
            &[("host", "a"), ("transfer-encoding", "identity, chunked")],
            &[("host", "a"), ("transfer-encoding", "Chunked")],
            &[
                ("host", "a"),
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            &[
                ("host", "a"),
                ("transfer-encoding", "chunked"),
                ("content-length", "3"),
            ],
            &[("host", "a"), ("content-length", "3"), ("content-length", "3")],
            &[("host", "a"), ("upgrade", "websocket")],
            &[("host", "a"), ("connection", "keep-alive, Upgrade")],
            &[("host", "a"), ("x", "ü")],
        ] {
            assert!(checked(Version::HTTP_11, headers).is_err(), "{headers:?}");
        }
    }

    #[test]
    fn http_2_needs_one_authority_and_no_other_host() {
        let checked = |uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
            for host in hosts {
                request = request.header("host", *host);
            }
            check(&request.body(()).unwrap().into_parts().0)
        };
        assert!(checked("https://a/x", &[]).is_ok());
        assert!(checked("https://a/x", &["a"]).is_ok());
        assert!(checked("/x", &["a"]).is_ok());
        assert!(checked("https://a/x", &["b"]).is_err());
        assert!(checked("https://a/x", &["a", "a"]).is_err());
        assert!(checked("/x", &[]).is_err());
        assert!(checked("https://u@a/x", &[]).is_err());
    }
}
