"""The functions of this package in a row: what the webhook answers about one pod."""

from dataclasses import dataclass

from featward_operator.injection.decide import decide
from featward_operator.injection.decision import Decision
from featward_operator.injection.explain import Explanation, explain
from featward_operator.injection.facts import NamespaceFacts, RawPod, RequestFacts, facts
from featward_operator.injection.patch import Operation, patch
from featward_operator.injection.render import render
from featward_operator.injection.settings import InjectionSettings

__all__ = ["Injection", "inject"]


@dataclass(frozen=True, slots=True)
class Injection:
    """The decision, its words, and what it changes."""

    decision: Decision
    explanation: Explanation
    patch: tuple[Operation, ...]


def inject(
    pod: RawPod,
    request: RequestFacts,
    namespace: NamespaceFacts | None,
    settings: InjectionSettings,
) -> Injection:
    """Judge a pod and say what to change in it."""
    found = facts(pod, request, namespace)
    decision = decide(found, settings)
    rendered = render(decision, found, settings)
    operations = tuple(patch(pod, rendered)) if rendered else ()
    return Injection(decision, explain(decision, found.called), operations)
