//! The server's half: takes a connection through its handshake and says who is at the other end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, LazyConfigAcceptor, StartHandshake, TlsAcceptor};

use super::resolver::Chosen;
use super::{Http, alpn, http_version, provider};
use crate::credentials::{Credentials, Held};
use crate::peer::Peer;
use crate::verify::handshake::Verifier;
use crate::verify::{Cause, IdentityError};

/// Whether clients must prove an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// They must.
    Required,
    /// They may; one that is sent and not good is refused all the same.
    Optional,
    /// They are not asked.
    None,
}

/// Why a handshake ended without a connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer's certificates were refused, or it sent none where one is required.
    #[error("the peer is not accepted: {0}")]
    Refused(#[from] IdentityError),
    /// There is no identity to answer with yet.
    #[error("there is no identity to show yet")]
    NoIdentity,
    /// The peer broke the protocol, offered nothing that we accept (TLS 1.2, other suites), or refused us.
    #[error("the handshake failed: {0}")]
    Protocol(rustls::Error),
    /// The connection broke off.
    #[error("the connection broke off during the handshake: {0}")]
    Broken(io::Error),
    /// The handshake took too long.
    #[error("the handshake was not done within {} s", .0.as_secs_f32())]
    Slow(Duration),
}

impl HandshakeError {
    /// The word for records and metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            HandshakeError::Refused(error) => error.cause.as_str(),
            HandshakeError::NoIdentity => "no-identity",
            HandshakeError::Protocol(_) => "protocol",
            HandshakeError::Broken(_) => "broken",
            HandshakeError::Slow(_) => "slow",
        }
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Accepted<IO> {
    /// The connection.
    pub stream: TlsStream<IO>,
    /// Who is at the other end; None for a client without certificate.
    pub peer: Option<Peer>,
    /// The protocol agreed on; None when the first bytes must tell.
    pub http: Option<Http>,
    /// Whose identity was shown and by whose trust the peer was judged, and will be again.
    pub credentials: Credentials,
    /// What was shown to the peer.
    pub(crate) own: Arc<Held>,
}

/// Takes connections through their handshakes.
#[derive(Clone, Debug)]
pub struct Acceptor {
    credentials: Credentials,
    others: Vec<Credentials>,
    client_certificate: ClientCertificate,
    expired_grace: i64,
    send_root: bool,
    deadline: Duration,
    alpn: Vec<Vec<u8>>,
}

impl Acceptor {
    /// An acceptor that offers these application protocols ([`super::HTTP`] or [`super::GRPC`]), gives no grace to
    /// expired certificates, sends its chain without the root, and gives a handshake [`super::HANDSHAKE_DEADLINE`].
    pub fn new(
        credentials: &Credentials,
        client_certificate: ClientCertificate,
        protocols: &[&str],
    ) -> Acceptor {
        Acceptor {
            credentials: credentials.clone(),
            others: Vec::new(),
            client_certificate,
            expired_grace: 0,
            send_root: false,
            deadline: super::HANDSHAKE_DEADLINE,
            alpn: alpn::wire(protocols),
        }
    }

    /// Serve these trust domains as well: a client that asks for one by the name `<trust domain>` or
    /// `policy.<trust domain>` (SNI) is shown that identity, and judged by that trust alone. Any other client gets
    /// the first.
    #[must_use]
    pub fn others(self, others: Vec<Credentials>) -> Acceptor {
        Acceptor { others, ..self }
    }

    /// Accept, and mark, clients whose certificate expired less than this many seconds ago.
    #[must_use]
    pub fn expired_grace(self, seconds: i64) -> Acceptor {
        Acceptor {
            expired_grace: seconds,
            ..self
        }
    }

    /// Send the root as well, so that a client that knows only its digest can find it.
    #[must_use]
    pub fn send_root(self, send_root: bool) -> Acceptor {
        Acceptor { send_root, ..self }
    }

