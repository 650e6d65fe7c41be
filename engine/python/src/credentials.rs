//! `Credentials` and `PendingIdentity`.

use featward_proxy::credentials::{self, Ban, KeyError, NewTrust};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{EngineError, IdentityError};

/// A fresh P-256 key waiting for its certificate. The key never crosses this boundary.
#[pyclass(module = "featward_engine", frozen)]
pub(crate) struct PendingIdentity(credentials::PendingIdentity);

#[pymethods]
impl PendingIdentity {
    /// PKCS #10 request for the key, DER; its subject and extensions are empty.
    #[getter]
    fn csr<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.csr())
    }
}

/// A chain, leaf first, and its key.
type Exported<'py> = (Vec<Bound<'py, PyBytes>>, Bound<'py, PyBytes>);

/// The identity and trust of this process, shared by its Proxy, Listeners and Dialers; swapped whole.
#[pyclass(module = "featward_engine", frozen)]
pub(crate) struct Credentials(pub(crate) credentials::Credentials);

#[pymethods]
impl Credentials {
    #[new]
    fn new(trust_domain: &str) -> PyResult<Credentials> {
        credentials::Credentials::new(trust_domain)
            .map(Credentials)
            .map_err(identity_error)
    }

    /// Make a fresh key and the request for its certificate.
    fn new_identity(&self, py: Python<'_>) -> PyResult<PendingIdentity> {
        let made = py.detach(|| self.0.new_identity());
        made.map(PendingIdentity)
            .map_err(|error: KeyError| EngineError::new_err(error.to_string()))
    }

    /// Use this chain (leaf first) with the pending key from now on; returns the SPIFFE ID in it.
    fn set_identity(
        &self,
        py: Python<'_>,
        pending: &PendingIdentity,
        chain: Vec<Vec<u8>>,
    ) -> PyResult<String> {
        let set = py.detach(|| self.0.set_identity(&pending.0, chain));
        set.map(|identity| identity.spiffe_id).map_err(identity_error)
    }

    /// Trust this and nothing else from now on; `scopes` is None for an issuer without a table.
    #[pyo3(signature = (roots, scopes, sequence, *, bans=Vec::new(), foreign=Vec::new()))]
    fn set_trust(
        &self,
        py: Python<'_>,
        roots: Vec<Vec<u8>>,
        scopes: Option<Vec<(Vec<u8>, String)>>,
        sequence: u64,
        bans: Vec<(String, String, i64)>,
        foreign: Vec<(String, Vec<Vec<u8>>)>,
    ) -> PyResult<()> {
        let set = || {
            let ban = |(kind, value, expires_at): &(String, String, i64)| Ban::read(kind, value, *expires_at);
            let bans = bans.iter().map(ban).collect::<Result<_, _>>()?;
            self.0.set_trust(NewTrust {
                roots,
                scopes,
                sequence,
                bans,
                foreign,
            })
        };
        py.detach(set).map_err(identity_error)
    }

    /// Use this chain and this PKCS #8 key, which another issuer made; returns the SPIFFE ID in it.
    fn set_external_identity(&self, py: Python<'_>, chain: Vec<Vec<u8>>, key: &[u8]) -> PyResult<String> {
        let set = py.detach(|| self.0.set_external_identity(chain, key));
        set.map(|identity| identity.spiffe_id).map_err(identity_error)
    }

    /// Danger: chain and private key (PKCS #8) in use, for Workload API, SDS and file output only.
    fn export_identity<'py>(&self, py: Python<'py>) -> PyResult<Option<Exported<'py>>> {
        let exported = py
            .detach(|| self.0.export_identity())
            .map_err(|error: KeyError| EngineError::new_err(error.to_string()))?;
        Ok(exported.map(|(chain, key)| {
            let chain = chain.iter().map(|one| PyBytes::new(py, one)).collect();
            (chain, PyBytes::new(py, &key))
        }))
    }

    /// Our clock minus the CA's, in seconds; None when it is not known any more.
    fn set_clock_offset(&self, seconds: Option<f64>) {
        self.0.set_clock_offset(seconds);
    }

    /// JSON of the SVID in use.
    fn identity<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(identity) = self.0.identity() else {
            return Ok(None);
        };
        let json = serde_json::to_vec(&identity).map_err(|error| EngineError::new_err(error.to_string()))?;
        Ok(Some(PyBytes::new(py, &json)))
    }

    /// The serial of the SVID in use, an earlier one of another authority while a connection shows it.
    fn serial_in_use(&self) -> Option<String> {
        self.0.serial_in_use()
    }

    /// The sequence of the trust in use, 0 before the first.
    fn sequence(&self) -> u64 {
        self.0.sequence()
    }
}

fn identity_error(error: featward_proxy::verify::IdentityError) -> PyErr {
    IdentityError::new_err(error.to_string())
}
