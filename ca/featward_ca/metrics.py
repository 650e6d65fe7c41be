"""The CA's series for Prometheus, in a registry of their own so that several CAs fit in one test
process.
"""

import contextlib
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

# Outcome to number.
Counts = Callable[[], dict[str, int]]
# Twice the series for a moment that nobody asks for.
disable_created_metrics()
# From a commit without a disk to one that somebody will ask about.
_STORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Connections(Collector):
    """What became of connections, as the Listeners count it themselves."""

    def __init__(self) -> None:
        self._listeners: dict[str, Counts] = {}

    def add(self, listener: str, counts: Counts) -> None:
        """Ask this one too."""
        self._listeners[listener] = counts

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        family = CounterMetricFamily(
            "featward_ca_connections",
            "Connections to the CA: accepted, or by the reason for which they were refused.",
            labels=["listener", "outcome"],
        )
        for listener, counts in self._listeners.items():
            for outcome, number in counts().items():
                family.add_metric([listener, outcome], number)
        yield family


class Metrics:
    """All series of one CA."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Connections()
        self.registry.register(self.connections)
        self.signatures = Counter(
            "featward_ca_signatures",
            "Certificates that were to be signed, by purpose and by what came of it: signed, refused,"
            " overtaken by another replica, failed.",
            ["purpose", "result"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "featward_ca_refusals",
            "Calls that were refused, by call and by gRPC status.",
            ["rpc", "status"],
            registry=self.registry,
        )
        self.expiry = Gauge(
            "featward_certificate_expiry_timestamp_seconds",
            "When a certificate that the CA depends on ends, in Unix seconds.",
            ["purpose", "owner"],
            registry=self.registry,
        )
        self.sequence = Gauge(
            "featward_bundle_sequence",
            "The sequence of the roots and the scope table that the CA announces.",
            registry=self.registry,
        )
        self.streams = Gauge(
            "featward_ca_streams",
            "Open WatchIdentity streams.",
            registry=self.registry,
        )
        self.runway = Gauge(
            "featward_identity_runway_seconds",
            "How long until the first connected workload loses its identity if the CA stays away;"
            " NaN when nothing lives.",
            registry=self.registry,
        )
        self.clients = Gauge(
            "featward_ca_clients",
            "Clients with an unexpired SVID, connected or not.",
            registry=self.registry,
        )
        self.clients_behind = Gauge(
            "featward_ca_clients_behind",
            "Clients with an unexpired SVID that have not acknowledged the newest sequence.",
            registry=self.registry,
        )
        self.svid_lifetime = Gauge(
            "featward_ca_svid_lifetime_seconds",
            "How long SVIDs live, by the Environment.",
            registry=self.registry,
        )
        self.forced = Counter(
            "featward_ca_rotation_steps_forced",
            "Steps of rotations that were taken although somebody stood in their way, by owner of"
            " the authority and by step.",
            ["owner", "step"],
            registry=self.registry,
        )
        self.bans = Gauge(
            "featward_ca_bans",
            "Bans in force.",
            registry=self.registry,
        )
        self.store_queue = Histogram(
            "featward_ca_store_queue_seconds",
            "How long writes waited for their turn.",
            buckets=_STORE_SECONDS,
            registry=self.registry,
        )
        self.store_times = Histogram(
            "featward_ca_store_seconds",
            "How long the database took, from its turn until it was durable.",
            ["operation"],
            buckets=_STORE_SECONDS,
            registry=self.registry,
        )
        self.cloned = Counter(
            "featward_ca_svids_cloned",
            "Renewals refused because the SVID was renewed before for another key.",
            registry=self.registry,
        )
        self.reviews = Counter(
            "featward_ca_token_reviews",
            "TokenReviews asked of clusters, by cluster and by what came of them.",
            ["cluster", "result"],
            registry=self.registry,
        )
        self.halted = Gauge(
            "featward_ca_issuance_halted",
            "1 while an administrator has halted issuing, as of the last look at the health.",
            registry=self.registry,
        )
        self.manifest_errors = Counter(
            "featward_ca_manifest_errors",
            "Edits of the manifests that were not taken over because they hold errors.",
            registry=self.registry,
        )

        self.bundle_requests = Counter(
            "featward_ca_bundle_requests",
            "Connections to the bundle endpoint, by whether they were answered or had no allowance.",
            ["result"],
            registry=self.registry,
        )
        self.foreign_fetches = Counter(
            "featward_ca_foreign_bundle_fetches",
            "Fetches of the bundles of foreign trust domains, by what came of them.",
            ["trust_domain", "result"],
            registry=self.registry,
        )
        self.foreign_fetched_at = Gauge(
            "featward_ca_foreign_bundle_fetched_timestamp_seconds",
            "When the bundle of a foreign trust domain was last fetched, in Unix seconds.",
            ["trust_domain"],
            registry=self.registry,
        )
        self.foreign_end = Gauge(
            "featward_ca_foreign_bundle_end_timestamp_seconds",
            "When the last root of a foreign trust domain ends, in Unix seconds; 0 without any.",
            ["trust_domain"],
            registry=self.registry,
        )
        self.foreign_sequence = Gauge(
            "featward_ca_foreign_bundle_sequence",
            "The sequence of the bundle of a foreign trust domain.",
            ["trust_domain"],
            registry=self.registry,
        )

    def forget_foreign(self, trust_domain: str) -> None:
        """Drop the series of a foreign trust domain that is one no more."""
        gauges = (self.foreign_fetched_at, self.foreign_end, self.foreign_sequence)
        for labelled, labels in (
            *((gauge, (trust_domain,)) for gauge in gauges),
            *((self.foreign_fetches, (trust_domain, result)) for result in ("fetched", "failed")),
        ):
            with contextlib.suppress(KeyError):
                labelled.remove(*labels)

    def render(self) -> bytes:
        """All series in the Prometheus text format."""
        return generate_latest(self.registry)
