"""Asks for rotations, by annotations that the operator reads, and follows them by the status that it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from featward.errors import FeatwardError
from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import MERGE_PATCH
from featward.kubernetes.resource import BUSINESS_UNITS, ENVIRONMENTS, Resource
from featward.manifests.labels import ROTATE_REQUESTED_AT, ROTATION

if TYPE_CHECKING:
    from featward.kubectl.cluster import Cluster

__all__ = ["ask", "follow", "is_under_way", "state_of"]

_LOOK_SECONDS = 1.0
# An operator that runs has written the request down by then.
_PATIENCE = 15
_UNDER_WAY = ("running", "blocked", "paused")


async def ask(cluster: Cluster, owner: str, order: str, now: str) -> dict[str, Any]:
    """Write the annotation of an order (``rotate``, ``pause``, ``resume``); the object afterwards.

    Raises FeatwardError for an owner that is not there, and ApiError.
    """
    orders: dict[str, dict[str, str | None]] = {
        "rotate": {ROTATE_REQUESTED_AT: now},
        "pause": {ROTATION: "paused"},
        "resume": {ROTATION: None},
    }
    patch = {"metadata": {"annotations": orders[order]}}
    path = _resource(owner).path(None, owner)
    try:
        found: dict[str, Any] = await cluster.gateway.ask("PATCH", path, patch, content=MERGE_PATCH)
    except ApiError as error:
        if error.status != 404:
            raise
    else:
        return found
    raise FeatwardError(await _unknown(cluster, owner))


async def follow(
    cluster: Cluster, owner: str, asked: str | None, show: Callable[[str], None] | None
) -> dict[str, Any]:
    """Look until what was asked for at that moment (None: what is under way) has ended; the object then.

    ``show`` is given a line whenever something has changed. Raises ApiError, and FeatwardError when nobody
    takes the request up.
    """
    last, looks = "", 0
    while True:
        found: dict[str, Any] = await cluster.one(_resource(owner), "", owner)
        line = _line(found)
        if show and line != last:
            show(line)
        last, looks = line, looks + 1
        request = _rotation(found).get("request") or {}
        taken = asked is None or request.get("requestedAt") == asked
        if taken and not is_under_way(found) and (asked is None or request.get("done")):
            return found
        if not taken and looks >= _PATIENCE and not is_under_way(found) and not _is_paused(found):
            raise FeatwardError(
                f"nobody has taken the request up within {_PATIENCE} s: is the operator running? kubectl get"
                " deployment -A -l app.kubernetes.io/name=featward. The request stays, and is carried out when"
                " it is"
            )
        await asyncio.sleep(_LOOK_SECONDS)


def is_under_way(found: dict[str, Any]) -> bool:
    """Whether a rotation is, by the object's status."""
    return state_of(found) in _UNDER_WAY


def state_of(found: dict[str, Any]) -> str:
    """Of the rotation under way, or of the last one."""
    return str(_rotation(found).get("state") or "")


def _rotation(found: dict[str, Any]) -> dict[str, Any]:
    rotation: dict[str, Any] = (found.get("status") or {}).get("rotation") or {}
    return rotation


def _is_paused(found: dict[str, Any]) -> bool:
    return (found["metadata"].get("annotations") or {}).get(ROTATION) == "paused"


def _line(found: dict[str, Any]) -> str:
    rotation = _rotation(found)
    rows = (found.get("status") or {}).get("conditions") or ()
    word = next((one["reason"] for one in rows if one["type"] == "Rotating"), "waiting")
    blockers = rotation.get("blockers") or ()
    why = f"waits for {blockers[0]}" if blockers else ""
    more = f" and {len(blockers) - 1} more" if len(blockers) > 1 else ""
    return "  ".join(filter(None, (word, rotation.get("progress") or "", why + more)))


def _resource(owner: str) -> Resource:
    # A business unit's name begins with its environment's and a dot; an environment's has none.
    return BUSINESS_UNITS if "." in owner else ENVIRONMENTS


async def _unknown(cluster: Cluster, owner: str) -> str:
    known = []
    for resource in (ENVIRONMENTS, BUSINESS_UNITS):
        known += [one["metadata"]["name"] for one in await cluster.readable(resource, "")]
    close = get_close_matches(owner, known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
    kind = "BusinessUnit" if "." in owner else "Environment"
    return f"there is no {kind} {owner}: {remedy}"
