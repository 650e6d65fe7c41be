"""What is said of an owner's rotation: a condition, and the Events of each change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featward_operator.answers import answer, moment
from featward_operator.controllers import Notice
from featward_operator.rotation.owner import ROTATING
from featward_operator.rotation.vocabulary import AuthorityReachable, Rotating, RotationEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from featward_operator.rotation.owner import Owner, Request
    from featward_operator.rotation.standing import Standing

__all__ = ["news", "spoken", "unheard"]

_STEPS = {
    "request": Rotating.PREPARING,
    "prepare": Rotating.PREPARING,
    "activate": Rotating.ACTIVATING,
    "taint": Rotating.TAINTING,
    "revoke": Rotating.REVOKING,
}
_GOING = frozenset({Rotating.REQUESTED, *_STEPS.values()})


def spoken(
    owner: Owner,
    standing: Standing,
    request: Request | None,
    given_up: bool,
    blockers: Sequence[str],
    refused: str,
    now: float,
) -> list[dict[str, Any]]:
    """The condition while the CA is heard."""
    if standing.rotation is not None:
        reason, message = _of_rotation(standing, blockers)
    else:
        reason, message = _without_rotation(owner, standing, request, given_up, refused)
    return [_row(owner, reason in _GOING, reason, message, now)]


def unheard(
    owner: Owner, reason: AuthorityReachable, message: str, now: float
) -> list[dict[str, Any]]:
    """The condition while it is not. What was last said in `status.rotation` stays."""
    return [_row(owner, None, reason, message, now)]


def news(
    owner: Owner, before: Mapping[str, Any], after: Mapping[str, Any], refused: str
) -> Iterator[Notice]:
    """The Events of a change from one `status.rotation` to the next."""
    old, new = before.get("request") or {}, after.get("request") or {}
    if new and old.get("requestedAt") != new["requestedAt"]:
        note = f"asked for at {new['requestedAt']}: generation {new['generation']} is to sign"
        yield _event(owner, RotationEvent.REQUESTED, note)
    if refused:
        note = f"the CA refused to rotate {owner.authority}: {refused}"
        yield _event(owner, RotationEvent.FAILED, note, warning=True)
    if after.get("id"):
        yield from _steps(owner, before, after)


def _steps(owner: Owner, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Notice]:
    same = before.get("id") == after["id"]
    was, state = before.get("state") if same else None, after["state"]
    called = f"rotation {after['id']} of {owner.authority}"
    if state == "done" and was not in ("done", None):
        yield _event(owner, RotationEvent.DONE, f"{called} is done")
    if state == "cancelled" and was not in ("cancelled", None):
        note = f"{called} was given up at the CA, at {after['step']}"
        yield _event(owner, RotationEvent.FAILED, note, warning=True)
    if state in ("done", "cancelled"):
        return
    if not same or before.get("step") != after["step"]:
        yield _event(owner, RotationEvent.STEP, f"{called} is at {after['step']}")
    if state == "blocked" and was != "blocked":
        first = (after.get("blockers") or ["the CA does not say by what"])[0]
        note = f"{called} is blocked at {after['step']}: {first}"
        yield _event(owner, RotationEvent.BLOCKED, note, warning=True)
    if state == "paused" and was != "paused":
        yield _event(owner, RotationEvent.PAUSED, f"{called} is paused at {after['step']}")
    if was == "paused" and state != "paused":
        yield _event(owner, RotationEvent.RESUMED, f"{called} goes on at {after['step']}")


def _of_rotation(standing: Standing, blockers: Sequence[str]) -> tuple[Rotating, str]:
    rotation = standing.rotation
    if rotation is None:
        raise AssertionError("there is a rotation")
    told = f"{rotation.acknowledged} of {rotation.needed} clients acknowledged"
    begun = f"begun by {rotation.requested_by}" if rotation.requested_by else ""
    said = "; ".join(filter(None, (told, begun, rotation.reason)))
    if rotation.state == "paused":
        return Rotating.PAUSED, f"paused at {rotation.step}; {said}"
    if rotation.state == "blocked":
        what = "; ".join(blockers) or "something that the CA does not name"
        return Rotating.BLOCKED, f"{rotation.step} waits for {what}"
    return _STEPS.get(rotation.step, Rotating.REVOKING), said


def _without_rotation(
    owner: Owner, standing: Standing, request: Request | None, given_up: bool, refused: str
) -> tuple[Rotating, str]:
    if owner.paused:
        return (
            Rotating.PAUSED,
            "by the annotation featward.dev/rotation: no step is taken until it is gone",
        )
    if request is not None and not request.done:
        if refused:
            return Rotating.FAILED, f"the CA refused to begin it: {refused}"
        return Rotating.REQUESTED, f"asked for at {request.requested_at}"
    if given_up:
        return Rotating.FAILED, f"the last one, {owner.said.id}, was given up at the CA"
    if standing.replace_at:
        return Rotating.IDLE, f"the CA's schedule begins the next at {moment(standing.replace_at)}"
    return Rotating.IDLE, "nothing is under way"


def _row(
    owner: Owner, status: bool | None, reason: str, message: str, now: float
) -> dict[str, Any]:
    return answer(
        ROTATING,
        status,
        reason,
        message,
        before=owner.conditions,
        generation=owner.generation,
        now=now,
    )


def _event(owner: Owner, reason: RotationEvent, note: str, *, warning: bool = False) -> Notice:
    return Notice(owner.ref, str(reason), note, "Warning" if warning else "Normal")
