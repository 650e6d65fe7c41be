//! `judge`: what a verifier of ours would say of a chain.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::config_error;

/// Judge one chain by one trust, asked and answered in JSON.
#[pyfunction]
pub(crate) fn judge<'py>(py: Python<'py>, question: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let answer = py
        .detach(|| featward_proxy::question::judge(question))
        .map_err(config_error)?;
    Ok(PyBytes::new(py, &answer))
}
