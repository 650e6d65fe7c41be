"""What is said of an Override: whether it holds now, and if not, why. Pure.

Whether it holds is decided where policy is compiled, by `featward.manifests.overriding`; here the same question
is asked again, so that what people read is what sidecars do.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from featward.crds.status import Condition, OverrideStatus
from featward.kubernetes.events import ObjectRef
from featward.kubernetes.resource import Key
from featward.manifests.overriding import environment_overridden, in_force, is_too_long
from featward.manifests.text import second_of
from featward_operator.answers import answer, answered
from featward_operator.controllers import Notice, Result
from featward_operator.rotation.vocabulary import OverrideEvent, OverrideInForce

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from featward.manifests.catalogue import Catalogue
    from featward.manifests.document import Document
    from featward.manifests.governance import Override

__all__ = ["IN_FORCE", "Known", "OverridesInForce", "Seen", "reconcile", "target_named"]

IN_FORCE = "InForce"
_API = "featward.dev/v1alpha1"


class Seen(Protocol):
    """What the server says of an object."""

    @property
    def uid(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def status(self) -> Mapping[str, Any]: ...


class Known(Protocol):
    """What the leader knows of its cluster, as far as Overrides need it."""

    @property
    def catalogue(self) -> Catalogue: ...

    def observed(self, kind: str, key: Key) -> Seen | None:
        """An object; None where it is gone."""


class _Verdict(NamedTuple):
    reason: OverrideInForce
    message: str


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
    seen, override = known.observed("Override", key), known.catalogue.overrides.get(key[1])
    if seen is None or override is None:
        return Result()
    target = target_named(override.model)
    verdict = _judge(known.catalogue, override, target, now)
    holds = verdict.reason is OverrideInForce.IN_FORCE
    before = seen.status.get("conditions") or ()
    row = answer(
        IN_FORCE,
        holds,
        verdict.reason,
        verdict.message,
        before=before,
        generation=seen.generation,
        now=now,
    )
    status = OverrideStatus(
        observed_generation=seen.generation,
        conditions=(Condition.model_validate(row),),
        target=target.text[:256],
    ).as_json()
    held = answered(before, IN_FORCE).get("status") == "True"
    return Result(
        status=None if status == seen.status else status,
        events=tuple(_news(override, seen, target, known, verdict, held=held, holds=holds)),
        requeue_at=float(second_of(override.model.spec.expires)) if holds else None,
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


def _judge(
    catalogue: Catalogue, override: Document[Override], target: _Target, now: float
) -> _Verdict:
    spec = override.model.spec
    if now >= second_of(spec.expires):
        return _Verdict(OverrideInForce.ENDED, f"it ended at {spec.expires}")
    there: Mapping[str, Mapping[Any, object]] = {
        "Environment": {("", name): one for name, one in catalogue.environments.items()},
        "FeatureBinding": catalogue.bindings,
        "FeatureSet": catalogue.feature_sets,
    }
    environment = environment_overridden(catalogue, override)
    if target.key not in there[target.kind]:
        message = f"there is no {target.text}; delete this and make another with the name corrected"
        return _Verdict(OverrideInForce.TARGET_NOT_FOUND, message)
    if environment is None:
        message = f"the namespace {target.key[0]} belongs to no business unit of an environment"
        return _Verdict(OverrideInForce.TARGET_NOT_FOUND, message)
    name, longest = environment.name, environment.model.spec.max_override
    if longest is None:
        message = f"environment {name} has no maxOverride, so no Override of it ever holds"
        return _Verdict(OverrideInForce.NO_MAX_OVERRIDE, message)
    if is_too_long(catalogue, override, now):
        message = (
            f"it would end at {spec.expires}, longer after it was made than {longest}, the "
            f"maxOverride of environment {name}; make another that ends sooner"
        )
        return _Verdict(OverrideInForce.LONGER_THAN_MAX_OVERRIDE, message)
    done = "relaxed to shadow" if spec.action == "relax" else "closed"
    return _Verdict(OverrideInForce.IN_FORCE, f"{target.text} is {done} until {spec.expires}")


def _news(
    override: Document[Override],
    seen: Seen,
    target: _Target,
    known: Known,
    verdict: _Verdict,
    *,
    held: bool,
    holds: bool,
) -> Iterator[Notice]:
    if held == holds:
        return
    name = override.model.metadata.name
    abouts = [ObjectRef(_API, "Override", "", name, seen.uid)]
    aimed = known.observed(target.kind, target.key)
    # Of a FeatureSet its own reconciler tells, of those of an environment too.
    if aimed is not None and target.kind != "FeatureSet":
        abouts.append(ObjectRef(_API, target.kind, *target.key, aimed.uid))
    for about in abouts:
        if holds:
            note = f"{verdict.message} by the Override {name}: {override.model.spec.reason}"
            yield Notice(about, str(OverrideEvent.OVERRIDDEN), note, "Warning")
        else:
            note = f"the Override {name} of {target.text} is over: {verdict.message}"
            yield Notice(about, str(OverrideEvent.ENDED), note)


class OverridesInForce(Collector):
    """The metric, as of the moment of asking; on every replica."""

    def __init__(
        self,
        registry: CollectorRegistry,
        catalogue: Catalogue,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue, self._now = catalogue, now
        registry.register(self)

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
