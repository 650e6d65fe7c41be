"""An Environment: whether it can be used, and whether the operator can talk to its CA.

What becomes of its authority is told by whoever steers rotations, under a field manager of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featward.crds.status import OwnerStatus, Status
from featward_operator.conditions import answer, conditions, differs, news, ready
from featward_operator.controllers import Result
from featward_operator.governance import findings_of, validity
from featward_operator.reconcile.known import about, notice
from featward_operator.vocabulary import Event, Reason, Type

if TYPE_CHECKING:
    from featward.kubernetes.resource import Key
    from featward.manifests.document import AnyModel, Document
    from featward_operator.conditions import Answer
    from featward_operator.reconcile.known import Known

__all__ = ["OTHERS", "owner", "platform", "reachable", "reconcile"]

KIND = "Environment"
OTHERS = ("rotation", "authority")
"""Keys of the status that rotations write."""
# Nobody tells us when a CA is back.
_LOOK_SECONDS = 5.0


def reconcile(key: Key, known: Known, now: float) -> Result:
    """Status of one environment."""
    return owner("Environment", key, known.catalogue.environments.get(key[1]), known, now)


def owner(
    kind: str, key: Key, document: Document[AnyModel] | None, known: Known, now: float
) -> Result:
    """Status of what has an authority: an environment, or a business unit of one."""
    environment = key[1].partition(".")[0]
    return platform(kind, key, document, known, now, reachable(known, environment))


def platform(
    kind: str,
    key: Key,
    document: Document[AnyModel] | None,
    known: Known,
    now: float,
    *more: Answer,
) -> Result:
    """Status of what says who there is."""
    observed = known.observed(kind, key)
    if observed is None:
        return Result()
    before = observed.status
    findings = findings_of(known.world.index, kind, document, now, key[1])
    counting = [validity(known.catalogue, findings), *more]
    answers = [ready(counting, "nothing is wrong with it"), *counting]
    made = OwnerStatus if more else Status
    status = made(
        observed_generation=observed.generation,
        conditions=conditions(answers, before, observed.generation, now),
    )
    what = about(kind, key, observed)
    events = tuple(
        notice(what, Event.INVALID, one.message)
        for one in news(answers, before)
        if one.type is Type.VALID and one.status == "False"
    )
    again_at = now + _LOOK_SECONDS if more else None
    return Result(status=differs(status, before, OTHERS), events=events, requeue_at=again_at)


def reachable(known: Known, environment: str) -> Answer:
    """Whether the CA of an environment can be talked to."""
    if environment not in known.injection.environments:
        ours = ", ".join(known.injection.environments)
        said = f"this operator works for {ours}: add {environment} to the chart's environments"
        return answer(Type.AUTHORITY_REACHABLE, Reason.NOT_OURS, said)
    reason, why = known.reach(environment)
    return answer(Type.AUTHORITY_REACHABLE, reason, why)
