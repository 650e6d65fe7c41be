//! A connection to the issuer, with or without TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// As long as a sidecar waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects and shakes hands.
pub async fn tls(address: &str, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| io::Error::other(format!("{address} is no address")))?;
    let name = ServerName::IpAddress(address.ip().into());
    timeout(PATIENCE, async {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, tcp).await
    })
    .await?
}
