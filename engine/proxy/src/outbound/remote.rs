//! Another sidecar, which serves one feature set: where it is, whom it must prove to be, and connections to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use featward_policy::SpiffeId;
use http::HeaderValue;
use rustls::AlertDescription;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clock;
use crate::config::{Limits, seconds};
use crate::credentials::Credentials;
use crate::peer::PeerWatch;
use crate::refusal::Reason;
use crate::tls::{self, Anchor, ConnectError, Connector, Expect};
use crate::upstream::{Connect, Guarded, Link, Pool, SendError, Wire, refusal};
use crate::verify::Cause;

/// One sidecar.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) address: Box<str>,
    pub(crate) identity: SpiffeId,
    /// As the Host header names it.
    pub(crate) authority: HeaderValue,
    pub(crate) pool: Arc<Pool>,
    credentials: Credentials,
    connector: Connector,
    connect_time: Duration,
}

/// Why there is no answer of a remote sidecar. These are ours to tell, and never confused with its refusals.
#[derive(Debug)]
pub(crate) struct Unreached {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Remote {
    /// The sidecar at this address; None when the address cannot stand in a Host header.
    pub(crate) fn new(
        address: &str,
        identity: &SpiffeId,
        credentials: &Credentials,
        limits: &Limits,
    ) -> Option<Remote> {
        let expect = Expect {
            identity: identity.clone(),
            by: Anchor::Trust,
        };
        let connector = Connector::new(credentials, expect, true, &["http/1.1"])
            .deadline(seconds(limits.handshake_seconds));
        Some(Remote {
            address: address.into(),
            identity: identity.clone(),
            authority: address.parse().ok()?,
            pool: Arc::default(),
            credentials: credentials.clone(),
            connector,
            connect_time: seconds(limits.upstream_connect_seconds),
        })
    }

    /// Whether this is the one at that address with that identity.
    pub(crate) fn is(&self, address: &str, identity: &SpiffeId) -> bool {
        *self.address == *address && self.identity == *identity
    }

    /// Let no pooled connection outlive a change of our identity or trust.
    pub(crate) fn refresh(&self, epoch: u64) {
        self.pool.enter(epoch);
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> Unreached {
        let detail = format!("the sidecar at {} cannot be reached: {why}", self.address);
        Unreached {
            reason: Reason::ServerUnreachable,
            detail,
        }
    }

    /// Both certificates must hold for as long as the connection is used.
    fn until(&self, peer_not_after: i64) -> Instant {
        let ours = self
            .credentials
            .identity()
            .map_or(i64::MAX, |identity| identity.not_after);
        let left = ours
            .min(peer_not_after)
            .saturating_sub(clock::unix_seconds(clock::now()));
        Instant::now() + Duration::from_secs(u64::try_from(left).unwrap_or(0).min(LONGEST))
    }
}

/// A year; certificates that live longer do not make clocks overflow.
const LONGEST: u64 = 31_536_000;

impl Connect for Remote {
    type Error = Unreached;

    async fn connect(&self) -> Result<Box<Link>, Unreached> {
        self.own_identity()?;
        // Read before the handshake: if identity or trust change meanwhile, the connection is used once and not kept.
        let epoch = *self.credentials.changed().borrow();
        let connecting = timeout(self.connect_time, TcpStream::connect(&*self.address)).await;
        let stream = connecting
            .map_err(|_| self.unreachable("no answer in time"))?
            .map_err(|error| self.unreachable(error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| self.unreachable(error))?;
        let connected = self
            .connector
            .connect(stream)
            .await
            .map_err(|error| self.explain(&error))?;
        let until = self.until(connected.peer.not_after());
        let watch = PeerWatch::new(&self.credentials, &connected.peer);
        let guarded = Guarded::new(connected.stream, watch);
        let link = Link::new(Wire::Tls(Box::new(guarded)), Some(until), epoch).await;
        let mut link = link.map_err(|error| self.unreachable(error))?;
        link.shows(connected.own);
        Ok(link)
    }
}

impl Remote {
    /// An expired identity is not even shown: the server would refuse it with an alert that says less.
    fn own_identity(&self) -> Result<(), Unreached> {
        match self.credentials.refused_identity() {
            Some(Reason::IdentityExpired) => Err(self.expired()),
            // No identity yet is found by the connector, which says so in its own words.
            _ => Ok(()),
        }
    }

    fn expired(&self) -> Unreached {
        Unreached {
            reason: Reason::IdentityExpired,
            detail: format!("{}: {}", self.address, self.credentials.expiry_detail()),
        }
    }

    /// The server refused our certificate. Where it says that it has expired, either it has, or the clocks differ.
    fn refused(&self, alert: AlertDescription) -> Unreached {
        if self.credentials.refused_identity() == Some(Reason::IdentityExpired) {
            return self.expired();
        }
        match self.credentials.clock().words() {
            Some(words) if alert == AlertDescription::CertificateExpired => {
                self.unreachable(format_args!("it refused our certificate: {alert:?}; {words}"))
            }
            _ => self.unreachable(format_args!("it refused our certificate: {alert:?}")),
        }
    }

    fn explain(&self, error: &ConnectError) -> Unreached {
        let reason = match error {
            ConnectError::Refused(alert) => return self.refused(*alert),
            ConnectError::NoIdentity => Reason::NoIdentity,
            ConnectError::NotTrusted(error) if error.cause == Cause::NoTrust => Reason::NoIdentity,
            ConnectError::NotTrusted(_) => Reason::ServerNotTrusted,
            ConnectError::Unreachable(_) => Reason::ServerUnreachable,
        };
        Unreached {
            reason,
            detail: format!("{}: {error}", self.address),
        }
    }

    /// Why sending failed. TLS 1.3 lets the server refuse our certificate only after the handshake.
    pub(crate) fn failed(&self, error: SendError<Unreached>) -> Unreached {
        match error {
            SendError::Connect(unreached) => unreached,
            SendError::Broken(error) => match (tls::alert(&error), refusal(&error)) {
                (Some(alert), _) => self.refused(alert),
                (None, Some(why)) => self.explain(&ConnectError::NotTrusted(why.clone())),
                (None, None) => self
                    .own_identity()
                    .err()
                    .unwrap_or_else(|| self.unreachable(error)),
            },
        }
    }

    /// It took too long.
    pub(crate) fn late(&self) -> Unreached {
        self.unreachable("no answer in time")
    }
}
