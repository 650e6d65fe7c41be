//! `Dialer`.

use featward_proxy::dialer;
use pyo3::prelude::*;

use crate::credentials::Credentials;
use crate::errors::config_error;

/// A UNIX socket (0600) whose far end is verified mTLS to one address.
#[pyclass(module = "featward_engine", frozen)]
pub(crate) struct Dialer(dialer::Dialer);

#[pymethods]
impl Dialer {
    #[new]
    fn new(credentials: &Credentials, config: &[u8]) -> PyResult<Dialer> {
        dialer::Dialer::new(credentials.0.clone(), config)
            .map(Dialer)
            .map_err(config_error)
    }

    /// Open the socket; returns its path.
    fn start(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.start()).map_err(config_error)
    }

    /// Close the socket and cut every connection.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    /// Why the newest connection attempt failed, one sentence; None after one that held.
    fn last_error(&self) -> Option<String> {
        self.0.last_error()
    }
}
