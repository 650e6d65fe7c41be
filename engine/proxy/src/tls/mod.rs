//! TLS 1.3 as every socket of featward speaks it: no older version, no resumption, no early data, no tickets, a
//! post-quantum key exchange first, and SPIFFE identities instead of names. [`Acceptor`] is the server's half of a
//! handshake, [`Connector`] the client's.

mod acceptor;
mod alpn;
mod connector;
mod resolver;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;

pub use acceptor::{Accepted, Acceptor, ClientCertificate, HandshakeError};
pub use alpn::{GRPC, HTTP, Http, http_version};
pub use connector::{Anchor, ConnectError, Connected, Connector, Expect, alert};

/// How long a peer may take for its handshake; a round trip around the earth takes 0.3 s, a busy core some more.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// aws-lc-rs with rustls's choice of TLS 1.3 suites; X25519MLKEM768 stands first (feature `prefer-post-quantum`).
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}
