"""A decision in the words of those who meet it: the answer to whoever makes the pod, an event, a metric."""

from dataclasses import dataclass
from typing import Literal

from featward_operator.injection.decision import Decision, Reason

__all__ = ["Explanation", "explain"]

# What a person reads; whoever sends a hundred thousand errors is told what to do about these first.
_TOLD = 20
_LONGEST = 500
_EVENTS = {
    Reason.ANNOTATION_WITHOUT_NAMESPACE: "InjectionIgnored",
    Reason.PROTECTION_SUSPENDED: "ProtectionSuspended",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The same in three forms, so that they can't disagree."""

    sentence: str
    event: str | None
    """Reason of the event that the audit loop writes; the webhook itself promises to leave no trace."""
    decision: Literal["injected", "skipped", "refused"]
    """With `reason` the labels of the metric."""
    reason: Reason


def explain(decision: Decision, called: str) -> Explanation:
    """Put a decision about the pod that is called so into words."""
    reason = decision.reasons[0]
    if decision.refused:
        return Explanation(_refusal(decision, called), None, "refused", reason)
    injected = reason is Reason.INJECTED
    sentence = f"{called}: {reason}" + (f" as {decision.inject}" if injected else "")
    return Explanation(sentence, _EVENTS.get(reason), "injected" if injected else "skipped", reason)


def _refusal(decision: Decision, called: str) -> str:
    """All errors at once, numbered where there are several."""
    errors = decision.errors
    if len(errors) == 1:
        return f"featward refuses {called}: {_cut(errors[0])}"
    told = "; ".join(f"({number}) {_cut(error)}" for number, error in enumerate(errors[:_TOLD], 1))
    rest = f"; and {more} more" if (more := len(errors) - _TOLD) > 0 else ""
    return f"featward refuses {called} for {len(errors)} reasons: {told}{rest}"


def _cut(error: str) -> str:
    """Values are quoted in it, and may be of any length."""
    return error if len(error) <= _LONGEST else f"{error[:_LONGEST]}…"
