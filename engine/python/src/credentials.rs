//! `Credentials` and `PendingIdentity`.

use featward_proxy::credentials::{self, KeyError};
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

    /// Trust these roots and this scope table from now on.
    fn set_trust(
        &self,
        py: Python<'_>,
        roots: Vec<Vec<u8>>,
        scopes: Vec<(Vec<u8>, String)>,
        sequence: u64,
    ) -> PyResult<()> {
        py.detach(|| self.0.set_trust(roots, scopes, sequence))
            .map_err(identity_error)
    }

    /// JSON of the SVID in use.
    fn identity<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(identity) = self.0.identity() else {
            return Ok(None);
        };
        let json = serde_json::to_vec(&identity).map_err(|error| EngineError::new_err(error.to_string()))?;
        Ok(Some(PyBytes::new(py, &json)))
    }

    /// The sequence of the trust in use, 0 before the first.
    fn sequence(&self) -> u64 {
        self.0.sequence()
    }
}

fn identity_error(error: featward_proxy::verify::IdentityError) -> PyErr {
    IdentityError::new_err(error.to_string())
}
