"""Whether a pod gets a sidecar: one table, from the top, and the first row that holds decides.

The tests are generated from `TABLE`, and so is the table of docs/kubernetes.md. What the webhook's selectors
never send stands in it all the same: two places that disagree would be a hole, and here it shows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from featward_operator.injection.annotations import asked_in
from featward_operator.injection.decision import Decision, Fault, Kind, Reason
from featward_operator.injection.facts import Facts
from featward_operator.injection.faults import clashes, unit_faults
from featward_operator.injection.names import INJECT, PROTECTION, SUSPENDED
from featward_operator.injection.settings import InjectionSettings
from featward_operator.injection.situation import (
    Situation,
    bad_values,
    environment_of,
    situation,
    unit_of,
)
from featward_operator.injection.template import template

__all__ = ["TABLE", "Outcome", "Row", "decide", "row_of"]

Outcome = Literal["left alone", "refused", "injected"]


@dataclass(frozen=True, slots=True)
class Row:
    """Where each field of the situation is one of these, this comes of it."""

    holds: str
    """For readers of the docs."""
    when: Mapping[str, Collection[object]]
    """By fields of `Situation`. Empty holds always."""
    outcome: Outcome
    reasons: tuple[Reason, ...]
    """One of them, or for refusals all that apply."""

    def matches(self, found: Situation) -> bool:
        """Whether this row holds, if none before it does."""
        return all(getattr(found, name) in words for name, words in self.when.items())


TABLE: tuple[Row, ...] = (
    Row(
        "the pod is in the operator's own namespace or in `kube-system`",
        {"place": ("outside",)},
        "left alone",
        (Reason.NOT_ASKED,),
    ),
    Row(
        "the operator does not know the namespace yet",
        {"place": ("unknown",)},
        "refused",
        (Reason.NOT_READY,),
    ),
    Row(
        "the namespace has `featward.dev/protection: suspended`",
        {"protection": ("suspended",)},
        "left alone",
        (Reason.PROTECTION_SUSPENDED,),
    ),
    Row(
        "the pod has no `featward.dev/inject`, as label or as annotation",
        {"asked": ("absent",)},
        "left alone",
        (Reason.NOT_ASKED,),
    ),
    Row(
        "it has the annotation alone, and its namespace has no `featward.dev/injection: enabled`",
        {"asked": ("in vain",)},
        "left alone",
        (Reason.ANNOTATION_WITHOUT_NAMESPACE,),
    ),
    Row(
        'it asks for `"false"`; beside a label the annotation does not count',
        {"asked": ("false",)},
        "left alone",
        (Reason.ASKED_FALSE,),
    ),
    Row(
        "it asks for any other word than `server` or `client`",
        {"asked": ("other",)},
        "refused",
        (Reason.BAD_VALUE,),
    ),
    Row(
        "`featward.dev/injection` of the namespace is another word than `enabled`",
        {"injection": ("other",)},
        "refused",
        (Reason.BAD_VALUE,),
    ),
    Row(
        "`featward.dev/protection` of the namespace is another word than `suspended`",
        {"protection": ("other",)},
        "refused",
        (Reason.BAD_VALUE,),
    ),
    Row(
        "it has our sidecar, of today's template",
        {"sidecar": ("current",)},
        "left alone",
        (Reason.ALREADY_INJECTED,),
    ),
    Row(
        "something of the pod or of the cluster leaves no room for the sidecar",
        {"clash": (True,)},
        "refused",
        (
            Reason.HOST_NETWORK,
            Reason.CONTAINER_NAME_TAKEN,
            Reason.VOLUME_NAME_TAKEN,
            Reason.PORT_TAKEN,
            Reason.CLUSTER_TOO_OLD,
        ),
    ),
    Row(
        "the namespace's business unit is missing, unknown, or of an environment that is not served here",
        {"identity": (False,)},
        "refused",
        (Reason.NO_BUSINESS_UNIT, Reason.UNKNOWN_BUSINESS_UNIT, Reason.NO_ENVIRONMENT),
    ),
    Row(
        "an annotation about the sidecar is unknown or can't be used",
        {"annotations": ("bad",)},
        "refused",
        (Reason.BAD_ANNOTATION,),
    ),
    Row("anything else", {}, "injected", (Reason.INJECTED,)),
)


def row_of(found: Situation) -> Row:
    """The row that decides."""
    return next(row for row in TABLE if row.matches(found))


def decide(facts: Facts, settings: InjectionSettings) -> Decision:
    """What becomes of a pod, with all that is wrong with it."""
    unit = unit_of(facts, settings)
    environment = environment_of(unit) if unit else ""
    found = situation(facts, settings, template(settings, environment))
    row = row_of(found)
    if row.outcome == "refused":
        errors = tuple(bad_values(facts)) if Reason.BAD_VALUE in row.reasons else (_unknown(facts),)
        return Decision(None, True, row.reasons, errors)
    if row.outcome == "left alone" and row.reasons != (Reason.ALREADY_INJECTED,):
        return Decision(None, False, row.reasons, warnings=_warnings(facts, row.reasons[0]))
    return _fitted(facts, settings, found, environment)


def _fitted(
    facts: Facts, settings: InjectionSettings, found: Situation, environment: str
) -> Decision:
    """The rest of the table, for a pod that asks in a word that we know."""
    kind: Kind = "server" if found.asked == "server" else "client"
    asked, errors, warnings = asked_in(facts, settings, kind)
    clashing, homeless = (
        list(clashes(facts, settings, asked, kind)),
        list(unit_faults(facts, settings)),
    )
    found = replace(
        found,
        clash=bool(clashing),
        identity=not homeless,
        annotations="bad" if errors else "good",
    )
    row = row_of(found)
    if row.outcome == "refused":
        faults = [*clashing, *homeless, *(Fault(Reason.BAD_ANNOTATION, one) for one in errors)]
        reasons = tuple(dict.fromkeys(fault.reason for fault in faults))
        return Decision(None, True, reasons, tuple(fault.text for fault in faults), warnings)
    # A sidecar that was there with something wrong beside it stays as it is: it was taken once.
    fits = not (clashing or homeless or errors)
    return Decision(
        kind,
        False,
        row.reasons,
        warnings=warnings,
        asked=asked if fits else None,
        environment=environment,
    )


def _unknown(facts: Facts) -> str:
    return (
        f"namespace {facts.request.namespace} is not known to the operator yet: it has just been made, or the "
        "operator has just started; try again in a moment"
    )


def _warnings(facts: Facts, reason: Reason) -> tuple[str, ...]:
    """What whoever makes the pod is told although it is taken."""
    namespace = facts.request.namespace
    if reason is Reason.PROTECTION_SUSPENDED:
        return (
            f"featward: not protected, because namespace {namespace} has {PROTECTION}: {SUSPENDED}",
        )
    if reason is Reason.ANNOTATION_WITHOUT_NAMESPACE:
        return (
            f"featward: not protected, because the annotation {INJECT} counts only where the namespace has "
            "the label featward.dev/injection: enabled",
        )
    return ()
