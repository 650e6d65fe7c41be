"""Conditions: answers to questions of the vocabulary, with since when each is so, and what of them is news.

Pure. A time changes only when its answer does, so that a status which says the same is the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from featward.crds.status import Condition, Status
from featward_operator.vocabulary import QUESTIONS, Reason, Type

__all__ = ["Answer", "Said", "answer", "conditions", "differs", "moment", "news", "ready"]

Said: TypeAlias = Literal["True", "False", "Unknown"]

# Of 4,096 that a message may have, so that a line of `kubectl describe` is still one.
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to one question."""

    type: Type
    status: Said
    reason: Reason
    message: str

    @property
    def is_so(self) -> bool:
        """Whether it is yes."""
        return self.status == "True"


def answer(question: Type, reason: Reason, message: str) -> Answer:
    """The answer that a reason stands for; one that the vocabulary does not have is a mistake of ours."""
    known = QUESTIONS[question]
    for status, reasons in _by_status(known.true, known.false, known.unknown):
        if reason in reasons:
            return Answer(question, status, reason, message[:_LONGEST])
    raise AssertionError(f"{reason!r} is no reason of {question!r}")


def _by_status(*reasons: tuple[Reason, ...]) -> Iterator[tuple[Said, tuple[Reason, ...]]]:
    statuses: tuple[Said, ...] = ("True", "False", "Unknown")
    yield from zip(statuses, reasons, strict=True)


def ready(counting: Iterable[Answer], message: str) -> Answer:
    """Ready as long as none of these says no; `message` is for when it is."""
    for one in counting:
        if one.status == "False":
            return Answer(Type.READY, "False", one.reason, one.message)
    return Answer(Type.READY, "True", Reason.READY, message)


def conditions(
    answers: Iterable[Answer], before: Mapping[str, Any], generation: int, now: float
) -> tuple[Condition, ...]:
    """As a status has them; ``before`` is the status of now, as JSON."""
    known = _by_type(before)
    return tuple(
        Condition(
            type=one.type.value,
            status=one.status,
            reason=one.reason.value,
            message=one.message,
            last_transition_time=_since(one, known.get(one.type.value), now),
            observed_generation=generation,
        )
        for one in answers
    )


def _since(one: Answer, before: Mapping[str, Any] | None, now: float) -> str:
    if before is not None and before.get("status") == one.status:
        return str(before["lastTransitionTime"])
    return moment(now)


def news(answers: Iterable[Answer], before: Mapping[str, Any]) -> Iterator[Answer]:
    """Those that were answered otherwise, or for another reason, before."""
    known = _by_type(before)
    for one in answers:
        old = known.get(one.type.value, {})
        if (old.get("status"), old.get("reason")) != (one.status, one.reason):
            yield one


def _by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {one["type"]: one for one in status.get("conditions") or ()}


def differs(
    status: Status, before: Mapping[str, Any], others: Iterable[str] = ()
) -> dict[str, Any] | None:
    """The status to write, None where it is there already. ``others`` are keys that others write."""
    wanted, there = status.as_json(), {**before}
    for key in others:
        there.pop(key, None)
    # Conditions that others write are theirs.
    ours = {one["type"] for one in wanted.get("conditions", ())}
    listed = [one for one in there.get("conditions") or () if one["type"] in ours]
    there["conditions"] = sorted(listed, key=_type)
    compared = {**wanted, "conditions": sorted(wanted.get("conditions", ()), key=_type)}
    return None if compared == there else wanted


def _type(condition: Mapping[str, Any]) -> str:
    return str(condition["type"])


def moment(second: float) -> str:
    """Unix seconds as an object has them."""
    return datetime.fromtimestamp(int(second), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
