//! Our judgement in the shape that rustls asks for. One verifier serves one handshake and keeps what it found, so
//! that the caller gets the proven peer, or the exact cause, without judging the chain a second time.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme,
};

use super::{Cause, IdentityError};
use crate::peer::{Peer, PeerCertificates};
use crate::tls::provider;

/// How one side of a handshake judges the other's certificates.
type Judge = dyn Fn(&PeerCertificates) -> Result<Peer, IdentityError> + Send + Sync;

/// Judges the certificates of one handshake, and remembers the outcome.
pub(crate) struct Verifier {
    judge: Box<Judge>,
    mandatory: bool,
    outcome: OnceLock<Result<Peer, IdentityError>>,
}

impl Verifier {
    /// `mandatory` says whether a client must send a certificate; servers always must.
    pub(crate) fn new(
        mandatory: bool,
        judge: impl Fn(&PeerCertificates) -> Result<Peer, IdentityError> + Send + Sync + 'static,
    ) -> Arc<Verifier> {
        Arc::new(Verifier {
            judge: Box::new(judge),
            mandatory,
            outcome: OnceLock::new(),
        })
    }

    /// What was found; None when the peer sent no certificate.
    pub(crate) fn outcome(&self) -> Option<Result<Peer, IdentityError>> {
        self.outcome.get().cloned()
    }

    fn verify(&self, leaf: &CertificateDer<'_>, above: &[CertificateDer<'_>]) -> Result<(), Error> {
        let all = std::iter::once(leaf)
            .chain(above)
            .map(|one| one.clone().into_owned());
        let chain = PeerCertificates::new(all.collect());
        let outcome = self.outcome.get_or_init(|| (self.judge)(&chain));
        outcome
            .as_ref()
            .map(|_| ())
            .map_err(|error| Error::InvalidCertificate(alert(error.cause)))
    }
}

/// What the peer is told, by an alert: enough to find a clock or a root that is wrong, nothing of our table.
fn alert(cause: Cause) -> CertificateError {
    match cause {
        Cause::Expired | Cause::ClockSkew => CertificateError::Expired,
        Cause::NotYetValid => CertificateError::NotValidYet,
        Cause::UnknownAuthority | Cause::WrongTrustDomain | Cause::NoTrust => CertificateError::UnknownIssuer,
        Cause::Banned => CertificateError::Revoked,
        Cause::BadSvid | Cause::NoCertificate => CertificateError::BadEncoding,
        _ => CertificateError::ApplicationVerificationFailure,
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("mandatory", &self.mandatory)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(leaf, above).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        possession(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        // Servers are known by SPIFFE ID, never by name.
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, above).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        possession(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The peer holds the leaf's key: its signature over this handshake is good.
fn possession(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    rustls::crypto::verify_tls13_signature(
        message,
        leaf,
        signature,
        &provider().signature_verification_algorithms,
    )
}

fn no_tls12() -> Error {
    PeerIncompatible::SupportedVersionsExtensionRequired.into()
}
