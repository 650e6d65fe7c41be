//! A client that writes bytes as the test says, so that nothing between test and proxy is tidied up.

use std::net::SocketAddr;
use std::time::Duration;

use featward_policy::SpiffeId;
use featward_proxy::credentials::Credentials;
use featward_proxy::runtime;
use featward_proxy::tls::{Anchor, Connector, Expect};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// One connection.
pub struct Wire {
    io: Box<dyn Io>,
    rest: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| &**value)
    }

    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

impl Wire {
    pub fn tcp(address: SocketAddr) -> Wire {
        Wire::over(runtime::handle().block_on(TcpStream::connect(address)).unwrap())
    }

    pub fn unix(path: &std::path::Path) -> Wire {
        Wire::over(runtime::handle().block_on(UnixStream::connect(path)).unwrap())
    }

    pub fn tls(address: SocketAddr, credentials: &Credentials, server: &str, protocols: &[&str]) -> Wire {
        let expect = Expect {
            identity: SpiffeId::parse(server).unwrap(),
            by: Anchor::Trust,
        };
        let connector = Connector::new(credentials, expect, true, protocols);
        let connected = runtime::handle().block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            connector.connect(stream).await
        });
        Wire::over(connected.unwrap().stream)
    }

    pub fn over(io: impl Io + 'static) -> Wire {
        Wire {
            io: Box::new(io),
            rest: Vec::new(),
        }
    }

    pub fn into_io(self) -> Box<dyn Io> {
        self.io
    }

    /// Send these bytes. A proxy that has refused already may have closed; what it said is still to be read.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.try_send(bytes);
    }

    /// Send these bytes, and say whether all were taken.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        runtime::handle().block_on(async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        })
    }

    /// The next answer.
    pub fn read(&mut self) -> Answer {
        self.try_read().expect("the connection ended before the answer")
    }

    /// The next answer, or None when the connection ends first.
    pub fn try_read(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.rest, b"\r\n\r\n") {
                break at;
            }
            self.more().then_some(())?;
        };
        let head = String::from_utf8(self.rest.drain(..head_end + 4).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if status == 100 {
            return self.try_read();
        }
        answer.body = match answer.header("transfer-encoding") {
            Some(_) => self.chunks()?,
            None => {
                let length = answer
                    .header("content-length")
                    .map_or(0, |text| text.parse().unwrap());
                self.take(length)?
            }
        };
        Some(answer)
    }

    /// Whether the other end has closed, with nothing more to say.
    pub fn is_closed(&mut self) -> bool {
        self.rest.is_empty() && !self.more()
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = find(&self.rest, b"\r\n") {
                    break at;
                }
                self.more().then_some(())?;
            };
            let line = String::from_utf8(self.rest.drain(..end + 2).collect()).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            body.extend(self.take(size)?);
            self.take(2)?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// The next bytes.
    pub fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.rest.len() < size {
            self.more().then_some(())?;
        }
        Some(self.rest.drain(..size).collect())
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let read = runtime::handle().block_on(async { timeout(PATIENCE, self.io.read(&mut buffer)).await });
        let read = read.expect("nothing came for too long").unwrap_or(0);
        self.rest.extend_from_slice(&buffer[..read]);
        read > 0
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
