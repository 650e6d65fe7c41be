//! The headers that tell a gRPC server of ours who calls.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use tokio::net::unix::UCred;

use crate::peer::Peer;
use crate::relay::Stamp;

/// Where a caller calls from, and what its certificate proves if it has one. The address has no port, and an IPv4
/// address is written as such even where it came in by an IPv6 socket: it is there to count callers by. The trust
/// domain is that of the identity which the caller asked for and by whose trust it was judged.
pub(super) fn of_peer(address: IpAddr, trust_domain: &str, peer: Option<&Peer>) -> Stamp {
    let address = address.to_canonical().to_string();
    let mut headers = vec![
        header("featward-peer-address", &address),
        header("featward-peer-trust-domain", trust_domain),
    ];
    if let Some(peer) = peer {
        headers.push(header("featward-peer-spiffe-id", peer.id().as_str()));
        headers.push(header("featward-peer-serial", peer.serial()));
        headers.push(header("featward-peer-authority", peer.authority()));
        headers.push(header("featward-peer-key", peer.key()));
        if peer.expired() {
            headers.push(header("featward-peer-expired", "1"));
        }
    }
    headers.into_iter().flatten().collect()
}

/// What the kernel says of a caller on a UNIX socket.
pub(super) fn of_process(process: UCred) -> Stamp {
    let mut headers = vec![
        header("featward-peer-uid", &process.uid().to_string()),
        header("featward-peer-gid", &process.gid().to_string()),
    ];
    // A peer in another PID namespace has none that means anything here.
    if let Some(pid) = process.pid().filter(|pid| *pid > 0) {
        headers.push(header("featward-peer-pid", &pid.to_string()));
    }
    headers.into_iter().flatten().collect()
}

/// A value that were no header could not be forged into another one; it is left out, and the server sees nobody.
fn header(name: &'static str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
}
