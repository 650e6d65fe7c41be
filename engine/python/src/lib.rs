//! Python's view of the engine. This crate only translates: every rule lives in the crates beside it.

use pyo3::prelude::*;

mod credentials;
mod dialer;
mod errors;
mod issue;
mod judge;
mod listener;
mod policy;
mod proxy;
mod refusals;

/// The extension module: one line for each thing that Python sees.
#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::register(module)?;
    module.add_class::<policy::Policy>()?;
    module.add_function(wrap_pyfunction!(refusals::refusals, module)?)?;
    module.add_function(wrap_pyfunction!(judge::judge, module)?)?;
    module.add_class::<credentials::Credentials>()?;
    module.add_class::<credentials::PendingIdentity>()?;
    module.add_class::<dialer::Dialer>()?;
    module.add_function(wrap_pyfunction!(issue::check_requests, module)?)?;
    module.add_function(wrap_pyfunction!(issue::prepare_leaves, module)?)?;
    module.add_class::<issue::PreparedLeaves>()?;
    module.add_class::<issue::SigningKey>()?;
    module.add_class::<listener::Listener>()?;
    module.add_class::<proxy::Proxy>()?;
    Ok(())
}
