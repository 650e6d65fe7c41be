"""The CA's series for Prometheus, in a registry of their own so that several CAs fit in one test
process.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

# Twice the series for a moment that nobody asks for.
disable_created_metrics()


class Metrics:
    """All series of one CA."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.signatures = Counter(
            "featward_ca_signatures",
            "Certificates that were to be signed, by purpose and by what came of it.",
            ["purpose", "result"],
            registry=self._registry,
        )
        self.refusals = Counter(
            "featward_ca_refusals",
            "Calls that were refused, by call and by gRPC status.",
            ["rpc", "status"],
            registry=self._registry,
        )
        self.expiry = Gauge(
            "featward_certificate_expiry_timestamp_seconds",
            "When a certificate that the CA depends on ends, in Unix seconds.",
            ["purpose", "owner"],
            registry=self._registry,
        )
        self.sequence = Gauge(
            "featward_bundle_sequence",
            "The sequence of the roots and the scope table that the CA announces.",
            registry=self._registry,
        )
        self.streams = Gauge(
            "featward_ca_streams",
            "Open WatchIdentity streams.",
            registry=self._registry,
        )
        self.cloned = Counter(
            "featward_ca_svids_cloned",
            "Renewals refused because the SVID was renewed before for another key.",
            registry=self._registry,
        )
        self.halted = Gauge(
            "featward_ca_issuance_halted",
            "1 while an administrator has halted issuing, as of the last look at the health.",
            registry=self._registry,
        )
        self.manifest_errors = Counter(
            "featward_ca_manifest_errors",
            "Edits of the manifests that were not taken over because they hold errors.",
            registry=self._registry,
        )

    def render(self) -> bytes:
        """All series in the Prometheus text format."""
        return generate_latest(self._registry)
