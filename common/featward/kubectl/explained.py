"""Why a pod gets what it gets: its identity, what it may read, and the decision on what it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from featward.cli.console import console
from featward.cli.explanation import show_decision, show_grants
from featward.errors import CompileError, FeatwardError
from featward.kubectl.names import CONTAINER, FEATURE_SETS_ASKED
from featward.kubernetes.resource import FEATURE_SETS
from featward.manifests.naming import feature_set_called
from featward.manifests.proposal import propose
from featward.manifests.writing import dump
from featward.policy.explaining import ClusterExplainer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from featward.identity.spiffe import SpiffeId
    from featward.kubectl.cluster import Cluster
    from featward.manifests.catalogue import Catalogue
    from featward.manifests.feature_binding import FeatureBinding

__all__ = ["Asked", "Explained", "explained", "show"]

_PURPOSE = "to be agreed with the owner"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is asked about. ``feature_set`` None: what sidecars have seen of late."""

    feature_set: str | None = None
    features: tuple[str, ...] = ()
    service: str | None = None
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Explained:
    """What there is to say about a pod."""

    pod: str
    identity: str
    decisions: tuple[dict[str, Any], ...]
    """The engine's, each with the ``binding`` to ask for, None where none would help."""
    grants: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    bindings: tuple[FeatureBinding | None, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        written = [
            one.model_dump(by_alias=True, exclude_defaults=True, exclude_none=True, mode="json")
            if one
            else None
            for one in self.bindings
        ]
        pairs = zip(self.decisions, written, strict=True)
        return {
            "pod": self.pod,
            "identity": self.identity,
            "decisions": [decision | {"binding": binding} for decision, binding in pairs],
            "grants": list(self.grants),
            "notes": list(self.notes),
        }


async def explained(
    cluster: Cluster, namespace: str, name: str, asked: Asked, now: int
) -> Explained:
    """Of one pod. Raises FeatwardError for what is not there, and ApiError."""
    pod = await cluster.pod(namespace, name)
    index = await cluster.index(namespace)
    catalogue = index.catalogue
    account = pod["spec"].get("serviceAccountName") or "default"
    identity = catalogue.service_account(namespace, account)
    if identity is None:
        raise FeatwardError(
            f"the pod {name} has no identity: its namespace {namespace} is in no business unit that exists;"
            " label it featward.dev/business-unit: <environment>.<unit>"
        )
    explainer = ClusterExplainer(index, now)
    notes = list(_notes(pod))
    if asked.feature_set is not None:
        questions = [asked]
    else:
        sets = await cluster.readable(FEATURE_SETS, namespace)
        questions = list(_refused_of_late(sets, str(identity)))
    decisions, bindings = [], []
    for one in questions:
        try:
            decision, binding = _decided(explainer, catalogue, identity, one, now)
        except FeatwardError as error:
            if asked.feature_set is not None:
                raise
            notes.append(str(error))
            continue
        decisions.append(decision)
        bindings.append(binding)
    grants = [] if asked.feature_set is not None else explainer.grants(str(identity))
    return Explained(
        f"{namespace}/{name}",
        str(identity),
        tuple(decisions),
        tuple(grants),
        tuple(notes),
        tuple(bindings),
    )


def _decided(
    explainer: ClusterExplainer, catalogue: Catalogue, identity: SpiffeId, asked: Asked, now: int
) -> tuple[dict[str, Any], FeatureBinding | None]:
    called = asked.feature_set or ""
    features = list(asked.features) or None
    try:
        decision = explainer.decide(str(identity), called, features, asked.service, asked.rows)
    except CompileError as error:
        raise FeatwardError(f"{called}: {error}") from error
    wanted = [*asked.features, *([asked.service] if asked.service else ())]
    missing = set(decision["missing"]) | set(decision["stripped"])
    names = [one for one in wanted if one in missing or ":" not in one]
    if decision["request"] is None or not names:
        return decision, None
    feature_set = feature_set_called(catalogue, called)
    today = datetime.fromtimestamp(now, UTC).date()
    return decision, propose(catalogue, feature_set, identity, names, purpose=_PURPOSE, today=today)


def _refused_of_late(sets: list[Any], identity: str) -> Iterator[Asked]:
    """What the statuses of the sets say that this caller asks for and is, or would be, refused."""
    for one in sets:
        called = f"{one['metadata']['namespace']}/{one['metadata']['name']}"
        for row in (one.get("status") or {}).get("wouldBeRefused") or ():
            if row["caller"] == identity and row.get("missing"):
                yield Asked(called, tuple(row["missing"]))


def _notes(pod: Mapping[str, Any]) -> Iterator[str]:
    metadata, spec = pod["metadata"], pod["spec"]
    containers = [one["name"] for one in spec.get("initContainers") or ()]
    if CONTAINER not in containers:
        yield "the pod has no sidecar, so it has no identity to show: kubectl featward unprotected says why"
    elif FEATURE_SETS_ASKED not in (metadata.get("annotations") or {}):
        yield f"the pod names no feature set in {FEATURE_SETS_ASKED}: its sidecar calls none for it"


def show(found: Explained) -> None:
    """On a terminal."""
    console.print(f"[bold]{found.pod}[/] is {found.identity}")
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    for decision, binding in zip(found.decisions, found.bindings, strict=True):
        console.print()
        # The command is for who has a folder; here is the document itself.
        show_decision(decision | {"request": None})
        if binding is not None:
            namespace = binding.metadata.namespace
            console.print(
                f"\nTo get it, have the owner add this in the namespace {namespace}:\n",
                markup=False,
            )
            console.print(dump(binding), markup=False, end="")
    if found.grants or not found.decisions:
        console.print()
        show_grants(found.identity, list(found.grants))
