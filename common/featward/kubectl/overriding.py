"""Writes what somebody decides by hand: Overrides and GrantApprovals, judged before the server is asked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from pydantic import TypeAdapter, ValidationError

from featward.errors import FeatwardError
from featward.kubernetes.resource import GRANT_APPROVALS, OVERRIDES
from featward.manifests import approving
from featward.manifests.document import Document
from featward.manifests.governance import Override
from featward.manifests.model import API_VERSION
from featward.manifests.naming import binding_called, feature_set_called
from featward.manifests.objects import document_of
from featward.manifests.overriding import environment_overridden, is_too_long
from featward.manifests.standing import consent_wanted
from featward.manifests.text import Duration, seconds

if TYPE_CHECKING:
    from featward.kubectl.cluster import Cluster
    from featward.manifests.catalogue import Catalogue

__all__ = ["MANAGER", "Wish", "approval", "override"]

MANAGER = "kubectl-featward"
_PLATFORM = ("Environment", "BusinessUnit", "Namespace", "FeatureSet")
# Of a name of 253 the action, the time and four letters go off.
_LONGEST = 200
_DURATION: TypeAdapter[str] = TypeAdapter(Duration)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to hold instead, of which set, for how long, why."""

    action: str
    """``relax`` or ``close``."""
    feature_set: str
    duration: str
    reason: str


async def override(cluster: Cluster, namespace: str, wish: Wish, now: float) -> dict[str, Any]:
    """Make the Override; the object as it was made. Raises FeatwardError for one that would not hold, without
    asking for it, and ApiError.
    """
    length = _length(wish.duration)
    index = await cluster.index(namespace, _PLATFORM)
    catalogue = index.catalogue
    known = (namespace, wish.feature_set) in catalogue.feature_sets
    called = f"{namespace}/{wish.feature_set}" if known else wish.feature_set
    target = feature_set_called(catalogue, called).model.metadata
    expires = datetime.fromtimestamp(now + length, UTC)
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M")
    name = f"{wish.action}-{target.name[:_LONGEST]}-{moment}-{secrets.token_hex(2)}"
    raw = {
        "apiVersion": API_VERSION,
        "kind": "Override",
        "metadata": {"name": name},
        "spec": {
            "action": wish.action,
            "target": {"featureSet": {"namespace": target.namespace, "name": target.name}},
            "reason": wish.reason,
            "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
    found = document_of(raw)
    if not isinstance(found, Document):
        raise FeatwardError(f"{found[0].message}; {found[0].remedy}")
    _require_allowed(cluster, catalogue, cast("Document[Override]", found), wish, now)
    made: dict[str, Any] = await cluster.gateway.ask(
        "POST", OVERRIDES.path(), raw, query=(("fieldManager", MANAGER),)
    )
    return made


async def approval(
    cluster: Cluster, called: str, reason: str, expires: str
) -> tuple[dict[str, Any], list[str]]:
    """Make the GrantApproval of a binding (namespace/name), or renew it; the object, and what it means, in
    sentences. Raises FeatwardError where it would not help, and ApiError.
    """
    index = await cluster.index(called.partition("/")[0])
    catalogue = index.catalogue
    binding = binding_called(catalogue, called)
    made = approving.approve(catalogue, binding, reason=reason, expires=expires)
    sentences = approving.consequences(binding, consent_wanted(catalogue, binding))
    body = made.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")
    return await cluster.gateway.apply(GRANT_APPROVALS, body, manager=MANAGER), sentences


def _length(duration: str) -> int:
    try:
        return seconds(_DURATION.validate_python(duration))
    except ValidationError as error:
        raise FeatwardError(
            f"--for {duration!r} is no duration: give numbers with d, h, m and s, such as 1h or 1h30m"
        ) from error


def _require_allowed(
    cluster: Cluster, catalogue: Catalogue, document: Document[Override], wish: Wish, now: float
) -> None:
    """Raises FeatwardError for one that its environment does not allow."""
    environment = environment_overridden(catalogue, document)
    if environment is None:
        cluster.unread.append(
            "whose environment the feature set is of is not known here, so its maxOverride was not looked at:"
            f" kubectl get override {document.name} says whether it holds"
        )
        return
    longest = environment.model.spec.max_override
    if longest is None:
        raise FeatwardError(
            f"environment {environment.name} has no maxOverride, so no Override of it would hold: have"
            " spec.maxOverride added to the Environment"
        )
    if is_too_long(catalogue, document, now):
        raise FeatwardError(
            f"--for {wish.duration} is longer than {longest}, the maxOverride of environment"
            f" {environment.name}: give --for {longest} at most"
        )
