//! One WatchIdentity stream over HTTP/2: gRPC, as far as this one call needs it.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client};
use http::{HeaderMap, Request};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::connect;
use crate::message::{Evidence, UnixEvidence, WatchIdentityRequest, WatchIdentityResponse};
use crate::options::Options;

const CALL: &str = "http://localhost/featward.identity.v1.IdentityService/WatchIdentity";
const BATCH: usize = 20;

/// Why a stream ended, and after how long the server wants us back.
pub struct Ended {
    pub why: String,
    pub come_back_after: Option<Duration>,
}

/// An open stream that has received its first trust, and acknowledged it.
pub struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    buffer: BytesMut,
}

impl Stream {
    /// Over mTLS, as the client of this number.
    pub async fn over_tls(options: &Options, number: usize) -> Result<Stream, Ended> {
        let config = options.tls(number, b"h2").map_err(ended)?;
        let tls = connect::tls(&options.address, config).await.map_err(ended)?;
        Stream::open(tls).await
    }

    /// Over the CA's UNIX socket.
    pub async fn over_socket(options: &Options) -> Result<Stream, Ended> {
        Stream::open(UnixStream::connect(&options.address).await.map_err(ended)?).await
    }

    async fn open<T>(io: T) -> Result<Stream, Ended>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (mut client, connection) = client::handshake(io).await.map_err(ended)?;
        tokio::task::spawn_local(connection);
        let request = Request::post(CALL)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(ended)?;
        let (answer, send) = client.send_request(request, false).map_err(ended)?;
        let (head, receive) = answer.await.map_err(ended)?.into_parts();
        if head.headers.contains_key("grpc-status") {
            return Err(status(&head.headers));
        }
        let mut stream = Stream {
            send,
            receive,
            buffer: BytesMut::new(),
        };
        let first = stream.receive().await?;
        stream.send(WatchIdentityRequest {
            acknowledged_sequence: first.trust.map_or(0, |trust| trust.sequence),
            ..WatchIdentityRequest::default()
        })?;
        Ok(stream)
    }

    /// Sends one certificate request, and waits for its SVID.
    pub async fn renew(&mut self, csr: Bytes) -> Result<u64, Ended> {
        self.issue(vec![csr], None).await
    }

    /// The same for twenty, by what the kernel says of us.
    pub async fn batch(&mut self, options: &Options, client: usize, turn: usize) -> Result<u64, Ended> {
        let csrs = (0..BATCH).map(|place| options.csr(client, turn * BATCH + place));
        let csrs = csrs.collect::<Result<_, _>>().map_err(ended)?;
        let evidence = Evidence {
            unix: Some(UnixEvidence {}),
        };
        self.issue(csrs, Some(evidence)).await
    }

    /// Waits for the end, and for nothing else.
    pub async fn wait(&mut self) -> Ended {
        loop {
            match self.receive().await {
                Ok(message) => {
                    let said = message.trust.map(|trust| WatchIdentityRequest {
                        acknowledged_sequence: trust.sequence,
                        ..WatchIdentityRequest::default()
                    });
                    if let Some(Err(ended)) = said.map(|said| self.send(said)) {
                        return ended;
                    }
                }
                Err(ended) => return ended,
            }
        }
    }

    async fn issue(&mut self, csrs: Vec<Bytes>, evidence: Option<Evidence>) -> Result<u64, Ended> {
        self.send(WatchIdentityRequest {
            csrs,
            evidence,
            ..WatchIdentityRequest::default()
        })?;
        loop {
            let answer = self.receive().await?;
            if !answer.svids.is_empty() {
                return Ok(answer.svids.len() as u64);
            }
        }
    }

    fn send(&mut self, message: WatchIdentityRequest) -> Result<(), Ended> {
        let mut frame = BytesMut::with_capacity(5 + message.encoded_len());
        frame.put_u8(0);
        frame.put_u32(message.encoded_len() as u32);
        message.encode(&mut frame).map_err(ended)?;
        self.send.send_data(frame.freeze(), false).map_err(ended)
    }

    async fn receive(&mut self) -> Result<WatchIdentityResponse, Ended> {
        loop {
            if let Some(whole) = self.whole() {
                return WatchIdentityResponse::decode(whole).map_err(ended);
            }
            match self.receive.data().await {
                Some(Ok(data)) => {
                    let _ = self.receive.flow_control().release_capacity(data.len());
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err(ended(error)),
                None => {
                    let trailers = self.receive.trailers().await.map_err(ended)?;
                    return Err(status(&trailers.unwrap_or_default()));
                }
            }
        }
    }

    /// The next message, if all of it is there.
    fn whole(&mut self) -> Option<Bytes> {
        let length = self.buffer.get(1..5)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if self.buffer.len() < 5 + length {
            return None;
        }
        self.buffer.advance(5);
        Some(self.buffer.split_to(length).freeze())
    }
}

fn status(headers: &HeaderMap) -> Ended {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let after = text("featward-retry-after-ms").and_then(|value| value.parse().ok());
    Ended {
        why: format!(
            "status {}: {}",
            text("grpc-status").unwrap_or("none"),
            text("grpc-message").unwrap_or("")
        ),
        come_back_after: after.map(Duration::from_millis),
    }
}

/// For what says nothing about coming back.
pub fn ended(error: impl ToString) -> Ended {
    Ended {
        why: error.to_string(),
        come_back_after: None,
    }
}
