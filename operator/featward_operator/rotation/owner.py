"""The owner of an authority as its object says: what is asked of it, and what was last said of it.

The objects themselves are the memory of what was asked of the CA. A leader that is killed leaves nothing else
behind, and the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featward.kubernetes.events import ObjectRef
from featward.kubernetes.resource import BUSINESS_UNITS, ENVIRONMENTS, Resource
from featward.manifests.labels import ROTATE_REQUESTED_AT, ROTATION

__all__ = ["PAUSED", "RESOURCES", "ROOT", "ROTATING", "Owner", "Request", "Said", "owner_of"]

PAUSED = "paused"
"""The value of ``featward.dev/rotation`` that pauses."""
ROOT = "root"
"""What the CA calls the owner of an environment's root."""
RESOURCES: Mapping[str, Resource] = {"Environment": ENVIRONMENTS, "BusinessUnit": BUSINESS_UNITS}
ROTATING = "Rotating"
"""The type of the condition that is written here; all others are the reconcilers'."""
# As the model of the status has it; a longer value is cut, in comparing too.
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Request:
    """A rotation that was asked for: by which value of the annotation, and which generation is to sign."""

    requested_at: str
    generation: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What was last said of an owner's rotation; empty where nothing was."""

    id: str = ""
    step: str = ""
    state: str = ""
    since: str = ""
    held: bool = False
    generation: int = 0
    """Of the authority that signed then."""
    request: Request | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a rotation was under way."""
        return self.state in ("running", "blocked", "paused")


@dataclass(frozen=True, slots=True)
class Owner:
    """An Environment, for its root, or a BusinessUnit."""

    kind: str
    name: str
    uid: str
    generation: int
    """`metadata.generation`, which the answers are about."""
    version: str
    """`metadata.resourceVersion`: a write that names it fails when somebody was faster."""
    requested_at: str
    """The value of ``featward.dev/rotate-requested-at``; empty where there is none."""
    paused: bool
    clusters: int
    """How many clusters an environment's pods may be in."""
    said: Said
    status: Mapping[str, Any]
    """Of its status, what is ours: rotation, authority and our condition."""
    conditions: Sequence[Mapping[str, Any]]
    """Ours."""

    @property
    def environment(self) -> str:
        """The name of its environment."""
        return self.name.partition(".")[0]

    @property
    def authority(self) -> str:
        """What the CA calls it."""
        return ROOT if self.kind == "Environment" else self.name

    @property
    def ref(self) -> ObjectRef:
        """For Events about it."""
        return ObjectRef("featward.dev/v1alpha1", self.kind, "", self.name, self.uid)


def owner_of(raw: Mapping[str, Any]) -> Owner:
    """Of an object as the server gives it."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    annotations = metadata.get("annotations") or {}
    conditions = [one for one in status.get("conditions") or () if one.get("type") == ROTATING]
    ours = {key: status[key] for key in ("rotation", "authority") if status.get(key)}
    return Owner(
        raw["kind"],
        metadata["name"],
        metadata["uid"],
        int(metadata.get("generation") or 0),
        metadata["resourceVersion"],
        str(annotations.get(ROTATE_REQUESTED_AT) or "").strip()[:_LONGEST],
        annotations.get(ROTATION) == PAUSED,
        len((raw.get("spec") or {}).get("clusters") or ()),
        _said(status.get("rotation") or {}, status.get("authority") or {}),
        ours | ({"conditions": conditions} if conditions else {}),
        tuple(conditions),
    )


def _said(rotation: Mapping[str, Any], authority: Mapping[str, Any]) -> Said:
    request = rotation.get("request")
    return Said(
        rotation.get("id") or "",
        rotation.get("step") or "",
        rotation.get("state") or "",
        rotation.get("since") or "",
        bool(rotation.get("held")),
        int(authority.get("generation") or 0),
        Request(str(request["requestedAt"]), int(request["generation"]), bool(request.get("done")))
        if request
        else None,
    )
