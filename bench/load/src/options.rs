//! What the command line asks for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lexopt::prelude::*;
use rustls::ClientConfig;

use crate::connection;

#[derive(Clone, Copy)]
pub enum Mode {
    Requests,
    Handshake,
    Idle,
}

/// One run, ready to start.
#[derive(Clone)]
pub struct Options {
    pub mode: Mode,
    pub address: SocketAddr,
    pub connections: usize,
    pub seconds: Duration,
    /// Requests a second over all connections; None for a closed loop.
    pub rate: Option<f64>,
    /// A whole HTTP/1.1 request, made once.
    pub request: Arc<[u8]>,
    /// None for cleartext.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Options {
    /// Reads the process's arguments; None when help is asked for.
    pub fn from_arguments() -> Result<Option<Options>, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let (mut mode, mut address, mut plain, mut body) = (None, None, false, None);
        let (mut connections, mut seconds, mut rate) = (16, 5.0, 0.0);
        let (mut ca, mut cert, mut key) = (None, None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(value) if mode.is_none() => mode = Some(parse_mode(&value.string()?)?),
                Value(value) => address = Some(value.parse()?),
                Long("plain") => plain = true,
                Long("connections") => connections = parser.value()?.parse()?,
                Long("seconds") => seconds = parser.value()?.parse()?,
                Long("rate") => rate = parser.value()?.parse()?,
                Long("body") => body = Some(PathBuf::from(parser.value()?)),
                Long("ca") => ca = Some(PathBuf::from(parser.value()?)),
                Long("cert") => cert = Some(PathBuf::from(parser.value()?)),
                Long("key") => key = Some(PathBuf::from(parser.value()?)),
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        let tls = match (plain, ca, cert, key) {
            (true, ..) => None,
            (false, Some(ca), Some(cert), Some(key)) => Some(connection::tls(&ca, &cert, &key)?),
            _ => return Err("--ca, --cert and --key are needed without --plain".into()),
        };
        let body = body
            .map_or(Ok(Vec::new()), std::fs::read)
            .map_err(|e| e.to_string())?;
        Ok(Some(Options {
            mode: mode.ok_or("what to do is missing")?,
            address: address.ok_or("the address is missing")?,
            connections,
            seconds: Duration::from_secs_f64(seconds),
            rate: (rate > 0.0).then_some(rate),
            request: request(&body).into(),
            tls,
        }))
    }
}

fn parse_mode(word: &str) -> Result<Mode, String> {
    match word {
        "requests" => Ok(Mode::Requests),
        "handshake" => Ok(Mode::Handshake),
        "idle" => Ok(Mode::Idle),
        other => Err(format!("'{other}' is none of requests, handshake and idle")),
    }
}

fn request(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /get-online-features HTTP/1.1\r\nHost: features\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
