"""What the tests of other people's mistakes share: a CA at hand, and one behind all its ways in."""

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
