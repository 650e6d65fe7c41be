"""What to ask of a CA for one owner, and what to say about it. Pure, and the order is the point.

What is asked of the CA is written into the object first and asked afterwards, from what is written there. So a
leader that is killed at any moment leaves either nothing, or a request that the next leader asks again; and the
CA begins no rotation for a generation that signs already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from featward_operator.conditions import moment
from featward_operator.rotation.owner import Request
from featward_operator.rotation.speech import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featward_operator.rotation.owner import Owner
    from featward_operator.rotation.standing import Standing

__all__ = ["Command", "Planned", "plan"]

# While a rotation is in one of these, its new authority does not sign yet.
_BEFORE_ACTIVATION = ("request", "prepare", "activate")


@dataclass(frozen=True, slots=True)
class Command:
    """What the CA is to be asked. ``generation`` of `rotate`, ``rotation`` (its id) of the others."""

    what: Literal["rotate", "pause", "resume"]
    generation: int = 0
    rotation: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """The status as it should be; once it is so, the command may be given."""

    status: dict[str, Any]
    command: Command | None
    under_way: bool
    """Whether to look again in a moment."""


def plan(
    owner: Owner,
    standing: Standing,
    now: float,
    *,
    blockers: Sequence[str] = (),
    refused: str = "",
) -> Planned:
    """For one owner as its object and its CA say it is.

    ``blockers`` are what the step waits for, in sentences; ``refused`` is why the CA did not take the last
    command, empty where it did.
    """
    request, given_up = _request(owner, standing), _was_given_up(owner, standing)
    held = _held(owner, standing)
    status = {
        "rotation": _rotation(owner, standing, request, held, given_up, blockers, now),
        "authority": _authority(standing),
        "conditions": spoken(owner, standing, request, given_up, blockers, refused, now),
    }
    if not status["rotation"]:
        del status["rotation"]
    pending = request is not None and not request.done
    return Planned(
        status,
        _command(owner, standing, request, held),
        standing.rotation is not None or (pending and not owner.paused),
    )


def _request(owner: Owner, standing: Standing) -> Request | None:
    """The request as it should be written down."""
    known = owner.said.request
    is_new = bool(owner.requested_at) and (
        known is None or known.requested_at != owner.requested_at
    )
    if is_new and not owner.paused:
        # A rotation that is under way and does not sign yet is the one that is asked for.
        return Request(owner.requested_at, standing.generation + 1)
    if known is None or known.done:
        return known
    return replace(known, done=True) if _is_over(known, owner, standing) else known


def _is_over(known: Request, owner: Owner, standing: Standing) -> bool:
    """Whether the rotation that was asked for has ended, well or not."""
    signs = standing.generation >= known.generation
    if standing.rotation is not None:
        # Another one than ours, which is over then.
        return signs and bool(owner.said.id) and standing.rotation.id != owner.said.id
    return signs or (owner.said.is_under_way and not _activated(owner, standing))


def _activated(owner: Owner, standing: Standing) -> bool:
    """Whether the rotation that was under way when we last looked has made another authority sign."""
    return owner.said.step not in _BEFORE_ACTIVATION or standing.generation > owner.said.generation


def _was_given_up(owner: Owner, standing: Standing) -> bool:
    """Whether the last rotation ended before its end: somebody cancelled it at the CA."""
    if standing.rotation is not None or not owner.said.id:
        return False
    if not owner.said.is_under_way:
        return owner.said.state == "cancelled"
    if owner.said.step in _BEFORE_ACTIVATION:
        # One on schedule is over as soon as the new authority signs.
        return not _activated(owner, standing)
    return standing.left


def _held(owner: Owner, standing: Standing) -> bool:
    """Whether we have paused the rotation, or are about to. What was paused by somebody else is not ours."""
    if standing.rotation is None:
        return False
    paused = standing.rotation.state == "paused"
    if owner.paused:
        return owner.said.held or not paused
    return owner.said.held and paused


def _command(
    owner: Owner, standing: Standing, request: Request | None, held: bool
) -> Command | None:
    """Only what the object says already that we are about to ask."""
    rotation = standing.rotation
    if rotation is not None:
        if owner.paused and held and owner.said.held and rotation.state != "paused":
            return Command("pause", rotation=rotation.id)
        if not owner.paused and owner.said.held and rotation.state == "paused":
            return Command("resume", rotation=rotation.id)
        return None
    if owner.paused or request is None or request.done or request != owner.said.request:
        return None
    return Command("rotate", generation=request.generation)


def _rotation(
    owner: Owner,
    standing: Standing,
    request: Request | None,
    held: bool,
    given_up: bool,
    blockers: Sequence[str],
    now: float,
) -> dict[str, Any]:
    rotation, said = standing.rotation, owner.said
    told: dict[str, Any] = {}
    if rotation is not None:
        told = {
            "id": rotation.id,
            "step": rotation.step,
            "state": rotation.state,
            "since": moment(rotation.step_since),
            "acknowledged": rotation.acknowledged,
            "needed": rotation.needed,
            "progress": f"{rotation.acknowledged}/{rotation.needed}",
        }
        if blockers:
            told["blockers"] = list(blockers)
    elif said.id:
        told = {
            "id": said.id,
            "step": said.step if given_up else "done",
            "state": "cancelled" if given_up else "done",
            "since": moment(now) if said.is_under_way or not said.since else said.since,
        }
    if held:
        told["held"] = True
    if request is not None:
        told["request"] = {
            "requestedAt": request.requested_at,
            "generation": request.generation,
        } | ({"done": True} if request.done else {})
    return told


def _authority(standing: Standing) -> dict[str, Any]:
    told: dict[str, Any] = {"id": standing.id, "generation": standing.generation}
    told["notAfter"] = moment(standing.not_after)
    if standing.replace_at:
        told["replaceAt"] = moment(standing.replace_at)
    return told
