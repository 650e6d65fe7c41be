//! `Policy` for Python: the same decision as the proxy's, asked and answered in JSON.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::policy_error;

/// A snapshot to ask questions of.
#[pyclass(frozen, module = "featward_engine")]
pub(crate) struct Policy(featward_policy::Policy);

#[pymethods]
impl Policy {
    #[new]
    fn new(py: Python<'_>, snapshot: &[u8]) -> PyResult<Policy> {
        py.detach(|| featward_policy::Policy::load(snapshot))
            .map(Policy)
            .map_err(policy_error)
    }

    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    fn decide<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, || self.0.decide_json(request))
    }

    fn readers<'py>(&self, py: Python<'py>, feature: &str, now: i64) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, || self.0.readers_json(feature, now))
    }

    fn grants<'py>(&self, py: Python<'py>, identity: &str, now: i64) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, || self.0.grants_json(identity, now))
    }
}

/// Answer without the GIL: over a large policy a question may take tens of milliseconds.
fn answer<'py>(
    py: Python<'py>,
    ask: impl FnOnce() -> Result<Vec<u8>, featward_policy::PolicyError> + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    let answer = py.detach(ask).map_err(policy_error)?;
    Ok(PyBytes::new(py, &answer))
}
