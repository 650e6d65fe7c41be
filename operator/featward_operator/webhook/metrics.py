"""The webhook's series, under the names that controller-runtime has given them everywhere, and one of ours."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["WebhookMetrics"]

# From a millisecond: what is promised is ten.
_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)


class WebhookMetrics:
    """Register them all in the operator's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "controller_runtime_webhook_requests",
            "Admission requests, by webhook and by status of HTTP.",
            ["webhook", "code"],
            registry=registry,
        )
        self.latency = Histogram(
            "controller_runtime_webhook_latency_seconds",
            "How long admission requests took, from their last byte to the answer.",
            ["webhook"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "controller_runtime_webhook_requests_in_flight",
            "Admission requests that are being answered.",
            ["webhook"],
            registry=registry,
        )
        self.injections = Counter(
            "featward_operator_injections",
            "Pods that were asked about, by what was decided and why; dry runs are not counted.",
            ["decision", "reason"],
            registry=registry,
        )
        self.expiry = Gauge(
            "featward_certificate_expiry_timestamp_seconds",
            "When a certificate that the webhook depends on ends, in Unix seconds.",
            ["purpose"],
            registry=registry,
        )
