"""The Rust engine: everything on the request path, and all of featward's TLS."""

from featward_engine._engine import (
    ConfigError,
    Credentials,
    Dialer,
    EngineError,
    IdentityError,
    Listener,
    PendingIdentity,
    Policy,
    PolicyError,
    Proxy,
    __version__,
    judge,
    refusals,
)

__all__ = [
    "ConfigError",
    "Credentials",
    "Dialer",
    "EngineError",
    "IdentityError",
    "Listener",
    "PendingIdentity",
    "Policy",
    "PolicyError",
    "Proxy",
    "__version__",
    "judge",
    "refusals",
]
