"""A decision in the words of those who meet it: the answer to whoever makes the pod, an event, a metric."""

from dataclasses import dataclass
from typing import Literal

from featward_operator.injection.decision import Decision, Reason

__all__ = ["Explanation", "explain"]

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
        return f"featward refuses {called}: {errors[0]}"
    told = "; ".join(f"({number}) {error}" for number, error in enumerate(errors, 1))
    return f"featward refuses {called} for {len(errors)} reasons: {told}"
