//! `check_requests`, `prepare_leaves`, `PreparedLeaves` and `SigningKey`: the CA's leaves, a batch in one call.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use featward_issue::{IssueError, Leaf, Linted, request};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::errors::IssuingError;

/// As Python orders a leaf: SPKI, SPIFFE ID, serial, not before, not after.
type Ordered = (Vec<u8>, String, Vec<u8>, i64, i64);

/// The SubjectPublicKeyInfo (DER) of each request, or the sentence of its refusal.
#[pyfunction]
pub(crate) fn check_requests<'py>(py: Python<'py>, csrs: Vec<Vec<u8>>) -> Vec<Bound<'py, PyAny>> {
    let checked: Vec<_> = py.detach(|| csrs.iter().map(|csr| request::public_key(csr)).collect());
    checked
        .into_iter()
        .map(|outcome| match outcome {
            Ok(spki) => PyBytes::new(py, &spki).into_any(),
            Err(refusal) => PyString::new(py, &refusal.to_string()).into_any(),
        })
        .collect()
}

/// Build and check leaves of one authority.
#[pyfunction]
pub(crate) fn prepare_leaves(
    py: Python<'_>,
    issuer: &[u8],
    prefix: &str,
    leaves: Vec<Ordered>,
) -> PyResult<PreparedLeaves> {
    let leaves = leaves.into_iter().map(leaf).collect::<PyResult<Vec<_>>>()?;
    let linted = py
        .detach(|| featward_issue::prepare(issuer, prefix, &leaves))
        .map_err(issuing_error)?;
    Ok(PreparedLeaves {
        tbs_sha256: linted.iter().map(|leaf| *leaf.tbs_sha256()).collect(),
        leaves: Mutex::new(Some(linted)),
    })
}

fn leaf((spki, spiffe_id, serial, not_before, not_after): Ordered) -> PyResult<Leaf> {
    let serial = serial.try_into().map_err(|serial: Vec<u8>| {
        let size = serial.len();
        IssuingError::new_err(format!(
            "the serial number of {spiffe_id} has {size} bytes, expected 16"
        ))
    })?;
    Ok(Leaf {
        spki,
        spiffe_id,
        serial,
        not_before,
        not_after,
    })
}

/// Leaves that were checked, and leave to sign each of them once.
#[pyclass(module = "featward_engine", frozen)]
pub(crate) struct PreparedLeaves {
    tbs_sha256: Vec<[u8; 32]>,
    /// None once spent.
    leaves: Mutex<Option<Vec<Linted>>>,
}

#[pymethods]
impl PreparedLeaves {
    /// The digests of the bytes that will be signed, in the order of the batch.
    #[getter]
    fn tbs_sha256<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.tbs_sha256
            .iter()
            .map(|digest| PyBytes::new(py, digest))
            .collect()
    }

    /// Give up the leave to sign all but these places of the batch.
    fn keep(&self, places: BTreeSet<usize>) -> PyResult<()> {
        if let Some(place) = places.iter().find(|place| **place >= self.tbs_sha256.len()) {
            return Err(IssuingError::new_err(format!(
                "the batch has no place {place}, it has {} leaves",
                self.tbs_sha256.len()
            )));
        }
        let kept = self
            .spend()?
            .into_iter()
            .enumerate()
            .filter(|(place, _)| places.contains(place))
            .map(|(_, leaf)| leaf)
            .collect();
        *self.lock() = Some(kept);
        Ok(())
    }
}

impl PreparedLeaves {
    fn spend(&self) -> PyResult<Vec<Linted>> {
        let leaves = self.lock().take();
        leaves.ok_or_else(|| IssuingError::new_err("this permission to sign was used before"))
    }

    /// Nothing is done under the lock that could leave half a change behind.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Linted>>> {
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An authority's P-256 key, which signs nothing but `PreparedLeaves`.
#[pyclass(module = "featward_engine", frozen)]
pub(crate) struct SigningKey(featward_issue::SigningKey);

#[pymethods]
impl SigningKey {
    #[new]
    fn new(pkcs8: &[u8]) -> PyResult<SigningKey> {
        featward_issue::SigningKey::from_pkcs8(pkcs8)
            .map(SigningKey)
            .map_err(issuing_error)
    }

    /// SubjectPublicKeyInfo, DER.
    #[getter]
    fn spki<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.spki())
    }

    /// The certificates, DER.
    fn sign_leaves<'py>(
        &self,
        py: Python<'py>,
        prepared: &PreparedLeaves,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let leaves = prepared.spend()?;
        let signed: Result<Vec<_>, _> =
            py.detach(|| leaves.into_iter().map(|leaf| self.0.sign(leaf)).collect());
        let signed = signed.map_err(issuing_error)?;
        Ok(signed.iter().map(|der| PyBytes::new(py, der)).collect())
    }
}

/// By value, as `map_err` hands it over.
fn issuing_error(error: IssueError) -> PyErr {
    IssuingError::new_err(error.to_string())
}
