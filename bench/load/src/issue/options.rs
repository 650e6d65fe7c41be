//! What the command line asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lexopt::prelude::*;
use load::trust;
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};

#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Renew,
    Batch,
    Post,
    Hold,
}

/// One run, ready to start.
pub struct Options {
    pub mode: Mode,
    pub address: String,
    pub csrs: Vec<Bytes>,
    pub first: usize,
    pub connections: usize,
    pub warm: Duration,
    pub seconds: Duration,
    pub path: String,
    pub bodies: Vec<String>,
    /// Read once: a sidecar that tries again has its roots in memory, too.
    trusted: Option<ConfigBuilder<ClientConfig, WantsClientCert>>,
    identities: Option<Identities>,
}

/// The clients' certificates, and their key.
struct Identities {
    chains: Vec<Vec<CertificateDer<'static>>>,
    key: Arc<dyn SigningKey>,
}

impl Options {
    /// Reads the process's arguments; None when help is asked for.
    pub fn from_arguments() -> Result<Option<Options>, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let (mut mode, mut address) = (None, None);
        let (mut first, mut connections, mut warm, mut seconds) = (0, 1, 1.0, 4.0);
        let (mut trusted, mut clients, mut key) = (None, None, None);
        let (mut csrs, mut bodies, mut path) = (Vec::new(), Vec::new(), String::new());
        while let Some(argument) = parser.next()? {
            match argument {
                Value(value) if mode.is_none() => mode = Some(parse_mode(&value.string()?)?),
                Value(value) => address = Some(value.string()?),
                Long("ca") => trusted = Some(trust::client(Path::new(&parser.value()?))?),
                Long("clients") => clients = Some(PathBuf::from(parser.value()?)),
                Long("key") => key = Some(PathBuf::from(parser.value()?)),
                Long("csrs") => csrs = requests(Path::new(&parser.value()?))?,
                Long("bodies") => bodies = lines(Path::new(&parser.value()?))?,
                Long("path") => path = parser.value()?.string()?,
                Long("first") => first = parser.value()?.parse()?,
                Long("connections") => connections = parser.value()?.parse()?,
                Long("warm") => warm = parser.value()?.parse()?,
                Long("seconds") => seconds = parser.value()?.parse()?,
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        let identities = match (clients, key) {
            (Some(clients), Some(key)) => Some(Identities::read(&clients, &key)?),
            (None, None) => None,
            _ => return Err("--clients and --key go together".into()),
        };
        Ok(Some(Options {
            mode: mode.ok_or("what to do is missing")?,
            address: address.ok_or("the address is missing")?,
            trusted,
            csrs,
            first,
            connections,
            warm: Duration::from_secs_f64(warm),
            seconds: Duration::from_secs_f64(seconds),
            path,
            bodies,
            identities,
        }))
    }

    /// How the client of this number speaks TLS.
    pub fn tls(&self, number: usize, protocol: &[u8]) -> Result<Arc<ClientConfig>, String> {
        let builder = self.trusted.clone().ok_or("--ca is needed")?;
        let mut config = match &self.identities {
            None => builder.with_no_client_auth(),
            Some(all) => builder.with_client_cert_resolver(Arc::new(all.one(self.first + number)?)),
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }

    /// The certificate request that is the n-th of a client.
    pub fn csr(&self, client: usize, turn: usize) -> Result<Bytes, String> {
        if self.csrs.is_empty() {
            return Err("--csrs is needed".into());
        }
        Ok(self.csrs[(client * 31 + turn) % self.csrs.len()].clone())
    }
}

impl Identities {
    fn read(clients: &Path, key: &Path) -> Result<Identities, String> {
        let all = trust::certificates(clients)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
        Ok(Identities {
            chains: all.chunks(2).map(<[_]>::to_vec).collect(),
            key: any_ecdsa_type(&key).map_err(|error| error.to_string())?,
        })
    }

    fn one(&self, number: usize) -> Result<SingleCertAndKey, String> {
        let chain = self
            .chains
            .get(number)
            .ok_or("--clients holds too few certificates")?;
        Ok(CertifiedKey::new(chain.clone(), self.key.clone()).into())
    }
}

fn parse_mode(word: &str) -> Result<Mode, String> {
    match word {
        "renew" => Ok(Mode::Renew),
        "batch" => Ok(Mode::Batch),
        "post" => Ok(Mode::Post),
        "hold" => Ok(Mode::Hold),
        other => Err(format!("'{other}' is none of renew, batch, post and hold")),
    }
}

fn requests(path: &Path) -> Result<Vec<Bytes>, String> {
    let read = CertificateSigningRequestDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(read.iter().map(|csr| Bytes::copy_from_slice(csr)).collect())
}

fn lines(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}
