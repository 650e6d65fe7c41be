"""The CA's tests have a CA at hand."""

from ca_fixtures import (
    clock,
    core,
    open_core,
    postgresql,
    postgresql_url,
    served,
    store_url,
)

__all__ = ["clock", "core", "open_core", "postgresql", "postgresql_url", "served", "store_url"]
