//! The client's half: connects to one expected identity, and tells «not trusted» from «unreachable».

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use featward_policy::SpiffeId;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::resolver::Chosen;
use super::{Http, alpn, http_version, provider};
use crate::credentials::{Credentials, Held};
use crate::peer::{Peer, PeerCertificates};
use crate::verify::handshake::Verifier;
use crate::verify::{self, IdentityError};

/// Whom a client expects at the other end.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The SPIFFE ID that the server must prove.
    pub identity: SpiffeId,
    /// By whose word.
    pub by: Anchor,
}

/// By whose word a server is who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The trust in use.
    Trust,
    /// The roots in use, for our own platform, whose newest authority our scope table may not hold yet.
    PlatformByRoot,
    /// At first contact: SHA-256 of the root's DER, which stands for all trust.
    Root([u8; 32]),
}

impl Expect {
    fn judge(&self, credentials: &Credentials, chain: &PeerCertificates) -> Result<Peer, IdentityError> {
        let peer = match &self.by {
            Anchor::Trust => credentials.judge(chain)?,
            Anchor::PlatformByRoot => credentials.judge_platform(chain)?,
            Anchor::Root(digest) => credentials.judge_by_root(chain, digest)?,
        };
        verify::expected(&peer, &self.identity)?;
        Ok(peer)
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// We have no identity to prove yet.
    #[error("there is no identity to show yet")]
    NoIdentity,
    /// Nothing answered, or not with TLS 1.3.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody answered who is not whom we expect; nothing was sent to them.
    #[error("the server is not trusted: {0}")]
    NotTrusted(#[from] IdentityError),
    /// The server refused us, by this alert.
    #[error("the server refused the connection: {0:?}")]
    Refused(AlertDescription),
}

impl ConnectError {
    /// The word for records and metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            ConnectError::NoIdentity => "no-identity",
            ConnectError::Unreachable(_) => "unreachable",
            ConnectError::NotTrusted(_) => "not-trusted",
            ConnectError::Refused(_) => "refused",
        }
    }
}

/// A connection to the expected server.
#[derive(Debug)]
pub struct Connected<IO> {
    /// The connection.
    pub stream: TlsStream<IO>,
    /// The server.
    pub peer: Peer,
    /// The protocol agreed on.
    pub http: Option<Http>,
    /// Which identity of ours it was made with (see [`Credentials::identity_changed`]), 0 without one.
    pub generation: u64,
    /// What was shown to the server.
    pub(crate) own: Option<Arc<Held>>,
}

/// Takes connections to one expected server through their handshakes.
#[derive(Clone, Debug)]
pub struct Connector {
    credentials: Credentials,
    expect: Expect,
    client_certificate: bool,
    deadline: Duration,
    alpn: Vec<Vec<u8>>,
}

impl Connector {
    /// A connector that offers these application protocols, and shows our identity if `client_certificate`.
    pub fn new(
        credentials: &Credentials,
        expect: Expect,
        client_certificate: bool,
        protocols: &[&str],
    ) -> Connector {
        let alpn = alpn::wire(protocols);
        Connector {
            credentials: credentials.clone(),
            expect,
            client_certificate,
            deadline: super::HANDSHAKE_DEADLINE,
            alpn,
        }
    }

    /// Give a handshake this long.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Connector {
        Connector { deadline, ..self }
    }

    /// Take a connection through its handshake. TLS 1.3 lets a client finish before the server has judged it: a
    /// refusal may come with the first read, see [`alert`].
    pub async fn connect<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<Connected<IO>, ConnectError> {
        let held = if self.client_certificate {
            self.credentials.held()
        } else {
            None
        };
        if self.client_certificate && held.is_none() {
            return Err(ConnectError::NoIdentity);
        }
        let generation = held.as_ref().map_or(0, |held| held.generation);
        let verifier = self.verifier();
        let config = self
            .config(
                verifier.clone(),
                Chosen(held.as_ref().map(|held| held.certified.clone())),
            )
            .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(self.name(), io);
        let outcome = timeout(self.deadline, handshake)
            .await
            .map_err(|_| slow(self.deadline))?;
        let stream = outcome.map_err(|error| explain(error, &verifier))?;
        let Some(peer) = verifier.outcome().transpose()? else {
            return Err(ConnectError::Unreachable(
                "the server showed no certificate".into(),
            ));
        };
        let http = http_version(stream.get_ref().1.alpn_protocol());
        Ok(Connected {
            stream,
            peer,
            http,
            generation,
            own: held,
        })
    }

    fn verifier(&self) -> Arc<Verifier> {
        let (credentials, expect) = (self.credentials.clone(), self.expect.clone());
        Verifier::new(true, move |chain| expect.judge(&credentials, chain))
    }

    fn config(&self, verifier: Arc<Verifier>, chosen: Chosen) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(chosen));
        config.alpn_protocols = self.alpn.clone();
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }

    /// The trust domain is the server name (SNI), for routers on the way; we ourselves go by the SPIFFE ID. A
    /// trust domain that is no host name (underscores) is left out.
    fn name(&self) -> ServerName<'static> {
        let name = ServerName::try_from(self.expect.identity.trust_domain().to_owned());
        name.unwrap_or_else(|_| ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST)))
    }
}

/// The alert in an error of a TLS stream, if the peer sent one.
pub fn alert(error: &(dyn std::error::Error + 'static)) -> Option<AlertDescription> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::AlertReceived(alert)) = tls_error(error) {
            return Some(*alert);
        }
        next = error.source();
    }
    None
}

/// What rustls says, where this is an error of its own or holds one.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    io.and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .or_else(|| error.downcast_ref())
}

fn slow(deadline: Duration) -> ConnectError {
    ConnectError::Unreachable(format!(
        "the server's handshake was not done within {} s",
        deadline.as_secs_f32()
    ))
}

fn explain(error: io::Error, verifier: &Verifier) -> ConnectError {
    if let Some(Err(refused)) = verifier.outcome() {
        return ConnectError::NotTrusted(refused);
    }
    if let Some(alert) = alert(&error) {
        return ConnectError::Refused(alert);
    }
    ConnectError::Unreachable(match tls_error(&error) {
        Some(rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )) => "what listens there does not speak TLS; name the port that does".into(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the handshake failed: the far side closed the connection".into()
        }
        _ => format!("the handshake failed: {error}"),
    })
}
