//! What can be wrong with a configuration, of a proxy as of a listener or a dialer.

use std::fmt::Display;
use std::io;

use thiserror::Error;

/// Why something cannot be made, or started, as configured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The JSON does not have the form that is asked for.
    #[error("the engine's configuration cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// A value is readable and impossible.
    #[error("{setting} is {value}, expected {expected}")]
    Value {
        /// The setting's name.
        setting: String,
        /// What it was set to.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// The system does not give us an address.
    #[error("cannot listen on {address}: {error}")]
    Bind {
        /// Which one.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// A file cannot be opened.
    #[error("{setting} {value} cannot be opened: {error}")]
    Open {
        /// What was to be opened.
        setting: &'static str,
        /// Its path.
        value: String,
        /// What the system said.
        error: io::Error,
    },
    /// It serves already, or has served.
    #[error("this was started already")]
    Started,
}

impl ConfigError {
    pub(crate) fn value(
        setting: impl Into<String>,
        value: impl Display,
        expected: &'static str,
    ) -> ConfigError {
        ConfigError::Value {
            setting: setting.into(),
            value: value.to_string(),
            expected,
        }
    }

    /// For `map_err` on what the system says of an address.
    pub(crate) fn bind(address: impl Display) -> impl FnOnce(io::Error) -> ConfigError {
        move |error| ConfigError::Bind {
            address: address.to_string(),
            error,
        }
    }
}
