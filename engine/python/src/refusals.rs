//! The refusal table for Python: documentation, `explain` and tests read the same rows as the proxy.

use featward_proxy::refusal::Reason;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json};

/// JSON list of the refusal table.
#[pyfunction]
pub(crate) fn refusals(py: Python<'_>) -> Bound<'_, PyBytes> {
    let rows: Vec<Value> = Reason::ALL.iter().map(|reason| row(*reason)).collect();
    PyBytes::new(py, Value::from(rows).to_string().as_bytes())
}

fn row(reason: Reason) -> Value {
    let row = reason.row();
    json!({
        "reason": row.name,
        "status": row.status.as_u16(),
        "kind": row.kind.as_str(),
        "title": row.title,
        "remedy": row.remedy,
        "type": reason.problem_type(),
    })
}
