//! `Proxy`.

use featward_proxy::proxy;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::credentials::Credentials;
use crate::errors::{self, config_error, policy_error};

/// The data plane of one sidecar: serving side, outbound side, health and admin.
#[pyclass(module = "featward_engine", frozen)]
pub(crate) struct Proxy(proxy::Proxy);

#[pymethods]
impl Proxy {
    #[new]
    fn new(credentials: &Credentials, config: &[u8]) -> PyResult<Proxy> {
        proxy::Proxy::new(credentials.0.clone(), config)
            .map(Proxy)
            .map_err(config_error)
    }

    /// Bind everything and serve; returns JSON of the bound addresses.
    fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let addresses = py.detach(|| self.0.start()).map_err(config_error)?;
        Ok(PyBytes::new(py, &addresses))
    }

    /// Drain, wait up to `grace` seconds, then cut.
    fn stop(&self, py: Python<'_>, grace: f64) -> PyResult<()> {
        let grace = errors::grace(grace)?;
        py.detach(|| self.0.stop(grace));
        Ok(())
    }

    /// Decide by this snapshot from the next request on; returns its digest.
    fn set_policy(&self, py: Python<'_>, snapshot: &[u8]) -> PyResult<String> {
        py.detach(|| self.0.set_policy(snapshot)).map_err(policy_error)
    }

    /// Append records from now on to the file that has the configured path now.
    fn reopen_record(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.reopen_record()).map_err(config_error)
    }

    /// JSON object that the admin socket shows under "agent".
    fn set_agent_status(&self, status: &[u8]) -> PyResult<()> {
        self.0.set_agent_status(status).map_err(config_error)
    }

    /// All series in the Prometheus text format.
    fn metrics(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.metrics())
    }

    /// JSON: what the admin socket answers to GET /status.
    fn status<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let status = py.detach(|| self.0.status());
        PyBytes::new(py, &status)
    }

    /// JSON list of what happened since the last call, oldest first.
    fn drain_events<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.drain_events())
    }
}
