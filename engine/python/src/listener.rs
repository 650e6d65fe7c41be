//! `Listener`.

use featward_proxy::listener;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::credentials::Credentials;
use crate::errors::{self, EngineError, config_error};

/// Ends TLS for a gRPC server of ours and forwards HTTP/2 to its UNIX socket.
#[pyclass(module = "featward_engine", frozen)]
pub(crate) struct Listener(listener::Listener);

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (credentials, config, others = Vec::new()))]
    fn new(
        credentials: &Credentials,
        config: &[u8],
        others: Vec<PyRef<'_, Credentials>>,
    ) -> PyResult<Listener> {
        let others = others.iter().map(|other| other.0.clone()).collect();
        listener::Listener::new(credentials.0.clone(), config)
            .and_then(|listener| listener.others(others))
            .map(Listener)
            .map_err(config_error)
    }

    /// Bind and serve; returns the bound address.
    fn start(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.start()).map_err(config_error)
    }

    /// Take no new calls, wait up to `grace` seconds for those under way, then cut.
    fn stop(&self, py: Python<'_>, grace: f64) -> PyResult<()> {
        let grace = errors::grace(grace)?;
        py.detach(|| self.0.stop(grace));
        Ok(())
    }

    /// JSON object of handshakes so far by outcome: `accepted`, or the cause of refusal.
    fn handshakes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let json = serde_json::to_vec(&self.0.tally().counts())
            .map_err(|error| EngineError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &json))
    }
}
