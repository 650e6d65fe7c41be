"""Asks for a rotation by annotation and follows it with `kubectl get`, as a person does."""

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from cluster.running import Cluster
from cluster.waiting import wait_until

__all__ = ["Seen", "ask_rotation", "follow_rotation", "printed", "request_of", "status_of"]

_ASKED = "featward.dev/rotate-requested-at"
_KINDS = {"environment": "environments", "businessunit": "businessunits"}
_UNDER_WAY = {"Requested", "Preparing", "Activating", "Tainting", "Revoking"}


@dataclass
class Seen:
    """What the columns Rotation and Acknowledged said, in their order, each once."""

    steps: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)

    def take(self, row: dict[str, str]) -> None:
        """Another look."""
        step, progress = row["ROTATION"], row["ACKNOWLEDGED"]
        if step in _UNDER_WAY and step not in self.steps:
            self.steps.append(step)
        if progress and progress not in self.progress:
            self.progress.append(progress)


def ask_rotation(cluster: Cluster, kind: str, name: str) -> str:
    """Annotate the object; what was asked, which its status will name."""
    asked = f"{time.time():.0f}-{secrets.token_hex(3)}"
    cluster.kubectl("annotate", "--overwrite", kind, name, f"{_ASKED}={asked}")
    return asked


def follow_rotation(
    cluster: Cluster, kind: str, name: str, asked: str, seconds: float = 180.0
) -> Seen:
    """Look until that request is done."""
    seen = Seen()

    def is_done() -> bool:
        seen.take(printed(cluster, kind, name))
        request = request_of(cluster, kind, name)
        return bool(request.get("done")) and request.get("requestedAt") == asked

    try:
        wait_until(is_done, f"{kind} {name} is rotated", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {status_of(cluster, kind, name)}") from error
    return seen


def printed(cluster: Cluster, kind: str, name: str) -> dict[str, str]:
    """A row of `kubectl get`, by the names of its columns."""
    header, row = cluster.kubectl("get", kind, name).splitlines()
    starts = {one.group(): one.start() for one in re.finditer(r"\S+(?: \S+)*", header)}
    ends = [*list(starts.values())[1:], None]
    return {
        name: row[start:end].strip()
        for (name, start), end in zip(starts.items(), ends, strict=True)
    }


def status_of(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    """Its status."""
    path = f"/apis/featward.dev/v1alpha1/{_KINDS[kind]}/{name}"
    found: dict[str, Any] = cluster.kubernetes.call("GET", path).get("status") or {}
    return found


def request_of(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    """The rotation that was asked for last, as far as an operator has seen it."""
    rotation = status_of(cluster, kind, name).get("rotation") or {}
    found: dict[str, Any] = rotation.get("request") or {}
    return found
