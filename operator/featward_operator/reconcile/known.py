"""All that reconcilers may look at: the world, what we have made in it, and what other parts of us know.

A snapshot only in that nothing changes while one of them runs: they are plain functions on one event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from featward.kubernetes.events import ObjectRef
from featward.manifests.labels import PROTECTION_LABEL
from featward.manifests.model import API_VERSION
from featward_operator.controllers import Notice
from featward_operator.vocabulary import Event, Reason

if TYPE_CHECKING:
    from featward.identity.spiffe import SpiffeId
    from featward.kubernetes.events import EventType
    from featward.kubernetes.resource import Key
    from featward.policy.live import LiveCatalogue
    from featward_operator.injection.settings import InjectionSettings
    from featward_operator.reconcile.audit import Unprotected
    from featward_operator.reconcile.children import Children
    from featward_operator.settings import Settings
    from featward_operator.world import Observed, World

__all__ = ["Known", "Reach", "about", "notice"]

Reach: TypeAlias = Callable[[str], "tuple[Reason, str]"]
"""Whether the CA of an environment (by name) can be talked to: a reason of AuthorityReachable, and why."""


def _nobody_is_held(_: SpiffeId) -> bool:
    return False


def _reachable(_: str) -> tuple[Reason, str]:
    return Reason.REACHABLE, "the CA has given the operator an identity"


@dataclass(frozen=True)
class Known:
    """What a reconciler is given beside its key."""

    world: World
    settings: Settings
    injection: InjectionSettings
    children: Children
    instance: str
    """The pod that leads."""
    held: Callable[[SpiffeId], bool] = _nobody_is_held
    """Whether edits of a workload wait, as this replica's compiler says."""
    reach: Reach = _reachable
    covered: dict[Key, frozenset[str]] = field(default_factory=dict)
    """Whom each binding grants to, as its reconciler found."""
    audits: dict[str, tuple[Unprotected, ...]] = field(default_factory=dict)
    """What was found in each namespace."""

    @property
    def catalogue(self) -> LiveCatalogue:
        """The documents."""
        return self.world.index.catalogue

    def observed(self, kind: str, key: Key) -> Observed | None:
        """An object; None where it is gone."""
        return self.world.objects[kind].get(key)

    def is_suspended(self, namespace: str) -> bool:
        """Whether protection is suspended there by hand."""
        document = self.catalogue.namespaces.get(namespace)
        return (
            document is not None
            and document.model.metadata.labels.get(PROTECTION_LABEL) == "suspended"
        )

    def environment(self, namespace: str) -> str | None:
        """The environment that a namespace belongs to, where it is one of ours."""
        unit = self.catalogue.business_unit_of(namespace)
        name = unit.partition(".")[0] if unit else None
        return name if name in self.injection.environments else None


def about(kind: str, key: Key, observed: Observed | None) -> ObjectRef:
    """The object, for an Event."""
    version = "v1" if kind in ("Namespace", "Pod") else API_VERSION
    return ObjectRef(version, kind, key[0], key[1], observed.uid if observed is not None else "")


def notice(what: ObjectRef, event: Event, note: str, kind: EventType = "Warning") -> Notice:
    """An Event of the vocabulary."""
    return Notice(what, event.value, note, kind)
