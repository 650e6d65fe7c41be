"""What is said of an owner's rotation: a condition, and the Events of each change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featward_operator.conditions import answer, conditions, moment
from featward_operator.controllers import Notice
from featward_operator.vocabulary import Event, Reason, Type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from featward_operator.rotation.owner import Owner, Request
    from featward_operator.rotation.standing import Standing

__all__ = ["news", "spoken", "unheard"]

_STEPS = {
    "request": Reason.PREPARING,
    "prepare": Reason.PREPARING,
    "activate": Reason.ACTIVATING,
    "taint": Reason.TAINTING,
    "revoke": Reason.REVOKING,
}


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
    return _row(owner, reason, message, now)


def unheard(owner: Owner, reason: Reason, message: str, now: float) -> list[dict[str, Any]]:
    """The condition while it is not. What was last said in `status.rotation` stays."""
    return _row(owner, reason, message, now)


def news(
    owner: Owner, before: Mapping[str, Any], after: Mapping[str, Any], refused: str
) -> Iterator[Notice]:
    """The Events of a change from one `status.rotation` to the next."""
    old, new = before.get("request") or {}, after.get("request") or {}
    if new and old.get("requestedAt") != new["requestedAt"]:
        note = f"asked for at {new['requestedAt']}: generation {new['generation']} is to sign"
        yield _event(owner, Event.ROTATION_REQUESTED, note)
    if refused:
        note = f"the CA refused to rotate {owner.authority}: {refused}"
        yield _event(owner, Event.ROTATION_FAILED, note, warning=True)
    if after.get("id"):
        yield from _steps(owner, before, after)


def _steps(owner: Owner, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Notice]:
    same = before.get("id") == after["id"]
    was, state = before.get("state") if same else None, after["state"]
    called = f"rotation {after['id']} of {owner.authority}"
    if state == "done" and was not in ("done", None):
        yield _event(owner, Event.ROTATION_DONE, f"{called} is done")
    if state == "cancelled" and was not in ("cancelled", None):
        note = f"{called} was given up at the CA, at {after['step']}"
        yield _event(owner, Event.ROTATION_FAILED, note, warning=True)
    if state in ("done", "cancelled"):
        return
    if not same or before.get("step") != after["step"]:
        yield _event(owner, Event.ROTATION_STEP, f"{called} is at {after['step']}")
    if state == "blocked" and was != "blocked":
        first = (after.get("blockers") or ["the CA does not say by what"])[0]
        note = f"{called} is blocked at {after['step']}: {first}"
        yield _event(owner, Event.ROTATION_BLOCKED, note, warning=True)
    if state == "paused" and was != "paused":
        yield _event(owner, Event.ROTATION_PAUSED, f"{called} is paused at {after['step']}")
    if was == "paused" and state != "paused":
        yield _event(owner, Event.ROTATION_RESUMED, f"{called} goes on at {after['step']}")


def _of_rotation(standing: Standing, blockers: Sequence[str]) -> tuple[Reason, str]:
    rotation = standing.rotation
    if rotation is None:
        raise AssertionError("there is a rotation")
    told = f"{rotation.acknowledged} of {rotation.needed} clients acknowledged"
    begun = f"begun by {rotation.requested_by}" if rotation.requested_by else ""
    said = "; ".join(filter(None, (told, begun, rotation.reason)))
    if rotation.state == "paused":
        return Reason.PAUSED, f"paused at {rotation.step}; {said}"
    if rotation.state == "blocked":
        what = "; ".join(blockers) or "something that the CA does not name"
        return Reason.BLOCKED, f"{rotation.step} waits for {what}"
    return _STEPS.get(rotation.step, Reason.REVOKING), said


def _without_rotation(
    owner: Owner, standing: Standing, request: Request | None, given_up: bool, refused: str
) -> tuple[Reason, str]:
    if owner.paused:
        return (
            Reason.PAUSED,
            "by the annotation featward.dev/rotation: no step is taken until it is gone",
        )
    if request is not None and not request.done:
        if refused:
            return Reason.FAILED, f"the CA refused to begin it: {refused}"
        return Reason.REQUESTED, f"asked for at {request.requested_at}"
    if given_up:
        return Reason.FAILED, f"the last one, {owner.said.id}, was given up at the CA"
    if standing.replace_at:
        return Reason.IDLE, f"the CA's schedule begins the next at {moment(standing.replace_at)}"
    return Reason.IDLE, "nothing is under way"


def _row(owner: Owner, reason: Reason, message: str, now: float) -> list[dict[str, Any]]:
    before = {"conditions": owner.conditions}
    answers = (answer(Type.ROTATING, reason, message),)
    return [
        one.model_dump(by_alias=True, exclude_none=True, mode="json")
        for one in conditions(answers, before, owner.generation, now)
    ]


def _event(owner: Owner, reason: Event, note: str, *, warning: bool = False) -> Notice:
    return Notice(owner.ref, str(reason), note, "Warning" if warning else "Normal")
