//! One blocking HTTP/1.1 connection, in cleartext or over TLS 1.3.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use load::trust;
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, ServerName};

use crate::options::Options;

pub enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    pub fn open(options: &Options) -> io::Result<Connection> {
        let tcp = TcpStream::connect(options.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
        let Some(config) = &options.tls else {
            return Ok(Connection::Plain(tcp));
        };
        let name = ServerName::IpAddress(options.address.ip().into());
        let tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        Ok(Connection::Tls(Box::new(StreamOwned::new(tls, tcp))))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Connection::Plain(tcp) => tcp.write_all(bytes),
            Connection::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        }
    }

    /// Reads one answer into `buffer` and returns its status and the length of its body.
    pub fn answer(&mut self, buffer: &mut Vec<u8>) -> io::Result<(u16, usize)> {
        buffer.clear();
        let mut head: Option<Head> = None;
        let mut chunk = [0; 32_768];
        loop {
            let n = self.read(&mut chunk)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer.extend_from_slice(&chunk[..n]);
            if head.is_none() {
                head = Head::parse(buffer)?;
            }
            if let Some(length) = head.as_ref().and_then(|head| head.complete(buffer)) {
                return Ok((head.map_or(0, |head| head.status), length));
            }
        }
    }

    /// Completes the TLS handshake and closes, waiting for the peer's close.
    pub fn shake_hands(self) -> io::Result<()> {
        let Connection::Tls(mut tls) = self else {
            return Err(io::Error::other("handshakes need TLS"));
        };
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        tls.conn.send_close_notify();
        tls.flush()?;
        tls.sock.shutdown(Shutdown::Write)?;
        match io::copy(&mut tls, &mut io::sink()) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(tcp) => tcp.read(bytes),
            Connection::Tls(tls) => tls.read(bytes),
        }
    }
}

struct Head {
    end: usize,
    status: u16,
    length: Option<usize>,
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
        let mut headers = [httparse::EMPTY_HEADER; 48];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(end) = response.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let status = response.code.unwrap_or(0);
        let header = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = header.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
        Ok(Some(Head { end, status, length }))
    }

    /// The body's length once all of it is there. Without Content-Length the answer is chunked.
    fn complete(&self, bytes: &[u8]) -> Option<usize> {
        match self.length {
            Some(length) => (bytes.len() - self.end >= length).then_some(length),
            None => bytes.ends_with(b"0\r\n\r\n").then(|| bytes.len() - self.end),
        }
    }
}

/// A TLS 1.3 client with a certificate that speaks HTTP/1.1.
pub fn tls(ca: &Path, cert: &Path, key: &Path) -> Result<Arc<ClientConfig>, String> {
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let mut config = trust::client(ca)?
        .with_client_auth_cert(trust::certificates(cert)?, key)
        .map_err(|error| error.to_string())?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
