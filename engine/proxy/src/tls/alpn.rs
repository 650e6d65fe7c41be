//! Names of application protocols (ALPN). Istio's Envoy offers its own names first, and some of its clients offer
//! nothing else, so a server that wants to be reached from a mesh must know them.

/// What an ALPN name means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// Names of a server of HTTP/1.1 and HTTP/2, most wanted first. The plain names win where a client offers both.
/// `istio` and `istio-peer-exchange` say nothing about HTTP; they stand last, for clients that offer nothing else.
pub const HTTP: &[&str] = &[
    "h2",
    "http/1.1",
    "istio-h2",
    "istio-http/1.1",
    "istio",
    "istio-peer-exchange",
];

/// Names where gRPC is all there is.
pub const GRPC: &[&str] = &["h2"];

/// What was agreed on; None when the name (or its absence) leaves it open, and the first bytes must tell.
pub fn http_version(agreed: Option<&[u8]>) -> Option<Http> {
    match agreed? {
        b"h2" | b"istio-h2" => Some(Http::Two),
        b"http/1.1" | b"istio-http/1.1" => Some(Http::One),
        _ => None,
    }
}

pub(super) fn wire(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}
