"""From a change to what has to be looked at again: a status says how an object stands among others.

What says who there is concerns everything and changes seldom; what changes often, as pods do, is followed to
the few objects that it concerns, and waits a second for more of its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from featward.kubernetes.resource import CONFIG_MAPS
from featward_operator.injection.names import TRUST_MAP
from featward_operator.reconcile.children import owners
from featward_operator.reconcile.override import target_named
from featward_operator.reconcile.service import account_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from featward.kubernetes.resource import Key, Resource
    from featward_operator.pods import PodFacts
    from featward_operator.reconcile.children import Body
    from featward_operator.reconcile.known import Known

__all__ = ["TOGETHER_SECONDS", "Queue", "Triggers"]

TOGETHER_SECONDS = 1.0
AUDIT_TOGETHER_SECONDS = 4.0
"""What runs unprotected is told within five seconds."""
_PLATFORM = ("Environment", "BusinessUnit", "Namespace", "Workload")
_ALL = (*_PLATFORM, "FeatureBinding", "GrantApproval", "FeatureSet", "Override")


class Queue(Protocol):
    """Where keys wait to be looked at."""

    def add(self, key: Key) -> None: ...
    def add_after(self, key: Key, seconds: float) -> None: ...


class Triggers:
    """Adds keys to queues, by kind."""

    def __init__(self, known: Known, queues: Mapping[str, Queue]) -> None:
        self._known, self._queues = known, queues
        # The bindings that name each set, and the approvals that name each binding, as they were last.
        self._bound: dict[Key, Key] = {}

    def everything(self) -> None:
        """Look at all that there is: bindings before sets, which say whom those cover."""
        for kind in _ALL:
            for key in self._known.world.objects[kind]:
                self._queues[kind].add(key)

    def object_changed(self, kind: str, key: Key, *, meant: bool) -> None:
        """An object is there, changed or gone."""
        if kind in self._queues:
            self._queues[kind].add(key)
        if not meant:
            return
        if kind in _PLATFORM or kind == "Override":
            # All of it a second later, so that ten edits of the platform are looked at as one.
            self._everything_later()
        for other, found in self._beside(kind, key):
            self._queues[other].add(found)
        for name, override in self._known.catalogue.overrides.items():
            if target_named(override.model) == (kind, key):
                self._queues["Override"].add(("", name))

    def _everything_later(self) -> None:
        for kind in _ALL:
            for key in self._known.world.objects[kind]:
                self._queues[kind].add_after(key, TOGETHER_SECONDS)

    def _beside(self, kind: str, key: Key) -> Iterator[tuple[str, Key]]:
        match kind:
            case "FeatureSet":
                yield "Namespace", ("", key[0])
                yield from self._beside_set(key)
            case "FeatureBinding":
                yield from self._beside_binding(key)
            case "GrantApproval":
                yield from self._beside_approval(key)

    def _beside_set(self, key: Key) -> Iterator[tuple[str, Key]]:
        catalogue = self._known.catalogue
        for binding in catalogue.bindings_of.get(key, ()):
            yield "FeatureBinding", (key[0], binding.model.metadata.name)
        # Who claims the same has it, or has it no more, and may have been of another server before.
        for other in catalogue.feature_sets:
            if other[0] == key[0] and other != key:
                yield "FeatureSet", other
                for binding in catalogue.bindings_of.get(other, ()):
                    yield "FeatureBinding", (key[0], binding.model.metadata.name)

    def _beside_binding(self, key: Key) -> Iterator[tuple[str, Key]]:
        catalogue = self._known.catalogue
        document = catalogue.bindings.get(key)
        before = self._bound.pop(key, None)
        if document is not None:
            self._bound[key] = (key[0], document.model.spec.feature_set.name)
        for feature_set in {before, self._bound.get(key)} - {None}:
            if feature_set is not None:
                # After the binding, which says whom it covers.
                self._queues["FeatureSet"].add_after(feature_set, TOGETHER_SECONDS)
        for approval in catalogue.approvals_of.get(key, ()):
            yield "GrantApproval", ("", approval.model.metadata.name)

    def _beside_approval(self, key: Key) -> Iterator[tuple[str, Key]]:
        approval = self._known.catalogue.approvals.get(key[1])
        before = self._bound.pop(key, None)
        if approval is not None:
            named = approval.model.spec.binding
            self._bound[key] = (named.namespace, named.name)
        for binding in {before, self._bound.get(key)} - {None}:
            if binding is not None:
                yield "FeatureBinding", binding
                document = self._known.catalogue.bindings.get(binding)
                if document is not None:
                    name = document.model.spec.feature_set.name
                    self._queues["FeatureSet"].add_after((binding[0], name), TOGETHER_SECONDS)

    def pod_changed(self, key: Key, old: PodFacts | None, new: PodFacts | None) -> None:
        """A pod is there, changed or gone."""
        namespace = key[0]
        if ("", namespace) in self._known.world.objects["Namespace"]:
            # At once where the pod may wait for the ConfigMap. Else with others of its kind: to look through a
            # namespace of thousands takes 10 ms and more, and fifty pods a second may come.
            trusted = self._known.children.get(CONFIG_MAPS, namespace, TRUST_MAP) is not None
            later = AUDIT_TOGETHER_SECONDS if trusted or old is not None else 0.0
            self._queues["Namespace"].add_after(("", namespace), later)
        accounts = {one.service_account for one in (old, new) if one is not None}
        for (inside, name), one in self._known.catalogue.feature_sets.items():
            if inside == namespace and account_of(one) in accounts:
                self._queues["FeatureSet"].add_after((inside, name), TOGETHER_SECONDS)
        if namespace == self._known.settings.namespace and new is None:
            self._replica_gone(key[1])

    def _replica_gone(self, name: str) -> None:
        """Its rows may go: a pod of our own namespace has ended."""
        for key, observed in self._known.world.objects["FeatureSet"].items():
            if f'"{name}"'.encode() in observed.written:
                self._queues["FeatureSet"].add(key)

    def child_changed(self, resource: Resource, key: Key, new: Body | None) -> None:
        """Something of ours is there, changed or gone."""
        if resource.plural == "configmaps":
            self._queues["Namespace"].add(("", key[0]))
            return
        named = {one["name"] for one in owners(new)} if new is not None else None
        for inside, name in self._known.world.objects["FeatureSet"]:
            if inside == key[0] and (named is None or name in named):
                self._queues["FeatureSet"].add((inside, name))

    def bundle_changed(self, environment: str) -> None:
        """A CA has published other roots: pods must know them before anything is signed by them."""
        for _, name in self._known.world.objects["Namespace"]:
            if self._known.environment(name) == environment:
                self._queues["Namespace"].add(("", name))
