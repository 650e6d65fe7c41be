"""Everything about a pod that the decision goes by, each a word of a few: what the rows of the table match.

A new question is a field here and a row there. The decision itself looks at nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward_operator.injection.facts import Facts
from featward_operator.injection.names import (
    ENABLED,
    FALSE,
    INJECT,
    INJECTION,
    PROTECTION,
    SUSPENDED,
)
from featward_operator.injection.settings import InjectionSettings

__all__ = ["Situation", "bad_values", "environment_of", "situation", "unit_of"]

Word = Literal["absent", "server", "client", "false", "other"]


@dataclass(frozen=True, slots=True)
class Situation:
    """A pod, in words."""

    place: Literal["outside", "unknown", "known"]
    """The namespace: one never touched, one that no cache has yet, or any other."""
    protection: Literal["absent", "suspended", "other"]
    injection: Literal["absent", "enabled", "other"]
    label: Word
    annotation: Word
    sidecar: Literal["none", "current", "older"]
    """An init container of our name with our status: of this template, or of another."""
    clash: bool = False
    """Something of the pod or of the cluster leaves no room."""
    identity: bool = True
    """The namespace has a business unit that there is, of an environment that is served here."""
    annotations: Literal["good", "bad"] = "good"

    @property
    def asked(self) -> Word | Literal["in vain"]:
        """The label, else the annotation where the namespace lets it count."""
        if self.label != "absent" or self.annotation == "absent":
            return self.label
        return self.annotation if self.injection == "enabled" else "in vain"


def situation(facts: Facts, settings: InjectionSettings, template: str) -> Situation:
    """Put a pod into words, but for its faults. ``template`` is what a sidecar is made by today."""
    labels = facts.namespace.labels if facts.namespace else {}
    protection, injection = labels.get(PROTECTION, ""), labels.get(INJECTION, "")
    return Situation(
        place=_place(facts, settings),
        protection="suspended" if protection == SUSPENDED else _any(PROTECTION in labels),
        injection="enabled" if injection == ENABLED else _any(INJECTION in labels),
        label=_word(facts.labels.get(INJECT)),
        annotation=_word(facts.annotations.get(INJECT)),
        sidecar=_sidecar(facts, template),
    )


def bad_values(facts: Facts) -> Iterator[str]:
    """A sentence for each word that means nothing to us."""
    labels = facts.namespace.labels if facts.namespace else {}
    asks = {"label": facts.labels, "annotation": facts.annotations}
    for kind, group in asks.items():
        if _word(group.get(INJECT)) == "other":
            yield f"{kind} {INJECT} is {group[INJECT]!r}: expected server, client or false"
        if INJECT in group:
            break  # the annotation does not count beside a label
    for key, known in ((INJECTION, ENABLED), (PROTECTION, SUSPENDED)):
        if labels.get(key, known) != known:
            where = f"label {key} of namespace {facts.request.namespace}"
            yield f"{where} is {labels[key]!r}: expected {known}, or no such label"


def unit_of(facts: Facts, settings: InjectionSettings) -> str | None:
    """The business unit of the pod's namespace: its label, else the default of the only environment."""
    labels = facts.namespace.labels if facts.namespace else {}
    if BUSINESS_UNIT_LABEL in labels:
        return labels[BUSINESS_UNIT_LABEL]
    return (
        f"{next(iter(settings.environments))}.default" if len(settings.environments) == 1 else None
    )


def environment_of(unit: str) -> str:
    """The environment that a business unit's name begins with."""
    return unit.partition(".")[0]


def _place(facts: Facts, settings: InjectionSettings) -> Literal["outside", "unknown", "known"]:
    if facts.request.namespace in {settings.namespace, *settings.outside}:
        return "outside"
    return "known" if facts.namespace else "unknown"


def _any(is_there: bool) -> Literal["other", "absent"]:
    return "other" if is_there else "absent"


def _word(value: str | None) -> Word:
    match value:
        case None:
            return "absent"
        case "server" | "client":
            return value
        case _:
            return "false" if value == FALSE else "other"


def _sidecar(facts: Facts, template: str) -> Literal["none", "current", "older"]:
    if not facts.has_sidecar or facts.status is None:
        return "none"
    return "current" if facts.status.template == template else "older"
