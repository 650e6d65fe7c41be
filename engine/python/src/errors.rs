//! The exceptions that Python sees, and the one place where errors of the other crates become them. Panics become
//! `pyo3_runtime.PanicException` by PyO3's own doing.

use std::time::Duration;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::{PyErr, create_exception};

create_exception!(
    featward_engine,
    EngineError,
    PyException,
    "Base of what the engine raises; its text is one sentence."
);
create_exception!(
    featward_engine,
    ConfigError,
    EngineError,
    "A setting is missing, unknown or impossible, or an address can't be bound."
);
create_exception!(
    featward_engine,
    IdentityError,
    EngineError,
    "A certificate chain, key or trust bundle does not hold what it must."
);
create_exception!(
    featward_engine,
    IssuingError,
    EngineError,
    "A certificate was not made: the checker refused it, or the permission to sign it is spent."
);
create_exception!(
    featward_engine,
    PolicyError,
    EngineError,
    "A snapshot can't be used: unreadable, of a newer format, or against itself."
);

/// Add the exceptions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("EngineError", py.get_type::<EngineError>())?;
    module.add("ConfigError", py.get_type::<ConfigError>())?;
    module.add("IdentityError", py.get_type::<IdentityError>())?;
    module.add("IssuingError", py.get_type::<IssuingError>())?;
    module.add("PolicyError", py.get_type::<PolicyError>())
}

/// Raise what the policy crate refuses. By value, as `map_err` hands it over.
pub(crate) fn policy_error(error: featward_policy::PolicyError) -> PyErr {
    PolicyError::new_err(error.to_string())
}

/// Raise what the proxy crate refuses to make or start. By value, as `map_err` hands it over.
pub(crate) fn config_error(error: featward_proxy::config::ConfigError) -> PyErr {
    ConfigError::new_err(error.to_string())
}

/// The time that stopping may take.
pub(crate) fn grace(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| ConfigError::new_err(format!("grace is {seconds}, expected seconds, 0 or more")))
}
