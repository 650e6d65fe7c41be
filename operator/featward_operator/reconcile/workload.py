"""A Workload: whether it can be used. It runs outside of clusters, so there is nothing else to be said here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featward_operator.reconcile.environment import platform

if TYPE_CHECKING:
    from featward.kubernetes.resource import Key
    from featward_operator.controllers import Result
    from featward_operator.reconcile.known import Known

__all__ = ["reconcile"]


def reconcile(key: Key, known: Known, now: float) -> Result:
    """Status of one workload."""
    found = (one for one in known.catalogue.workloads.values() if one.model.metadata.name == key[1])
    return platform("Workload", key, next(found, None), known, now)
