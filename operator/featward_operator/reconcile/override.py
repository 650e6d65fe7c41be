"""What is said of an Override: whether it holds now, and if not, why. Pure.

Whether it holds is decided where policy is compiled, by `featward.manifests.overriding`; here the same question
is asked again, so that what people read is what sidecars do.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from featward.crds.status import OverrideStatus
from featward.kubernetes.resource import Key
from featward.manifests.overriding import environment_overridden, in_force, is_too_long
from featward.manifests.text import second_of
from featward_operator.conditions import Answer, answer, conditions, differs, news, ready
from featward_operator.controllers import Notice, Result
from featward_operator.governance import findings_of, validity
from featward_operator.reconcile.known import about, notice
from featward_operator.vocabulary import Event, Reason, Type

if TYPE_CHECKING:
    from featward.manifests.catalogue import Catalogue
    from featward.manifests.document import Document
    from featward.manifests.governance import Override
    from featward_operator.reconcile.known import Known
    from featward_operator.world import Observed

__all__ = ["OverridesInForce", "reconcile", "target_named"]

KIND = "Override"


class _Target(NamedTuple):
    """What an Override names."""

    kind: str
    key: Key

    @property
    def text(self) -> str:
        """``featureset ml/driver-stats``."""
        return f"{self.kind.lower()} {'/'.join(filter(None, self.key))}"


def reconcile(key: Key, known: Known, now: float) -> Result:
    """The status of one Override, and news of it. It is looked at again when it ends."""
    observed, override = known.observed(KIND, key), known.catalogue.overrides.get(key[1])
    if observed is None or override is None:
        return Result()
    before, target = observed.status, target_named(override.model)
    findings = findings_of(known.world.index, KIND, override, now, key[1])
    holds = _in_force(known.catalogue, override, target, now)
    counting = [validity(known.catalogue, findings), holds]
    answers = [ready(counting, "it holds"), *counting]
    status = OverrideStatus(
        observed_generation=observed.generation,
        conditions=conditions(answers, before, observed.generation, now),
        target=target.text[:256],
    )
    return Result(
        status=differs(status, before),
        events=tuple(_news(known, override, target, observed, holds)),
        requeue_at=float(second_of(override.model.spec.expires)) if holds.is_so else None,
    )


def target_named(override: Override) -> _Target:
    """What an Override is about."""
    target = override.spec.target
    if target.environment is not None:
        return _Target("Environment", ("", target.environment))
    if target.binding is not None:
        return _Target("FeatureBinding", (target.binding.namespace, target.binding.name))
    if target.feature_set is None:
        raise AssertionError("an Override has one target")
    return _Target("FeatureSet", (target.feature_set.namespace, target.feature_set.name))


def _in_force(
    catalogue: Catalogue, override: Document[Override], target: _Target, now: float
) -> Answer:
    def said(reason: Reason, message: str) -> Answer:
        return answer(Type.IN_FORCE, reason, message)

    spec = override.model.spec
    if now >= second_of(spec.expires):
        return said(Reason.ENDED, f"it ended at {spec.expires}")
    if not _is_there(catalogue, target):
        message = f"there is no {target.text}; delete this and make another with the name corrected"
        return said(Reason.TARGET_NOT_FOUND, message)
    environment = environment_overridden(catalogue, override)
    if environment is None:
        message = f"the namespace {target.key[0]} belongs to no business unit of an environment"
        return said(Reason.TARGET_NOT_FOUND, message)
    name, longest = environment.name, environment.model.spec.max_override
    if longest is None:
        message = f"environment {name} has no maxOverride, so no Override of it ever holds"
        return said(Reason.NO_MAX_OVERRIDE, message)
    if is_too_long(catalogue, override, now):
        message = (
            f"it would end at {spec.expires}, longer after it was made than {longest}, the "
            f"maxOverride of environment {name}; make another that ends sooner"
        )
        return said(Reason.LONGER_THAN_MAX_OVERRIDE, message)
    done = "relaxed to shadow" if spec.action == "relax" else "closed"
    return said(Reason.IN_FORCE, f"{target.text} is {done} until {spec.expires}")


def _is_there(catalogue: Catalogue, target: _Target) -> bool:
    tables: Mapping[str, Mapping[Any, object]] = {
        "FeatureBinding": catalogue.bindings,
        "FeatureSet": catalogue.feature_sets,
    }
    if target.kind == "Environment":
        return target.key[1] in catalogue.environments
    return target.key in tables[target.kind]


def _news(
    known: Known, override: Document[Override], target: _Target, seen: Observed, holds: Answer
) -> Iterator[Notice]:
    rows = seen.status.get("conditions") or ()
    held = any((one["type"], one["status"]) == (Type.IN_FORCE, "True") for one in rows)
    if held == holds.is_so or not any(news([holds], seen.status)):
        return
    name = override.model.metadata.name
    abouts = [about(KIND, ("", name), seen)]
    aimed = known.observed(target.kind, target.key)
    # Of a FeatureSet its own reconciler tells, of those of an environment too.
    if aimed is not None and target.kind != "FeatureSet":
        abouts.append(about(target.kind, target.key, aimed))
    for what in abouts:
        if holds.is_so:
            note = f"{holds.message} by the Override {name}: {override.model.spec.reason}"
            yield notice(what, Event.OVERRIDDEN, note)
        else:
            note = f"the Override {name} of {target.text} is over: {holds.message}"
            yield notice(what, Event.OVERRIDE_ENDED, note, "Normal")


class OverridesInForce(Collector):
    """The metric, as of the moment of asking; on every replica."""

    def __init__(self, catalogue: Catalogue, now: Callable[[], float] = time.time) -> None:
        self._catalogue, self._now = catalogue, now

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        family = GaugeMetricFamily(
            "featward_operator_overrides_in_force",
            "Overrides that hold now, by action.",
            labels=["action"],
        )
        counted = Counter(one.model.spec.action for one in in_force(self._catalogue, self._now()))
        for action in ("relax", "close"):
            family.add_metric([action], counted[action])
        yield family
