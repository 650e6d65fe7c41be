//! POSTs over one kept-alive HTTP/1.1 connection: how step-ca is asked.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::connect;
use crate::options::Options;

pub struct Poster {
    tls: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Poster {
    /// Connects as the client of this number.
    pub async fn open(options: &Options, number: usize) -> io::Result<Poster> {
        let config = options.tls(number, b"http/1.1").map_err(io::Error::other)?;
        Ok(Poster {
            tls: connect::tls(&options.address, config).await?,
            buffer: Vec::with_capacity(16_384),
        })
    }

    /// Posts, and wants 201 and a certificate.
    pub async fn post(&mut self, path: &str, body: &str) -> io::Result<u64> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.tls.write_all(request.as_bytes()).await?;
        self.tls.flush().await?;
        self.buffer.clear();
        loop {
            if self.tls.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match status_of_whole(&self.buffer)? {
                None => {}
                Some(201) => return Ok(1),
                Some(status) => {
                    let text = String::from_utf8_lossy(&self.buffer);
                    return Err(io::Error::other(format!("answered {status}: {text}")));
                }
            }
        }
    }
}

/// The status, once the whole answer is there.
fn status_of_whole(bytes: &[u8]) -> io::Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let whole = match length {
        Some(length) => bytes.len() - end >= length,
        None => bytes.ends_with(b"0\r\n\r\n"),
    };
    Ok(whole.then(|| response.code.unwrap_or(0)))
}
