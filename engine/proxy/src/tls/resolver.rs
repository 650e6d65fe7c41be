//! Hands rustls the newest chain and key at each handshake; that is all there is to a hot swap.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::credentials::Credentials;

/// The newest identity of these credentials.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) credentials: Credentials,
    pub(super) with_root: bool,
}

impl ResolvesServerCert for Newest {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.credentials.certified(self.with_root)
    }
}

/// One identity, chosen when the connection was dialled: the caller must know which one a connection has.
#[derive(Debug)]
pub(super) struct Chosen(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Chosen {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}
