"""A BusinessUnit: whether it can be used, and whether the operator can talk to the CA that signs for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featward_operator.reconcile.environment import owner

if TYPE_CHECKING:
    from featward.kubernetes.resource import Key
    from featward_operator.controllers import Result
    from featward_operator.reconcile.known import Known

__all__ = ["reconcile"]


def reconcile(key: Key, known: Known, now: float) -> Result:
    """Status of one business unit."""
    return owner("BusinessUnit", key, known.catalogue.business_units.get(key[1]), known, now)
