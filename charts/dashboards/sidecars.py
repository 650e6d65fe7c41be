"""The sidecars, all of them together: what they answer, refuse and go by."""

from dashboards.panels import RUNWAY, SIDECAR, panel, quantile, rate

__all__ = ["PANELS"]

PANELS = (
    panel(
        "Requests, a second",
        "reqps",
        (
            rate("featward_requests_total", "feature_set", "decision"),
            "{{feature_set}}, {{decision}}",
        ),
    ),
    panel(
        "Requests by reason, a second",
        "reqps",
        (rate("featward_requests_total", "decision", "reason"), "{{decision}}: {{reason}}"),
        says="docs/problems has a page for each reason of a refusal.",
    ),
    panel(
        "Requests of local apps, a second",
        "reqps",
        (
            rate("featward_outbound_requests_total", "feature_set", "result"),
            "{{feature_set}}, {{result}}",
        ),
    ),
    panel(
        "Time of a request",
        "s",
        (quantile(0.5, "featward_request_duration_seconds"), "p50"),
        (quantile(0.99, "featward_request_duration_seconds"), "p99"),
        (quantile(0.99, "featward_upstream_duration_seconds"), "p99 of the feature server"),
    ),
    panel(
        "Time of a decision",
        "s",
        (quantile(0.5, "featward_decision_duration_seconds"), "p50"),
        (quantile(0.99, "featward_decision_duration_seconds"), "p99"),
    ),
    panel(
        "Left out of answers, a second",
        "ops",
        (rate("featward_stripped_features_total", "feature_set"), "{{feature_set}}: not granted"),
        (rate("featward_unlisted_columns_total", "feature_set"), "{{feature_set}}: not listed"),
        (
            rate("featward_unanswered_features_total", "feature_set"),
            "{{feature_set}}: not answered",
        ),
        says="Of what is not listed or not answered, the set and its feature server say different things.",
    ),
    panel(
        "Connections",
        "short",
        ("sum by (listener) (featward_connections)", "{{listener}}, open"),
        (
            rate("featward_connections_refused_total", "listener", "reason"),
            "{{listener}}, refused a second: {{reason}}",
        ),
    ),
    panel(
        "Identity",
        "s",
        (f"min({RUNWAY}{SIDECAR})", "the shortest runway"),
        (f"count({RUNWAY}{SIDECAR} == 0)", "sidecars without identity"),
    ),
    panel(
        "Renewals, a second",
        "ops",
        (rate("featward_identity_renewals_total", "result"), "{{result}}"),
    ),
    panel(
        "Policy in use",
        "short",
        ("count by (digest) (featward_policy_info)", "{{digest}}"),
        says="Sidecars of one workload have the same; each workload has its own.",
    ),
    panel(
        "Policy, the oldest",
        "s",
        ("max(featward_policy_age_seconds)", "last known to be the newest"),
        says="What was revoked since then is not revoked there.",
    ),
    panel(
        "Never above zero",
        "short",
        ("sum(increase(featward_records_dropped_total[1h]))", "records lost"),
        ("sum(increase(featward_policy_edits_refused_total[1h]))", "policies refused"),
        ("max(abs(featward_clock_offset_seconds))", "seconds that a clock is off"),
    ),
)