    /// Give a handshake this long.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Acceptor {
        Acceptor { deadline, ..self }
    }

    /// Take a connection through its handshake.
    pub async fn accept<IO>(&self, io: IO) -> Result<Accepted<IO>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = async {
            if self.others.is_empty() {
                let begin = |config| TlsAcceptor::from(config).accept(io);
                return self.answer(&self.credentials, begin).await;
            }
            let hello = greeting(io).await?;
            let credentials = self.asked_for(hello.client_hello().server_name());
            self.answer(credentials, |config| hello.into_stream(config)).await
        };
        timeout(self.deadline, handshake)
            .await
            .map_err(|_| HandshakeError::Slow(self.deadline))?
    }

    /// The identity that a client asks for by name.
    fn asked_for(&self, name: Option<&str>) -> &Credentials {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return &self.credentials;
        };
        let domain = name.strip_prefix("policy.");
        let named = |other: &&Credentials| {
            let ours = other.trust_domain();
            name == ours || domain == Some(ours)
        };
        self.others.iter().find(named).unwrap_or(&self.credentials)
    }

    /// Take a handshake through to its end with this identity.
    async fn answer<IO>(
        &self,
        credentials: &Credentials,
        begin: impl FnOnce(Arc<ServerConfig>) -> Accept<IO>,
    ) -> Result<Accepted<IO>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let chosen = credentials.certified(self.send_root);
        let (own, certified) = chosen.ok_or(HandshakeError::NoIdentity)?;
        let verifier = self.verifier(credentials);
        let config = self
            .config(verifier.clone(), certified)
            .map_err(HandshakeError::Protocol)?;
        let stream = match begin(Arc::new(config)).into_fallible().await {
            Ok(stream) => stream,
            Err((error, io)) => {
                tokio::spawn(part(io));
                return Err(match verifier.outcome() {
                    Some(Err(refused)) => HandshakeError::Refused(refused),
                    _ => explain(error),
                });
            }
        };
        let peer = verifier.outcome().transpose()?;
        let http = http_version(stream.get_ref().1.alpn_protocol());
        Ok(Accepted {
            stream,
            peer,
            http,
            credentials: credentials.clone(),
            own,
        })
    }

    fn verifier(&self, credentials: &Credentials) -> Arc<Verifier> {
        let (credentials, grace) = (credentials.clone(), self.expired_grace);
        let mandatory = self.client_certificate == ClientCertificate::Required;
        Verifier::new(mandatory, move |chain| credentials.judge_with_grace(chain, grace))
    }

    /// A configuration for one handshake; making one costs microseconds beside the handshake's hundreds.
    fn config(
        &self,
        verifier: Arc<Verifier>,
        certified: Arc<CertifiedKey>,
    ) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = match self.client_certificate {
            ClientCertificate::None => builder.with_no_client_auth(),
            _ => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Chosen(Some(certified))));
        config.alpn_protocols = self.alpn.clone();
        // A resumed session would skip the judgement of the chain by the trust of today.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }
}

/// Part with a peer that we refused, so that it gets to read why: TCP throws away what we sent if we close while
/// something that it sent is unread. In a task of its own, so that the refusal is known without delay.
async fn part<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) {
    let parting = async {
        io.shutdown().await?;
        tokio::io::copy(&mut (&mut io).take(PARTING_BYTES), &mut tokio::io::sink()).await
    };
    // The peer may be gone, or never close; either way we have done what we can.
    let _ = timeout(PARTING, parting).await;
}

/// What a client sends before it hears of the refusal: at most a preface and its first calls.
const PARTING_BYTES: u64 = 64 * 1024;
const PARTING: Duration = Duration::from_secs(1);

/// Read what a client asks for, before anything is answered.
async fn greeting<IO>(io: IO) -> Result<StartHandshake<IO>, HandshakeError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut waiting = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io);
    match (&mut waiting).await {
        Ok(hello) => Ok(hello),
        Err(error) => {
            if let Some(io) = waiting.take_io() {
                tokio::spawn(part(io));
            }
            Err(explain(error))
        }
    }
}

fn explain(error: io::Error) -> HandshakeError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(rustls::Error::NoCertificatesPresented) => {
            let detail = "the client sent no certificate, and one is required";
            HandshakeError::Refused(IdentityError::new(Cause::NoCertificate, detail))
        }
        Some(error) => HandshakeError::Protocol(error.clone()),
        None => HandshakeError::Broken(error),
    }
}
