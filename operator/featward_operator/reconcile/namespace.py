"""A Namespace: how its pods know their CA at first contact, whose it is, and what runs in it unprotected.

Namespaces are not ours and have no status of ours. What was so when we last looked is remembered on the
ConfigMap that we keep there, so that a leader who follows another still sees what has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featward.kubernetes.resource import CONFIG_MAPS
from featward.manifests.labels import INJECTION_LABEL, PROTECTION_LABEL
from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward_operator.controllers import Notice, Result
from featward_operator.injection.names import ENABLED, SUSPENDED, TRUST_MAP
from featward_operator.reconcile.audit import Note, asks, audit, events_of
from featward_operator.reconcile.children import MANAGED, Body, applied
from featward_operator.reconcile.feature_set import has_sidecar, is_running
from featward_operator.reconcile.known import about, notice
from featward_operator.vocabulary import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featward.kubernetes.events import ObjectRef
    from featward.kubernetes.resource import Key
    from featward_operator.reconcile.known import Known

__all__ = ["needs_trust", "reconcile"]

KIND = "Namespace"
AUDIT_SECONDS = 600.0
"""Everything is looked at again after this, though nobody has told of a change."""


def reconcile(key: Key, known: Known, now: float) -> Result:
    """The ConfigMap, what was found, and events."""
    name = key[1]
    observed = known.observed(KIND, key)
    if observed is None:
        return Result(actions=(Note(known.audits, name, ()),))
    found = audit(name, known)
    where = about(KIND, key, observed)
    there = known.children.get(CONFIG_MAPS, name, TRUST_MAP)
    wanted = _trust_map(name, known, there)
    return Result(
        actions=(
            Note(known.audits, name, found),
            *(applied(known.children, CONFIG_MAPS, wanted) if wanted is not None else ()),
        ),
        events=(*_changes(where, wanted, there), *events_of(name, found, where)),
        requeue_at=now + AUDIT_SECONDS,
    )


def needs_trust(namespace: str, known: Known) -> bool:
    """Whether pods there may wait for the ConfigMap: those that ask, and those that are about to."""
    if namespace in {known.settings.namespace, *known.injection.outside}:
        return False
    document = known.catalogue.namespaces.get(namespace)
    if document is None:
        return False
    labels = document.model.metadata.labels
    return (
        labels.get(INJECTION_LABEL) == ENABLED
        or any(inside == namespace for inside, _ in known.catalogue.feature_sets)
        or any(
            is_running(pod) and (has_sidecar(pod) or asks(pod, labels))
            for pod in known.world.pods.inside(namespace).values()
        )
    )


def _trust_map(namespace: str, known: Known, there: Body | None) -> Body | None:
    """As it should be; None where there is nothing to write, or nothing known to write.

    Once it is there it is kept up to date: who mounts it is more than we can see.
    """
    environment = known.environment(namespace)
    bundle = known.children.bundles.get(environment or "")
    if not bundle or (there is None and not needs_trust(namespace, known)):
        return None
    state = "suspended" if known.is_suspended(namespace) else "on"
    unit = known.catalogue.business_unit_of(namespace) or ""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "namespace": namespace,
            "name": TRUST_MAP,
            "labels": MANAGED,
            "annotations": {BUSINESS_UNIT_LABEL: unit, PROTECTION_LABEL: state},
        },
        "data": {**bundle},
    }


def _changes(where: ObjectRef, wanted: Body | None, there: Body | None) -> Iterator[Notice]:
    """What is otherwise than when the ConfigMap was written."""
    if wanted is None:
        return
    now = wanted["metadata"]["annotations"]
    before = (there or {"metadata": {}})["metadata"].get("annotations") or {}
    unit, was = now[BUSINESS_UNIT_LABEL], before.get(BUSINESS_UNIT_LABEL)
    if was is not None and was != unit:
        said = f"it belongs to {unit or 'no business unit'} and no longer to {was or 'none'}"
        yield notice(where, Event.BUSINESS_UNIT_CHANGED, said, "Normal")
    state, was = now[PROTECTION_LABEL], before.get(PROTECTION_LABEL, "on")
    if state == was:
        return
    if state == SUSPENDED:
        said = "protection is suspended by hand: pods that are made now come up without a sidecar"
        yield notice(where, Event.PROTECTION_SUSPENDED, said)
    else:
        said = "protection is no longer suspended; make pods anew that came up without a sidecar"
        yield notice(where, Event.PROTECTION_RESTORED, said, "Normal")
