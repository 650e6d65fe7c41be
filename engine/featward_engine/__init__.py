"""The Rust engine: everything on the request path, and all of featward's TLS."""

from featward_engine._engine import (
    ConfigError,
    EngineError,
    IdentityError,
    Policy,
    PolicyError,
    __version__,
    refusals,
)

__all__ = [
    "ConfigError",
    "EngineError",
    "IdentityError",
    "Policy",
    "PolicyError",
    "__version__",
    "refusals",
]
