"""The Rust engine: everything on the request path, and all of featward's TLS."""
