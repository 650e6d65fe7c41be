//! Python's view of the engine. This crate only translates: every rule lives in `policy` and `proxy`.
