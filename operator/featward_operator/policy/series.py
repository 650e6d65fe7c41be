"""The policy service's series for Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from featward.policy.slices import SliceCompiler
    from featward_operator.policy.streams import Stream, Streams

__all__ = ["Series"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)


class Series:
    """A `Watcher` of pushes that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._compiled = Histogram(
            "featward_operator_snapshot_compile_seconds",
            "How long a snapshot took to compile, what was done for others in between included.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._pushed = Histogram(
            "featward_operator_policy_push_seconds",
            "How long after an edit was known here a sidecar was sent its new snapshot.",
            buckets=_SECONDS,
            registry=registry,
        )

    def compiled(self, seconds: float) -> None:
        self._compiled.observe(seconds)

    def pushed(self, seconds: float) -> None:
        self._pushed.observe(seconds)

    def watch(
        self, streams: Streams, slices: SliceCompiler, has_newest: Callable[[Stream], bool]
    ) -> None:
        """Tell of these at every scrape."""
        self._registry.register(_Current(streams, slices, has_newest))


class _Current(Collector):
    """What is so at the moment of asking."""

    def __init__(
        self, streams: Streams, slices: SliceCompiler, has_newest: Callable[[Stream], bool]
    ) -> None:
        self._streams, self._slices, self._has_newest = streams, slices, has_newest

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        yield GaugeMetricFamily(
            "featward_operator_policy_streams",
            "Sidecars that get their policy from this replica.",
            value=len(self._streams),
        )
        yield GaugeMetricFamily(
            "featward_operator_held_workloads",
            "Workloads whose edits wait until something above them is put right.",
            value=len(self._slices.held),
        )
        sidecars = GaugeMetricFamily(
            "featward_operator_sidecars",
            "Sidecars of this replica by trust domain and state: current, behind, refused.",
            labels=["trust_domain", "state"],
        )
        counts = Counter(
            (str(one.peer.identity.trust_domain), self._state(one)) for one in self._streams
        )
        for labels, count in sorted(counts.items()):
            sidecars.add_metric(labels, count)
        yield sidecars

    def _state(self, stream: Stream) -> str:
        if stream.refused:
            return "refused"
        return "current" if self._has_newest(stream) else "behind"
