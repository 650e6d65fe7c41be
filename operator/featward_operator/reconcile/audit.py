"""What runs in a namespace without protection though somebody wants it there: the net under the webhook.

Webhooks judge a pod when it is made and never again: labels are put on later, namespaces are suspended,
webhooks are taken away. So what runs is looked at as well.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from featward.manifests.labels import INJECTION_LABEL
from featward_operator.controllers import Notice
from featward_operator.injection.facts import status_of
from featward_operator.injection.names import ASKED, ENABLED, INJECT, SERVER, STATUS
from featward_operator.injection.template import template
from featward_operator.reconcile.feature_set import has_sidecar, is_running
from featward_operator.reconcile.gateway import gateway_name
from featward_operator.reconcile.known import about, notice
from featward_operator.vocabulary import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from featward.kubernetes.events import ObjectRef
    from featward.kubernetes.gateway import Gateway
    from featward_operator.pods import PodFacts
    from featward_operator.reconcile.known import Known

__all__ = ["AuditSeries", "Cause", "Note", "Unprotected", "asks", "audit", "events_of"]

# Of one namespace at one look: more of the same kind say nothing new.
_MOST_EVENTS = 10


class Cause(StrEnum):
    """Why a pod is listed; the label of the metric."""

    SIDECAR_MISSING = "sidecar-missing"
    """It asks for a sidecar and has none."""
    ANNOTATION_IGNORED = "annotation-ignored"
    """It asks by annotation where annotations do not count."""
    PROTECTION_SUSPENDED = "protection-suspended"
    """It asks, and its namespace's protection is suspended."""
    FOREIGN_LABEL = "foreign-label"
    """It has the label by which callers are led to servers, and no sidecar that they could talk to."""
    TEMPLATE_OLD = "template-old"
    """It is protected, by a sidecar of an older template."""


@dataclass(frozen=True, slots=True)
class Unprotected:
    """One pod, and why it is listed."""

    pod: str
    uid: str
    cause: Cause


def asks(pod: PodFacts, labels: Mapping[str, str]) -> bool | None:
    """Whether a pod wants a sidecar, in a namespace with these labels; None: by an annotation, in vain."""
    if INJECT in pod.labels:
        return pod.labels[INJECT] in ASKED
    if pod.annotations.get(INJECT) not in ASKED:
        return False
    return True if labels.get(INJECTION_LABEL) == ENABLED else None


def audit(namespace: str, known: Known) -> tuple[Unprotected, ...]:
    """The pods of a namespace that are not protected as they should be, by name."""
    outside = {known.settings.namespace, *known.injection.outside}
    document = known.catalogue.namespaces.get(namespace)
    if namespace in outside or document is None:
        return ()
    labels, suspended = document.model.metadata.labels, known.is_suspended(namespace)
    environment = known.environment(namespace)
    newest = template(known.injection, environment) if environment else ""
    gateways = {
        gateway_name(name)
        for (inside, name), one in known.catalogue.feature_sets.items()
        if inside == namespace and one.model.spec.serving.gateway is not None
    }
    found = []
    for name, pod in sorted(known.world.pods.inside(namespace).items()):
        cause = _cause(pod, labels, suspended, newest) if is_running(pod) else None
        is_gateway = pod.service_account in gateways
        if cause is not None and not (cause is Cause.FOREIGN_LABEL and is_gateway):
            found.append(Unprotected(name, pod.uid, cause))
    return tuple(found)


def _cause(pod: PodFacts, labels: Mapping[str, str], suspended: bool, newest: str) -> Cause | None:
    if has_sidecar(pod):
        made_by = _template(pod.annotations.get(STATUS, ""))
        is_old = bool(newest) and made_by is not None and made_by != newest
        return Cause.TEMPLATE_OLD if is_old else None
    asked = asks(pod, labels)
    if asked:
        return Cause.PROTECTION_SUSPENDED if suspended else Cause.SIDECAR_MISSING
    if SERVER in pod.labels:
        return Cause.FOREIGN_LABEL
    return Cause.ANNOTATION_IGNORED if asked is None else None


# Thousands of pods were made by a handful of templates.
@lru_cache(maxsize=256)
def _template(status: str) -> str | None:
    told = status_of(status)
    return told.template if told else None


def events_of(namespace: str, found: tuple[Unprotected, ...], where: ObjectRef) -> Iterator[Notice]:
    """What to tell of it. Of what whole namespaces are about, once for each; the text stays, so that it is told
    once in ten minutes.
    """
    missing = [one for one in found if one.cause in (Cause.SIDECAR_MISSING, Cause.FOREIGN_LABEL)]
    for one in missing[:_MOST_EVENTS]:
        pod = about("Pod", (namespace, one.pod), None)
        said = (
            "it asks for featward's sidecar and has none: make it anew with the operator running"
            if one.cause is Cause.SIDECAR_MISSING
            else f"it has the label {SERVER}, which leads callers here, and no sidecar: take the label away"
        )
        ref = type(pod)(pod.api_version, pod.kind, namespace, one.pod, one.uid)
        yield notice(ref, Event.SIDECAR_MISSING, said)
    causes = {one.cause for one in found}
    if Cause.TEMPLATE_OLD in causes:
        said = "pods have sidecars of an older template: restart what makes them when it suits"
        yield notice(where, Event.TEMPLATE_OLD, said, "Normal")
    if Cause.ANNOTATION_IGNORED in causes:
        said = (
            f"pods ask for a sidecar by annotation and get none: label the namespace {INJECTION_LABEL}: "
            f"{ENABLED}, or use the label {INJECT}"
        )
        yield notice(where, Event.INJECTION_IGNORED, said)


@dataclass(frozen=True, slots=True)
class Note:
    """Keep what was found for the metrics; nothing is asked of the server."""

    audits: dict[str, tuple[Unprotected, ...]]
    namespace: str
    found: tuple[Unprotected, ...]

    async def carry_out(self, gateway: Gateway) -> None:
        """Note it."""
        if self.found:
            self.audits[self.namespace] = self.found
        else:
            self.audits.pop(self.namespace, None)


class AuditSeries(Collector):
    """What was found, as of the moment of asking; on the leader alone, and nothing elsewhere.

    ``audits`` gives what is known; None while another replica leads.
    """

    def __init__(
        self,
        audits: Callable[[], Mapping[str, tuple[Unprotected, ...]] | None],
        suspended: Callable[[], int],
    ) -> None:
        self._audits, self._suspended = audits, suspended

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        audits = self._audits()
        pods = GaugeMetricFamily(
            "featward_operator_unprotected_pods",
            "Pods that are not protected as somebody wants them to be, by why; told by the leader.",
            labels=["cause"],
        )
        suspended = GaugeMetricFamily(
            "featward_operator_protection_suspended",
            "Namespaces in which protection is suspended by hand; told by the leader.",
        )
        if audits is not None:
            counts = Counter(one.cause for found in audits.values() for one in found)
            for cause in Cause:
                pods.add_metric([cause.value], counts[cause])
            suspended.add_metric([], self._suspended())
        yield pods
        yield suspended
